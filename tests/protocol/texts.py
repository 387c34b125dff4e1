"""Every boundary of UTF-8 (RFC 3629, and table 3-7 of the Unicode Standard)."""

from __future__ import annotations

#: Well-formed: first and last of each length and range.
GOOD_TEXTS = {
    "empty": b"",
    "1 first": b"\x00",
    "1 last": b"\x7f",
    "2 first": b"\xc2\x80",
    "2 last": b"\xdf\xbf",
    "3 first": b"\xe0\xa0\x80",
    "3 before the surrogates": b"\xed\x9f\xbf",
    "3 behind the surrogates": b"\xee\x80\x80",
    "3 last": b"\xef\xbf\xbf",
    "4 first": b"\xf0\x90\x80\x80",
    "4 last": b"\xf4\x8f\xbf\xbf",
    "replacement character": b"\xef\xbf\xbd",
    "byte order mark": b"\xef\xbb\xbf",
    "non-characters": b"\xef\xbf\xbe\xef\xbf\xbf\xf0\x9f\xbf\xbe\xf4\x8f\xbf\xbf\xef\xb7\x90\xef\xb7\xaf",
    "Greek": b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
}
#: Ill-formed: the text, and how many of its octets are in when it must fail (one more than its length: only at its end).
BAD_TEXTS = {
    "continuation alone": (b"\x80", 1),
    "last continuation alone": (b"\xbf", 1),
    "overlong 2, first": (b"\xc0\x80", 1),
    "overlong 2, last": (b"\xc1\xbf", 1),
    "overlong 3, first": (b"\xe0\x80\x80", 2),
    "overlong 3, last": (b"\xe0\x9f\xbf", 2),
    "overlong 4, first": (b"\xf0\x80\x80\x80", 2),
    "overlong 4, last": (b"\xf0\x8f\xbf\xbf", 2),
    "first surrogate": (b"\xed\xa0\x80", 2),
    "last high surrogate": (b"\xed\xaf\xbf", 2),
    "first low surrogate": (b"\xed\xb0\x80", 2),
    "last surrogate": (b"\xed\xbf\xbf", 2),
    "surrogate pair": (b"\xed\xa0\xbd\xed\xb8\x80", 2),
    "above the last": (b"\xf4\x90\x80\x80", 2),
    "lead f5": (b"\xf5\x80\x80\x80", 1),
    "lead of 5": (b"\xf8\x88\x80\x80\x80", 1),
    "lead of 6": (b"\xfc\x84\x80\x80\x80\x80", 1),
    "fe": (b"\xfe", 1),
    "ff": (b"\xff", 1),
    "2 cut by ASCII": (b"\xc2a", 2),
    "3 cut by ASCII": (b"\xe2\x82a", 3),
    "4 cut by ASCII": (b"\xf0\x9f\x98a", 4),
    "3 cut by a lead": (b"\xe2\xe2\x82\xac", 2),
    "2 unfinished": (b"\xc2", 2),
    "3 unfinished": (b"\xe2\x82", 3),
    "4 unfinished": (b"\xf0\x9f\x98", 4),
    "4 of one octet": (b"\xf4", 2),
}
