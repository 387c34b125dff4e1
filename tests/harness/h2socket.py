"""One websocket over HTTP/2 (RFC 8441) with the face of a socket on which a websocket of HTTP/1.1 is spoken.

So that what is written for the one can be played over the other: the first bytes sent are a handshake of HTTP/1.1, which becomes an
extended CONNECT; what is received begins with the 101 that such a client waits for.
"""

from __future__ import annotations

import base64
import hashlib
import socket
from typing import Any

import h2.config
import h2.connection
import h2.events
from h2.settings import SettingCodes

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

#: Fields that belong to HTTP/1.1.
_HOP = {"host", "connection", "upgrade", "sec-websocket-key", "keep-alive", "proxy-connection", "transfer-encoding", "content-length"}


class H2Socket:
    """A stream of its own connection.

    Args:
        sock: connected, blocking or gevent's.
        scheme: "https" over TLS.
    """

    def __init__(self, sock: Any, scheme: str = "http") -> None:
        self._sock = sock
        self._scheme = scheme
        self.family = socket.AF_UNIX  # no option of TCP makes sense here
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="latin-1"))
        self._h2.config.validate_outbound_headers = False
        self._h2.config.normalize_outbound_headers = False
        self._h2.initiate_connection()
        self._head = b""
        self._key = b""
        self._stream = 0
        self._received = b""
        self._buffer = b""
        self._ended = False
        self._reset = False
        self._flush()
        while SettingCodes.ENABLE_CONNECT_PROTOCOL not in self._h2.remote_settings or not self._h2.remote_settings.enable_connect_protocol:
            assert self._more(), "the server does not offer RFC 8441"

    # -- the face of a socket

    def settimeout(self, seconds: Any) -> None:
        self._sock.settimeout(seconds)

    def setsockopt(self, *arguments: Any) -> None:
        self._sock.setsockopt(*arguments)

    def sendall(self, data: bytes) -> None:
        if not self._stream:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._connect(head.decode("latin-1"))
        while data:
            if self._ended and self._reset:
                raise ConnectionResetError
            try:
                room = min(self._h2.local_flow_control_window(self._stream), 16384, len(data))
                if room:
                    self._h2.send_data(self._stream, data[:room])
                    data = data[room:]
                    self._flush()
                    continue
            except h2.exceptions.ProtocolError:
                raise BrokenPipeError from None
            if not self._more():
                raise ConnectionResetError

    def recv(self, size: int) -> bytes:
        while not self._received:
            if self._ended:
                if self._reset:
                    raise ConnectionResetError
                return b""
            self._more()
        data, self._received = self._received[:size], self._received[size:]
        return data

    def shutdown(self, how: int) -> None:
        self._h2.end_stream(self._stream)
        self._flush()

    def close(self) -> None:
        self._sock.close()

    def fileno(self) -> int:
        return int(self._sock.fileno())

    # -- inside

    def _connect(self, head: str) -> None:
        line, *rest = head.split("\r\n")
        method, path, _ = line.split(" ")
        headers = [(name.lower(), value.strip()) for name, _, value in (one.partition(":") for one in rest)]
        given = dict(headers)
        self._key = given.get("sec-websocket-key", "").encode("latin-1")
        fields = [(":method", "CONNECT" if "sec-websocket-key" in given else method)]
        if "sec-websocket-key" in given:
            fields.append((":protocol", "websocket"))
        fields += [(":scheme", self._scheme), (":path", path), (":authority", given.get("host", ""))]
        self._stream = self._h2.get_next_available_stream_id()
        self._h2.send_headers(self._stream, fields + [field for field in headers if field[0] not in _HOP])
        self._flush()

    def _flush(self) -> None:
        self._sock.sendall(self._h2.data_to_send())

    def _more(self) -> bool:
        data = self._sock.recv(65536)
        if not data:
            self._ended = True
            return False
        for event in self._h2.receive_data(self._without_goaway(data)):
            if isinstance(event, h2.events.ResponseReceived):
                self._respond([(str(name), str(value)) for name, value in event.headers or ()])
            elif isinstance(event, h2.events.DataReceived):
                self._received += event.data or b""
                self._h2.acknowledge_received_data(event.flow_controlled_length or 0, self._stream)
            elif isinstance(event, h2.events.StreamEnded):
                self._ended = True
            elif isinstance(event, h2.events.StreamReset):
                self._ended = self._reset = True
        try:
            self._flush()
        except OSError:
            pass
        return True

    def _without_goaway(self, data: bytes) -> bytes:
        """Whole frames, without those that only say that the server wants no further streams: h2 would end at the first of them."""
        self._buffer += data
        kept = b""
        while len(self._buffer) >= 9:
            size = 9 + int.from_bytes(self._buffer[:3], "big")
            if len(self._buffer) < size:
                break
            if self._buffer[3] != 7:
                kept += self._buffer[:size]
            self._buffer = self._buffer[size:]
        return kept

    def _respond(self, fields: list[tuple[str, str]]) -> None:
        """The head that a client of HTTP/1.1 waits for."""
        status = dict(fields)[":status"]
        lines = [f"HTTP/1.1 {status} over HTTP/2"]
        if status == "200" and self._key:
            accept = base64.b64encode(hashlib.sha1(self._key + _GUID).digest()).decode()
            lines = ["HTTP/1.1 101 over HTTP/2", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept}"]
        lines += [f"{name}: {value}" for name, value in fields if not name.startswith(":")]
        self._received += ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
