"""A raw websocket client: sends any octets, and is strict about every frame that the server sends."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import time
from dataclasses import dataclass
from typing import Any, Optional

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_SENDABLE = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Violation(AssertionError):
    """The server broke RFC 6455."""


class Silence(AssertionError):
    """The server did not say what was waited for within the deadline."""


@dataclass(frozen=True)
class Event:
    """One thing that the server did.

    Attributes:
        kind: "text", "binary", "ping", "pong", "close"; "end" when it closed TCP in order, "reset" when it did not.
        payload: of the message or control frame; a close frame's reason. None, in an expectation, stands for any.
        code: of a close frame, 1005 when it has none.
    """

    kind: str
    payload: Optional[bytes] = b""
    code: int = 0

    def matches(self, other: Event) -> bool:
        """Whether `other`, which happened, is what this one expects."""
        return (self.kind, self.code) == (other.kind, other.code) and self.payload in (None, other.payload)

    def __str__(self) -> str:
        if self.kind in ("end", "reset"):
            return {"end": "TCP closed in order", "reset": "TCP reset"}[self.kind]
        if self.payload is None:
            return f"{self.kind} {self.code}"
        shown = repr(self.payload) if len(self.payload) < 60 else f"{self.payload[:50]!r}... ({len(self.payload)} bytes)"
        return f"{self.kind} {self.code or ''} {shown}".replace("  ", " ")


@dataclass(frozen=True)
class Response:
    """The answer to a handshake.

    Attributes:
        status: the code.
        headers: lower-case names in order, each with its value.
    """

    status: int
    reason: str
    headers: list[tuple[str, str]]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name.lower()]

    def get(self, name: str) -> Optional[str]:
        """The only header of this name, or None; two of them are a violation."""
        found = self.all(name)
        if len(found) > 1:
            raise Violation(f"{len(found)} headers {name}")
        return found[0] if found else None


def request(path: str = "/", key: Optional[str] = None, *, line: Optional[str] = None, **changes: Any) -> tuple[bytes, str]:
    """A handshake, and its key.

    Args:
        line: another request line.
        changes: headers with "_" for "-"; None leaves one out, a list sends several.
    """
    key = base64.b64encode(os.urandom(16)).decode() if key is None else key
    headers: dict[str, Any] = {
        "host": "conformance.example",
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-key": key,
        "sec-websocket-version": "13",
    }
    headers.update({name.replace("_", "-"): value for name, value in changes.items()})
    lines = [line or f"GET {path} HTTP/1.1"]
    for name, value in headers.items():
        values = value if isinstance(value, list) else [] if value is None else [value]
        lines += [f"{name}: {one}" for one in values]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"), key


class RawClient:
    """A connection to a server.

    Args:
        sock: connected, blocking.
        deadline: seconds that any one wait may take.
    """

    def __init__(self, sock: socket.socket, deadline: float = 20.0) -> None:
        self.sock = sock
        self.deadline = deadline
        self._buffer = bytearray()
        self._ended = ""
        self._reset = False
        self._kind = 0
        self._joined = bytearray()
        self._closed = False
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self.sock.close()

    # -- writing

    def send(self, data: bytes) -> None:
        """Send octets as they are. A connection that is reset meanwhile shows when what came before has been read."""
        self.sock.settimeout(self.deadline)
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            self._reset = True

    # -- the handshake

    def handshake(self, path: str = "/", early: bytes = b"", **changes: Any) -> Response:
        """Open a websocket, with `early` in the packet of the request; an answer that is not exactly right is a violation."""
        data, key = request(path, **changes)
        self.send(data + early)
        response = self.response()
        if response.status != 101:
            raise Violation(f"handshake answered with {response.status} {response.reason}")
        expected = base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()
        if response.get("sec-websocket-accept") != expected:
            raise Violation(f"Sec-WebSocket-Accept {response.get('sec-websocket-accept')!r}, not {expected!r}")
        if (response.get("upgrade") or "").lower() != "websocket":
            raise Violation(f"Upgrade: {response.get('upgrade')}")
        if "upgrade" not in [token.strip().lower() for token in (response.get("connection") or "").split(",")]:
            raise Violation(f"Connection: {response.get('connection')}")
        if response.get("sec-websocket-extensions") is not None:
            raise Violation("an extension that was not offered")
        for forbidden in ("content-length", "transfer-encoding"):
            if response.get(forbidden) is not None:
                raise Violation(f"{forbidden} in a 101 response")
        return response

    def response(self) -> Response:
        """Read a response head."""
        end = time.monotonic() + self.deadline
        while b"\r\n\r\n" not in self._buffer:
            if not self._fill(end):
                raise Violation(f"no response head but {bytes(self._buffer)!r}, then {self._ended}")
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer = bytearray(rest)
        lines = head.decode("latin-1").split("\r\n")
        version, status, reason = (lines[0] + " ").split(" ", 2)
        if version != "HTTP/1.1":
            raise Violation(f"status line {lines[0]!r}")
        headers = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise Violation(f"header line {line!r}")
            headers.append((name.lower(), value.strip()))
        return Response(int(status), reason.strip(), headers)

    def body(self, response: Response) -> bytes:
        """The body of a refusal."""
        end = time.monotonic() + self.deadline
        length = response.get("content-length")
        while (length is None or len(self._buffer) < int(length)) and self._fill(end):
            pass
        size = len(self._buffer) if length is None else int(length)
        body, self._buffer = bytes(self._buffer[:size]), self._buffer[size:]
        return body

    # -- reading

    def event(self, deadline: Optional[float] = None) -> Event:
        """The next message, control frame or end; everything that RFC 6455 forbids a server raises Violation.

        Raises:
            Silence: nothing complete within the deadline in seconds.
        """
        end = time.monotonic() + (self.deadline if deadline is None else deadline)
        while True:
            frame = self._frame(end)
            if frame is None:
                return Event(self._ended)
            found = self._judge(*frame)
            if found is not None:
                return found

    def _fill(self, end: float) -> bool:
        """Read more octets; False at the end of the connection."""
        if self._ended:
            return False
        left = end - time.monotonic()
        if left <= 0:
            raise Silence(f"nothing within {self.deadline:g} s (buffer: {bytes(self._buffer[:40])!r})")
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(1 << 18)
        except socket.timeout:
            raise Silence("nothing within the deadline") from None
        except OSError:
            self._ended = "reset"
            return False
        if not data:
            # The kernel tells of a reset once: to the write that met it, not again to the read.
            self._ended = "reset" if self._reset else "end"
            return False
        self._buffer += data
        return True

    def _octets(self, count: int, end: float) -> Optional[bytes]:
        while len(self._buffer) < count:
            if not self._fill(end):
                return None
        return bytes(memoryview(self._buffer)[:count])

    def _frame(self, end: float) -> Optional[tuple[bool, int, bytes]]:
        """(FIN, opcode, payload), or None at the end; nothing is taken from the buffer before the frame is whole."""
        head = self._octets(2, end)
        if head is None:
            if self._buffer:
                raise Violation(f"the connection ended within a frame: {bytes(self._buffer)!r}")
            return None
        if self._closed:
            raise Violation(f"octets behind the close frame: {bytes(self._buffer[:40])!r}")
        first, size = head
        if first & 0x70:
            raise Violation(f"reserved bit in the first octet {first:#04x}")
        if first & 15 not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise Violation(f"opcode {first & 15}")
        if size & 0x80:
            raise Violation("masked frame")
        if first & 15 >= CLOSE and (size > 125 or not first & 0x80):
            raise Violation("control frame long or fragmented")
        width = {126: 2, 127: 8}.get(size, 0)
        if width:
            extended = self._octets(2 + width, end)
            if extended is None:
                raise Violation("the connection ended within a frame's length")
            size = int.from_bytes(extended[2:], "big")
            if size < (126 if width == 2 else 65536) or size >> 63:
                raise Violation(f"length {size} in {width} octets")
        whole = self._octets(2 + width + size, end)
        if whole is None:
            raise Violation("the connection ended within a frame")
        del self._buffer[: 2 + width + size]
        return bool(first & 0x80), first & 15, whole[2 + width :]

    def _judge(self, fin: bool, opcode: int, payload: bytes) -> Optional[Event]:
        if opcode == PING:
            return Event("ping", payload)
        if opcode == PONG:
            return Event("pong", payload)
        if opcode == CLOSE:
            self._closed = True
            if not payload:
                return Event("close", code=1005)
            code = int.from_bytes(payload[:2], "big")
            if len(payload) < 2 or code not in _SENDABLE:
                raise Violation(f"close frame with {payload!r}")
            try:
                payload[2:].decode("utf-8")
            except UnicodeDecodeError:
                raise Violation(f"close reason {payload[2:]!r}") from None
            return Event("close", payload[2:], code)
        if (opcode == CONTINUATION) != bool(self._kind):
            raise Violation("continuation without a start, or a start inside a message")
        self._kind = self._kind or opcode
        self._joined += payload
        if not fin:
            return None
        kind, whole = self._kind, bytes(self._joined)
        self._kind, self._joined = 0, bytearray()
        if kind == BINARY:
            return Event("binary", whole)
        try:
            whole.decode("utf-8")
        except UnicodeDecodeError:
            raise Violation(f"text that is not UTF-8: {whole[:60]!r}") from None
        return Event("text", whole)
