"""A client of HTTP/2 in clear text that sees every event, made of hyper-h2's own client side; and bytes for those who break the rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Optional

import gevent.socket
import h2.config
import h2.connection
import h2.events
from h2.settings import SettingCodes

Headers = list[tuple[str, str]]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame, whatever it may be worth."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


#: Frames that begin a connection: settings, and the acknowledgement of the server's.
HELLO = PREFACE + frame(4, 0, 0)


class Answer:
    """What came on one stream.

    Attributes:
        headers: of the response; `interim`: of those before it.
        ended: the server has ended the stream.
        reset: the error code of a RST_STREAM.
    """

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.interim: list[dict[str, str]] = []
        self.body = b""
        self.ended = False
        self.reset: Optional[int] = None

    @property
    def status(self) -> int:
        return int(self.headers[":status"])

    @property
    def done(self) -> bool:
        return self.ended or self.reset is not None


class H2Client:
    """One connection.

    Attributes:
        answers: what came, by stream.
        goaways: (last stream, error code) of each GOAWAY.
        credit: give windows back as data comes.
        held: answer nothing yet.
    """

    def __init__(self, address: Any, settings: Optional[dict[SettingCodes, int]] = None) -> None:
        self.sock = gevent.socket.create_connection(address, timeout=20)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="latin-1"))
        self.h2.config.validate_outbound_headers = False
        self.h2.config.normalize_outbound_headers = False
        self.answers: dict[int, Answer] = defaultdict(Answer)
        self.goaways: list[tuple[int, int]] = []
        self.pings = 0
        self.credit = True
        self.held = False
        self.closed = False
        self.buffer = b""
        self.h2.initiate_connection()
        if settings:
            self.h2.update_settings(settings)
        self.flush()

    def flush(self) -> None:
        data = self.h2.data_to_send()
        if data:
            try:
                self.sock.sendall(data)
            except ConnectionError:
                self.closed = True

    def raw(self, data: bytes) -> None:
        """Send bytes as they are, behind what h2 has to say."""
        self.flush()
        self.sock.sendall(data)

    def ask(self, path: str = "/", method: str = "GET", headers: Iterable[tuple[str, str]] = (), end: bool = True, **pseudo: str) -> int:
        """Send a request; the number of its stream."""
        number = self.h2.get_next_available_stream_id()
        fields = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "test")]
        fields += [(":" + name, value) for name, value in pseudo.items()]
        self.send_head(number, [*fields, *headers], end)
        return number

    def send_head(self, number: int, fields: Headers, end: bool = True) -> None:
        self.h2.send_headers(number, fields, end_stream=end)
        self.flush()

    def send(self, number: int, data: bytes, end: bool = False) -> None:
        """Send data as far as the windows allow it at once."""
        while data:
            size = min(len(data), self.h2.local_flow_control_window(number), 16384)
            assert size, "no window"
            self.h2.send_data(number, data[:size], end_stream=end and size == len(data))
            data = data[size:]
        self.flush()

    def more(self) -> bool:
        """Take what comes next; False at the end."""
        try:
            data = self.sock.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self.closed = True
            return False
        self.buffer += data
        while len(self.buffer) >= 9 and len(self.buffer) >= 9 + int.from_bytes(self.buffer[:3], "big"):
            size = 9 + int.from_bytes(self.buffer[:3], "big")
            frame, self.buffer = self.buffer[:size], self.buffer[size:]
            if frame[3] == 7:  # h2 stops at the first GOAWAY, of which there may be two
                self.goaways.append((int.from_bytes(frame[9:13], "big"), int.from_bytes(frame[13:17], "big")))
                continue
            for event in self.h2.receive_data(frame):
                self.take(event)
        if not self.closed and not self.held:
            self.flush()
        return True

    def take(self, event: Any) -> None:
        answer = self.answers[event.stream_id] if getattr(event, "stream_id", None) else Answer()
        if isinstance(event, h2.events.InformationalResponseReceived):
            answer.interim.append(dict(event.headers))  # type: ignore[arg-type]
        elif isinstance(event, h2.events.ResponseReceived):
            assert event.headers is not None
            assert len(dict(event.headers)) == len(event.headers), event.headers
            answer.headers = dict(event.headers)  # type: ignore[arg-type]
        elif isinstance(event, h2.events.DataReceived):
            assert event.data is not None
            answer.body += event.data
            if self.credit and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            answer.ended = True
        elif isinstance(event, h2.events.StreamReset):
            answer.reset = int(event.error_code)
        elif isinstance(event, h2.events.PingAckReceived):
            self.pings += 1

    def answer(self, number: int) -> Answer:
        """The answer to a request, when it is complete."""
        while not self.answers[number].done:
            assert self.more(), f"the connection ended: {self.goaways}"
        return self.answers[number]

    def until(self, condition: Any) -> None:
        while not condition():
            assert self.more(), f"the connection ended: {self.goaways}"

    def get(self, path: str = "/", *args: Any, **named: Any) -> Answer:
        return self.answer(self.ask(path, *args, **named))

    def rest(self) -> tuple[int, int]:
        """Read to the end; the last GOAWAY."""
        while self.more():
            pass
        return self.goaways[-1] if self.goaways else (-1, -1)

    def close(self) -> None:
        self.sock.close()
