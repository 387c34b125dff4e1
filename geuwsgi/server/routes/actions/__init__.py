"""What a rule can do: by name, what makes an action of its argument.

To add one, write `def name(argument, workshop) -> Action` in the file where it belongs and put it into that file's `ACTIONS`.
"""

from __future__ import annotations

from typing import Callable

from ..engine import Action
from . import answers, auth, flow, headers, proxy, variables
from .workshop import Workshop

__all__ = ["ABSENT", "ACTIONS", "Workshop"]

ACTIONS: dict[str, Callable[[str, Workshop], Action]] = {
    **flow.ACTIONS,
    **variables.ACTIONS,
    **headers.ACTIONS,
    **answers.ACTIONS,
    **auth.ACTIONS,
    **proxy.ACTIONS,
}

_CACHE = "uWSGI's cache"
_METRICS = "uWSGI's metrics"
_RPC = "uWSGI's RPC"
_BUFFER = "uWSGI's transformations of bodies"

#: Actions of uWSGI and its plugins that need a part of it which is not here.
ABSENT: dict[str, str] = {
    "access": "tcp wrappers",
    "alarm": "uWSGI's alarms",
    **dict.fromkeys(("cache", "cache-continue", "cachevar", "cacheset", "cachestore", "cache-store"), _CACHE),
    **dict.fromkeys(("cacheinc", "cachedec", "cachemul", "cachediv"), _CACHE),
    **dict.fromkeys(("call", "rpc", "rpcret", "rpcblob", "rpcnext", "rpcraw", "rpcvar"), _RPC),
    **dict.fromkeys(("cgi", "cgihelper"), "uWSGI's CGI plugin"),
    **dict.fromkeys(("metricinc", "metricdec", "metricmul", "metricdiv", "metricset"), _METRICS),
    **dict.fromkeys(("fixcl", "flush", "forcecl", "offload", "template", "tofile", "to-file", "toupper"), _BUFFER),
    **dict.fromkeys(("ldapauth", "ldapauth-next"), "an LDAP client"),
    **dict.fromkeys(("radius", "radius-next"), "a RADIUS client"),
    **dict.fromkeys(("spnego", "spnego-next"), "Kerberos"),
    **dict.fromkeys(("memcached", "memcached-continue", "memcachedstore", "memcached-store"), "a memcached client"),
    **dict.fromkeys(("redis", "redis-continue", "redisstore", "redis-store"), "uWSGI's redis router"),
    **dict.fromkeys(("setfile", "sethome"), "uWSGI's dynamic applications"),
    **dict.fromkeys(("symcall", "symcall-next"), "C symbols of uWSGI"),
    **dict.fromkeys(("xslt", "toxslt", "xmldir", "ssi", "gridfs"), "a plugin of uWSGI"),
    **dict.fromkeys(("httpconnect", "proxyhttpconnect"), "the CONNECT method"),
    "disableheaders": "responses without a head",
    "hash": "uWSGI's hash algorithms",
}
