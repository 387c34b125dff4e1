"""geuwsgi/server/http2/session.py"""

from __future__ import annotations

import h2.connection
import h2.events
import hpack

from geuwsgi.server.http2.session import ENCODER_TABLE, Session
from tests.server.http2client import PREFACE, frame

GET = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")]


def session(streams: int = 100) -> Session:
    made = Session(streams, 1000, 2000)
    made.initiate_connection()
    made.receive_data(PREFACE + frame(4, 0, 0))
    return made


def test_what_has_ended_is_forgotten() -> None:
    made = session(10)
    encoder = hpack.Encoder()
    for index in range(3000):
        made.receive_data(frame(1, 5, 2 * index + 1, encoder.encode(GET)))
        made.send_headers(2 * index + 1, [(b":status", b"204")], True)
    assert len(made.streams) <= 21
    assert len(made._closed_streams) <= 1024


def test_one_stream_too_many_is_no_matter_for_h2() -> None:
    made = session(1)
    encoder = hpack.Encoder()
    for number in (1, 3, 5):
        events = made.receive_data(frame(1, 5, number, encoder.encode(GET)))
        assert isinstance(events[0], h2.events.RequestReceived)


def test_the_client_is_told() -> None:
    made = Session(7, 1000, 2000)
    made.initiate_connection()
    client = h2.connection.H2Connection()
    client.initiate_connection()
    client.receive_data(made.data_to_send())
    settings = client.remote_settings
    assert settings.max_concurrent_streams == 7
    assert settings.max_header_list_size == 1000
    assert settings.enable_connect_protocol == 1
    assert not settings.enable_push


def test_a_large_table_is_not_used() -> None:
    made = session()
    made.receive_data(frame(4, 0, 0, b"\0\x01\0\x01\0\0"))
    assert made.encoder.header_table_size == 65536
    made.limit_encoder()
    assert made.encoder.header_table_size == ENCODER_TABLE
    decoder = hpack.Decoder()
    decoder.max_allowed_table_size = 65536
    assert list(decoder.decode(made.encoder.encode([(b"a", b"b")]))) == [("a", "b")]
