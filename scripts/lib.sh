# Shared by the scripts beside it; sourced, never run. Needs only a POSIX shell, python3 and (for the first run) pip's network.

PYTHON=${PYTHON:-python3}
CACHE=$ROOT/.cache
mkdir -p "$CACHE"

say() {
    printf '%s\n' "$*"
}

die() {
    printf '%s\n' "$*" >&2
    exit 1
}

# Is this a user that may install system packages without being asked for a password?
may_apt() {
    command -v apt-get >/dev/null 2>&1 || return 1
    [ "$(id -u)" = 0 ] && return 0
    command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

apt_get_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "$@" >>"$CACHE/apt.log" 2>&1
}

# apt_install PACKAGE...: as apt-get install, but no service of theirs is started: the packages' scripts ask
# policy-rc.d before they start anything, and 101 means no. One that stands already is left as it is.
apt_install() {
    say "installing system packages: $*"
    policy=/usr/sbin/policy-rc.d
    made=
    if [ ! -e $policy ]; then
        made=yes
        printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
        as_root chmod 755 $policy
    fi
    status=0
    as_root apt-get -q update >"$CACHE/apt.log" 2>&1 || status=1
    if ! apt_get_install "$@"; then
        # One that this system does not have must not keep out the others.
        for package in "$@"; do
            apt_get_install "$package" || { status=1 && say "  not to be had: $package"; }
        done
    fi
    [ -z "$made" ] || as_root rm -f $policy
    [ $status = 0 ] || say "  apt-get failed, see .cache/apt.log"
    return $status
}

# What the environment is made from: a change to any of it makes the next run install again. (Not the sources of the
# compiled modules: build_twins compiles what has changed, and a stale one is not used.)
stamp_of() {
    {
        printf '%s\n' "$@"
        "$PYTHON" -c 'import sys; print(sys.version, sys.executable)'
        cat "$ROOT/setup.cfg" "$ROOT/setup.py" "$ROOT/pyproject.toml"
    } | cksum
}

# build_twins DIRECTORY: compile, in the checkout, what has changed of the optional modules. Without a compiler the pure
# ones run, and the tests of the compiled ones are skipped.
build_twins() {
    (cd "$ROOT" && "$1/bin/python" setup.py -q build_ext --inplace) >"$CACHE/build.log" 2>&1 || say "the compiled modules do not build, see .cache/build.log"
}

# make_venv DIRECTORY PIP-ARGUMENT...: a virtual environment with these requirements, made once.
make_venv() {
    dir=$1
    shift
    command -v "$PYTHON" >/dev/null 2>&1 || die "$PYTHON is not there. Install Python 3.9 or newer, or name one: PYTHON=/usr/bin/python3.11"
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 9))' || die "$PYTHON is too old: geuwsgi needs Python 3.9 or newer."
    stamp=$(stamp_of "$@")
    [ "$(cat "$dir/.stamp" 2>/dev/null)" = "$stamp" ] && return 0
    if ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
        # Debian ships venv apart from python3.
        may_apt && apt_install python3-venv || true
        "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || die "$PYTHON cannot make virtual environments. On Debian: apt-get install python3-venv"
    fi
    say "making $dir with $("$PYTHON" --version)"
    rm -rf "$dir"
    "$PYTHON" -m venv "$dir" || die "making $dir failed"
    # From the project's root, so that "." and "-e ." mean this project.
    (cd "$ROOT" && "$dir/bin/python" -m pip install -q --disable-pip-version-check "$@") || die "pip could not install: $*"
    printf '%s\n' "$stamp" >"$dir/.stamp"
}
