"""A few seconds of each further target in every run, more with GEUWSGI_FUZZ_SECONDS, and what they once found."""

from __future__ import annotations

import os
import time
from types import ModuleType
from typing import Any

import pytest

from tests.fuzz import deflate, heads, packets
from tests.fuzz.running import run
from tests.protocol.inflate import ReferenceInflater, Refused

#: (check, its arguments), as the fuzzers print them.
FINDINGS: list[tuple[ModuleType, str, tuple[Any, ...]]] = [
    # Too long, and corrupt right behind the octet too many: zlib may see either first.
    (deflate, "inflater", ([b"\x9a\xc9\x03\x00\xb4NK\r\x00"], list(range(40)), 1, True)),
    (deflate, "inflater", ([b"\xe2\x03\x00\x00\x00\xff\xff\xfa\x02(\x05\x00\xf9\xe8"], [14, 10, 7], 1, True)),
    # A value that is no number, in an offer that is declined before one that is not.
    (deflate, "negotiation", ("permessage-deflate;server_max_window_bits=a, permessage-deflate", False)),
    (heads, "heads", (b"GET / HTTP/1.1\r\nHost: exa,mple\r\nX_Y: underscore\r\n\r\n", list(range(50)))),
    # A line feed: in a PROXY line that was refused before its end came, in a target that was put together from what is not checked.
    (packets, "header", (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535\n65535\r\n",)),
    (packets, "packet", (b"\x00&\x00\x00\x0e\x00REQUEST_METHOD\x03\x00GET\x0c\x00QUERY_STRING\x01\x00\n", [])),
]


@pytest.mark.parametrize(("target", "name", "arguments"), FINDINGS)
def test_findings(target: Any, name: str, arguments: tuple[Any, ...]) -> None:
    target.CHECKS[name](*arguments)


@pytest.mark.parametrize("target", [deflate, heads, packets], ids=["deflate", "heads", "packets"])
def test_fuzz(target: Any) -> None:
    default = "10" if os.environ.get("CI") == "true" else "2"
    seconds = min(60.0, float(os.environ.get("GEUWSGI_FUZZ_SECONDS", default)))
    # The time as the seed: every run looks somewhere else, and a finding names its seed.
    assert run(target.one, target.CHECKS, int(time.time()), 1 << 62, seconds) > 0


# -- the reference itself, by the examples of RFC 7692 section 7.2.3


@pytest.mark.parametrize(
    "message",
    ["f2 48 cd c9 c9 07 00", "00 05 00 fa ff 48 65 6c 6c 6f 00", "f3 48 cd c9 c9 07 00 00", "f2 48 05 00 00 00 ff ff ca c9 c9 07 00"],
)
def test_the_reference_knows_the_examples(message: str) -> None:
    assert ReferenceInflater(False).message(bytes.fromhex(message), 5) == b"Hello"
    for data in (bytes.fromhex(message)[:-1], bytes.fromhex(message) + b"\x00\x00\xff\xff"):
        with pytest.raises(Refused) as caught:
            ReferenceInflater(False).message(data, 5)
        assert caught.value.code == 1007
    with pytest.raises(Refused) as caught:
        ReferenceInflater(False).message(bytes.fromhex(message), 4)
    assert caught.value.code == 1009


def test_the_reference_takes_contexts_over() -> None:
    inflater = ReferenceInflater(True)
    assert inflater.message(bytes.fromhex("f2 48 cd c9 c9 07 00"), 5) == b"Hello"
    assert inflater.message(bytes.fromhex("f2 00 11 00 00"), 5) == b"Hello"
    assert inflater.farthest == 5
