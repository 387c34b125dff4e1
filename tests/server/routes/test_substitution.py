"""`$1` and `${VAR}`."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geuwsgi.server.routes.substitution import Template
from tests.server.routes.rules import context

ENVIRON = {
    "PATH_INFO": "/a b",
    "NAME": "x.png",
    "QUERY_STRING": "a=1&b=%20&a=2&c",
    "HTTP_COOKIE": "a=1; b=2 ; empty=",
    "wsgi.version": (1, 0),
    "KEY": "a",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("", ""),
        ("${PATH_INFO}", "/a b"),
        ("<${PATH_INFO}|${NAME}>", "</a b|x.png>"),
        ("${NONE}", ""),
        ("${wsgi.version}", ""),  # no text
        ("$1-$2-$3-$9", "one-two--"),
        ("$0", "onetwo"),
        ("$10", "one0"),
        ("$", "$"),
        ("a$", "a$"),
        ("$x", "$x"),
        ("$$1", "$$1"),
        ("$${NAME}", "$${NAME}"),
        ("${NAME", "${NAME"),
        ("$1${", "one${"),
        ("{NAME}", "{NAME}"),
        ("${cookie[a]}${cookie[b]}${cookie[empty]}${cookie[none]}", "12"),
        ("${qs[a]}|${qs[b]}|${qs[c]}|${qs[none]}", "1|%20||"),
        ("${mime[NAME]}|${mime[PATH_INFO]}", "image/png|"),
        ("${base64[NAME]}", "eC5wbmc="),
        ("${hex[NAME]}", "782E706E67"),
        ("${uwsgi[wid]}|${uwsgi[status]}|${uwsgi[rsize]}|${uwsgi[sor]}|${uwsgi[lq]}", "0|500|0|1500000|0"),
        ("${qs[$3]}|${cookie[$3]}|${no[$1]}", "||"),
        ("${${KEY}}", "}"),  # no nesting of variables, as in uWSGI
        ("é", "Ã©"),  # an environ has bytes as characters
    ],
)
def test_texts(text: str, expected: str) -> None:
    found = context(**ENVIRON)
    found.match = re.search("(one)(two)(three)?", "onetwo")
    assert Template(text)(found) == expected


def test_a_group_chooses_a_variable() -> None:
    found = context(**ENVIRON)
    found.match = re.search("(.)", "b")
    assert Template("${cookie[$1]}")(found) == "2"


@pytest.mark.parametrize("sent", ["$1", "${KEY}", "b]${cookie[b", "[", "no[x]"])
def test_a_group_that_chooses_a_variable_is_a_name_and_nothing_else(sent: str) -> None:
    found = context(**ENVIRON)
    found.match = re.search("(.*)", sent)
    assert Template("${cookie[$1]}${$1}")(found) == ""


def test_what_a_client_sends_is_not_looked_through_again() -> None:
    found = context(SECRET="s", PATH_INFO="/${SECRET}")
    found.match = re.search("/(.*)", "/${SECRET}")
    assert Template("$1 ${PATH_INFO}")(found) == "${SECRET} /${SECRET}"


def test_times() -> None:
    found = context()
    before = time.time()
    assert before - 5 < int(Template("${time[unix]}")(found)) < time.time() + 5
    assert before - 5 < int(Template("${time[micros]}")(found)) / 1e6 < time.time() + 5
    assert Template("${httptime[0]}")(found).endswith(" GMT")
    assert Template("${httptime[3600]}")(found) != Template("${httptime[]}")(found)
    assert len(Template("${uwsgi[uuid]}")(found)) == 36
    assert Template("${uwsgi[pid]}")(found).isdigit()
    assert Template("${uwsgi[rtime]}")(found).isdigit()


def test_a_time_that_a_client_chooses() -> None:
    found = context()
    for text, expected in (
        ("9" * 15, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ("-" + "9" * 15, "Mon, 01 Jan 0001 00:00:00 GMT"),
        ("9" * 5000, ""),
    ):
        found.match = re.search("(.*)", text)
        assert Template("${httptime[$1]}")(found) == expected


def test_constants_are_known_as_such() -> None:
    assert Template("a$b").constant == "a$b"
    assert Template("${A}").constant is None


@pytest.mark.parametrize("text", ["${geoip[country_code]}", "${time[years]}", "${uwsgi[x]}", "${httptime[soon]}", "${metric[a]}"])
def test_functions_that_do_not_exist(text: str) -> None:
    with pytest.raises(ValueError, match=r"there are|there is no|a number"):
        Template(text)


_PIECES = st.lists(
    st.sampled_from(["$", "{", "}", "[", "]", "$1", "${", "cookie[", "qs[", "A", "b", "\xe9", "\r\n", "\0", " "]), max_size=12
)


@given(_PIECES.map("".join), _PIECES.map("".join))
def test_any_text(text: str, sent: str) -> None:
    """A text is refused at the start or works for every request, and what a client sends never makes anything of itself."""
    try:
        template = Template(text)
    except ValueError:
        return
    found = context(A=sent, HTTP_COOKIE=sent, SECRET="the secret")
    found.match = re.search("(.*)", sent, re.DOTALL)
    assert "the secret" not in template(found)
