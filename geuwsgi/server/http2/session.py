"""hyper-h2 as a server wants it."""

from __future__ import annotations

import logging

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes, Settings

from ...protocol.http2.memory import RememberingDecoder, RememberingEncoder

#: The compressor's memory: a larger one, as Chromium asks for, would be searched from end to end for every header.
ENCODER_TABLE = 4096

# It says what it does in great detail, to whatever the application has set up.
logging.getLogger("hpack").setLevel(logging.WARNING)


class Session(H2Connection):
    """As h2's connection, but for what that does at each new stream: it goes through all that are open.

    Args:
        max_streams: that the client may open at once.
        max_head: bytes of a request head, as the client is told.
        largest_head: those from which on a head ends the connection.
    """

    #: How many streams that have ended are remembered. h2's 65,536 would be ten megabytes for each connection that lives long enough.
    MAX_CLOSED_STREAMS = 1024

    def __init__(self, max_streams: int, max_head: int, largest_head: int) -> None:
        super().__init__(
            H2Configuration(
                client_side=False,
                # `protocol.http2.head` and `server.head` do all this.
                validate_inbound_headers=False,
                normalize_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self._sweep_at = 2 * max_streams
        self.encoder = RememberingEncoder()
        self.decoder = RememberingDecoder()
        self.decoder.max_header_list_size = largest_head
        self.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: max_streams,
                SettingCodes.MAX_HEADER_LIST_SIZE: max_head,
                SettingCodes.ENABLE_CONNECT_PROTOCOL: 1,
            },
        )

    @property
    def open_inbound_streams(self) -> int:
        """0: the streams are counted elsewhere, since h2 would end the connection for one too many.

        What has ended is thrown away now and then.
        """
        if len(self.streams) > self._sweep_at:
            super().open_inbound_streams  # noqa: B018 - it throws away
        return 0

    def limit_encoder(self) -> None:
        """After the client has told its settings: use no larger table than is good."""
        if self.encoder.header_table_size > ENCODER_TABLE:
            self.encoder.header_table_size = ENCODER_TABLE
