"""The module held against the signatures that the package types-uWSGI publishes, by mypy's stubtest."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

pytest.importorskip("mypy.stubtest")
try:
    distribution("types-uWSGI")
except PackageNotFoundError:
    pytest.skip("types-uWSGI is not installed", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import sys
from geuwsgi.api import module
module.install(module.ModuleSettings(master=True))
from mypy import stubtest
sys.argv = ["stubtest", "uwsgi", "--concise", "--ignore-missing-stub"]
sys.exit(stubtest.main())
"""

#: What may differ: a regular expression, and why. One that matches nothing fails.
ALLOWED = {
    r"uwsgi\.(cache|farm|metric|mule|queue|rpc|sharedarea|snmp|spool|register_rpc|send_to)_?\w* is not present at runtime": "later",
    r"uwsgi\.(accepting|alarm|call|rpc_list|i_am_the_\w+|in_farm|lord_scroll|scrolls) is not present at runtime": "later",
    r"uwsgi\.(reload|stop|ready|set_user_harakiri|set_warning_message|set_spooler_frequency|SPOOL_\w+) is not present at runtime": "later",
    r"uwsgi\.(cl|embedded_data|extract|parsefile|listen_queue|logsize|route|start_response) is not present at runtime": "later",
    r"uwsgi\.(Symbols|Zip)\w* is not present at runtime": "imports from inside uWSGI's own binary",
    r"uwsgi\.(decorators|spooler|post_fork_hook) is not present at runtime": "assigned by uwsgidecorators",
    r'uwsgi\.\w+ is inconsistent, stub does not have parameter "request_context"': "of uWSGI's master branch",
    r"uwsgi\.signal(_wait)? is inconsistent, .*(default|type None)": "as the real ones: a number is required, or may be left out",
    r'uwsgi\.websocket_handshake is inconsistent, .*"(key|origin|proto)"': "None and keywords are taken here",
}


def test_signatures() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("uwsgi.")]
    assert len(lines) > 50, done.stdout + done.stderr
    wrong = [line for line in lines if not any(re.match(pattern, line) for pattern in ALLOWED)]
    assert not wrong, "\n".join(wrong)
    outdated = [pattern for pattern in ALLOWED if not any(re.match(pattern, line) for line in lines)]
    assert not outdated, "\n".join(outdated)
