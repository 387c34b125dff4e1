"""What is said about rules that cannot be understood: at the start, with option and line."""

from __future__ import annotations

import pytest

from geuwsgi.errors import ConfigError
from geuwsgi.server.routes.actions import ABSENT, ACTIONS
from geuwsgi.server.routes.compiling import compile_routes
from geuwsgi.server.settings import RouteSettings, StaticSettings
from geuwsgi.server.static import StaticFiles
from tests.server.routes.rules import compiled


def test_no_rules_are_nothing() -> None:
    assert compile_routes(RouteSettings(), StaticFiles(StaticSettings())) is None


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("route = ^/x", "REGEXP ACTION:ARGUMENT"),
        ("route-if = empty:x", "CONDITION:ARGUMENT ACTION:ARGUMENT"),
        ("error-route-status = 404", "STATUS ACTION:ARGUMENT"),
        ("error-route-status = 4xx log:x", "4xx is no status code"),
        ("route = ^/( log:x", r"\^/\( is no regular expression: missing \)"),
        ("route = ^/x log", "with a colon even when nothing stands behind it; this is 'log'"),
        ("route-run = nonsense:x", "there is no action nonsense; there are .*addheader.*uwsgi"),
        ("route-run = cache:key=x", "the action cache needs uWSGI's cache, which geuwsgi does not have"),
        ("route-run = rpc:x", "needs uWSGI's RPC"),
        ("route-run = goto:nowhere", "there is no label nowhere among the route rules"),
        ("route-run = goto:0", "goto only leads forward"),
        ("route-run = log:${nothing[x]}", r"there is no nothing\[\]"),
        ("route-run = addvar:X", "addvar:NAME=VALUE"),
        ("route-run = addvar:wsgi.input=x", "the server's business"),
        ("route-run = logvar:X", "logvar:NAME=VALUE"),
        ("route-run = addheader:X", "addheader:NAME: VALUE"),
        ("route-run = addheader:X Y: z", "'X Y' is no name of a header"),
        ("route-run = delheader:", "which header"),
        ("route-run = clearheaders:x", "a status"),
        ("route-run = break:x", "a status"),
        ("route-run = break:40", "a status"),
        ("route-run = return:4040", "a status"),
        ("route-run = return:099", "a status"),
        ("route-run = return:٤٠٤", "a status"),
        ("route-run = file:filename=x,status=OK", "a status"),
        ("route-run = harakiri:soon", "a number, not 'soon'"),
        ("route-run = harakiri:2147483648", "harakiri is at most 2147483647"),
        ("route-run = cors:*,max-age=" + "9" * 5000, "max-age is at most"),
        ("route-run = signal:1", "add --master"),
        ("route-run = signal:256", "from 0 to 255"),
        ("route-run = basicauth:realm", "basicauth:REALM,USER:PASSWORD"),
        ("route-run = file:name=x", "the keys are filename"),
        ("route-run = file:status=200 OK", "file:filename=NAME"),
        ("route-run = expires:x", "the keys are filename"),
        ("route-run = cors:", "write it as cors:"),
        ("route-run = cors:*,credentials", "browsers refuse"),
        ("route-run = cors:example.org", "no origin"),
        ("route-run = uwsgi:127.0.0.1:3031", "uwsgi:ADDRESS,MODIFIER1,MODIFIER2"),
        ("route-run = uwsgi:127.0.0.1:3031,x,0", "a modifier is a number"),
        ("route-run = uwsgi:127.0.0.1:3031,256,0", "0 to 255"),
        ("route-run = uwsgi:127.0.0.1:x,0,0", "port"),
        ("route-run = uwsgi:http://127.0.0.1:80,0,0", "uwsgi protocol"),
        ("route-run = uwsgi:,5,0", "there is only Python here"),
        ("route-run = http:", "http:HOST:PORT"),
        ("route-run = http:x:y", "port"),
        ("response-route-run = http:127.0.0.1:80", "before the application"),
        ("final-route-run = redirect:/x", "the response is over"),
        ("final-route-run = break:404", "the response is over"),
        ("add-header = X", "NAME: VALUE"),
        ("del-header = X Y", "no name of a header"),
        ("collect-header = X", "HEADER VARIABLE"),
        ("pull-header = X", "HEADER VARIABLE"),
    ],
)
def test_mistakes(rule: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        compiled("route-run = last:\n" * 2 + rule)
    assert caught.value.source == "x.ini:3"
    text = str(caught.value)
    assert text.startswith(f"x.ini:3: {rule}: " if len(rule) < 100 else f"x.ini:3: {rule[:100]}")
    assert len(text) < 2000


def test_a_label_behind_is_no_target() -> None:
    with pytest.raises(ConfigError, match="only leads forward"):
        compiled("route-label = a\nroute-run = goto:a")


def test_phases_have_labels_of_their_own() -> None:
    with pytest.raises(ConfigError, match="among the error-route rules"):
        compiled("route-label = a\nerror-route-run = goto:a")


def test_blanks_may_line_rules_up() -> None:
    assert len(compiled("route = ^/x    log:y\nroute-run =   last:").chains["route"]) == 2


def test_no_action_is_both_there_and_absent() -> None:
    assert not ABSENT.keys() & ACTIONS.keys()


_WANTED = """
    uwsgi http static redirect redirect-302 redirect-301 rewrite addheader delheader remheader setscriptname setpathinfo
    setenv addvar basicauth break return send log continue last goto seturi cors mime file sendfile chdir harakiri
    disconnect signal
"""


def test_all_actions_of_the_issue_exist() -> None:
    wanted = _WANTED.split()
    assert not set(wanted) - ACTIONS.keys()
