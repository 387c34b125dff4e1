"""Static files and the internal routing, from options to settings."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Optional

from ..config.options import OPTIONS
from ..errors import ConfigError
from ..server.patterns import pattern
from ..server.settings import Expiry, RouteRule, RouteSettings, StaticSettings

if TYPE_CHECKING:
    from ..config.config import Config
    from ..server.gateway.settings import GatewaySettings
    from ..server.routes.engine import Routes

#: The header that each mode of `--file-serve-mode` sends.
_SERVE_MODES = {
    "x-accel-redirect": "X-Accel-Redirect",
    "xaccelredirect": "X-Accel-Redirect",
    "nginx": "X-Accel-Redirect",
    "x-sendfile": "X-Sendfile",
    "xsendfile": "X-Sendfile",
}


def static_settings(config: Config) -> StaticSettings:
    """Which files are served, and how."""
    mode = (config.get("file-serve-mode") or "").lower()
    if mode and mode not in _SERVE_MODES:
        raise ConfigError(f"there are {', '.join(_SERVE_MODES)}", "file-serve-mode", mode, config.source("file-serve-mode"))
    return StaticSettings(
        check=tuple(config.get("check-static")),
        check_docroot=config.get("check-static-docroot"),
        maps=pairs(config, "static-map", "/prefix=directory"),
        maps2=pairs(config, "static-map2", "/prefix=directory"),
        index=tuple(config.get("static-index")),
        skip=tuple(config.get("static-skip-ext")),
        safe=tuple(config.get("static-safe")),
        cache_seconds=config.get("static-cache-paths"),
        mime_files=tuple(config.get("mimefile")),
        expires=_expires(config),
        gzip_all=config.get("static-gzip-all"),
        gzip_prefixes=tuple(config.get("static-gzip-dir")),
        gzip_suffixes=tuple(config.get("static-gzip-ext")),
        gzip_patterns=tuple(
            _pattern("static-gzip", text, config.source("static-gzip", index)) for index, text in enumerate(config.get("static-gzip"))
        ),
        redirect_header=_SERVE_MODES.get(mode, ""),
    )


def _expires(config: Config) -> tuple[Expiry, ...]:
    """`--static-expires` and its relatives, in the order in which uWSGI goes through them."""
    rules = []
    for subject in ("file", "path-info", "uri", "type"):
        for since in ("", "-mtime"):
            option = "static-expires" + ("" if subject == "file" else "-" + subject) + since
            for index, value in enumerate(config.get(option)):
                source = config.source(option, index)
                what, separator, seconds = value.strip().rpartition("=" if subject == "type" else " ")
                if not separator or not re.fullmatch("-?[0-9]+", seconds):
                    form = "TYPE=SECONDS" if subject == "type" else "REGEXP SECONDS"
                    raise ConfigError(f"write it as {form}", option, value, source)
                text = re.escape(what) if subject == "type" else what.rstrip()
                rules.append(Expiry(subject, _pattern(option, text, source), int(seconds), bool(since)))
    return tuple(rules)


def _pattern(option: str, text: str, source: Optional[str]) -> re.Pattern[str]:
    try:
        return pattern(text)
    except ValueError as error:
        raise ConfigError(str(error), option, text, source) from None


def route_settings(config: Config) -> RouteSettings:
    """The rules of the internal routing, in order, whichever option each was given with."""
    names = frozenset(option.name for option in OPTIONS if re.match("(route|(error|response|final)-route)(-|$)", option.name))

    def rules(wanted: Collection[str]) -> tuple[RouteRule, ...]:
        return tuple(RouteRule(name, str(value), source) for name, value, source in config.in_order(wanted))

    return RouteSettings(
        rules=rules(names),
        add=rules(["add-header"]),
        remove=rules(["del-header"]),
        collect=rules(["collect-header"]),
        pull=rules(["pull-header"]),
    )


def compiled(config: Config, gateway: GatewaySettings, can_signal: bool = False) -> Optional[Routes]:
    """The rules, ready for use; None without any.

    Args:
        gateway: for connections to other servers.
        can_signal: there is a signal framework.

    Raises:
        ConfigError: one that cannot be understood.
    """
    settings = route_settings(config)
    if settings == RouteSettings():
        return None
    # Only now: they see the patched standard library. And only for those who want them.
    from ..server.routes.compiling import compile_routes
    from ..server.static import StaticFiles

    return compile_routes(settings, StaticFiles(static_settings(config)), can_signal, gateway)


def pairs(config: Config, option: str, form: str) -> tuple[tuple[str, str], ...]:
    """Values of the form a=b."""
    pairs = []
    for index, value in enumerate(config.get(option)):
        left, equals, right = value.partition("=")
        if not left.startswith("/") or not equals or not right:
            raise ConfigError(f"write it as {form}", option, value, config.source(option, index))
        pairs.append((left, right))
    return tuple(pairs)
