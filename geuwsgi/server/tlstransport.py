"""The HTTP side of a TLS connection: the same methods as a plain `Transport`, which wait, on a `TLSStream`, which does not."""

from __future__ import annotations

import os
import ssl
from typing import Any, Optional, Union

from .stream import ByteStream
from .tlsstream import TLSStream
from .transport import LINGER_BYTES, LINGER_SECONDS, READ_SIZE, ClientError, Sweeper, Transport

#: Bytes of a file that are read, encrypted and sent, after which other greenlets get their turn.
FILE_SIZE = 65536


class TLSTransport(Transport):
    """One TLS connection.

    Args:
        sock: a gevent socket, on which nothing has been read or written yet.
        sweeper: as in Transport.
        write_timeout: as in Transport.
        peer: the client, for the log.
        context: the one that answers the client's first word.

    Attributes:
        stream: the bytes in plain.
    """

    __slots__ = ("stream",)

    def __init__(self, sock: Any, sweeper: Sweeper, write_timeout: float, peer: str, context: ssl.SSLContext) -> None:
        super().__init__(sock, sweeper, write_timeout)
        self.stream = TLSStream(sock._sock, sock.fileno(), sock.family, peer, context)

    # -- the handshake

    def receive_ciphertext(self, deadline: float) -> bytes:
        """As `receive`, before decryption."""
        data = self.stream.take_ciphertext()
        while data is None:
            self._wait_readable(self.sock.fileno(), deadline)
            data = self.stream.take_ciphertext()
        return data

    # -- reading

    def receive_now(self) -> Optional[bytes]:
        return self.stream.receive(READ_SIZE)

    def receive(self, deadline: float, size: int = READ_SIZE) -> bytes:
        data = self.stream.receive(size) if self.stream.held else None
        while data is None:
            self._wait_readable(self.sock.fileno(), deadline)
            data = self.stream.receive(size)
        return data

    # -- writing

    def send(self, data: Union[bytes, memoryview]) -> None:
        sent = self.stream.transmit(data)
        if sent != len(data) or not self.stream.flushed:
            self._send_on(data, sent)

    def send_two(self, head: bytes, data: bytes) -> None:
        sent = self.stream.transmit_two(head, data)
        if sent != len(head) + len(data) or not self.stream.flushed:
            if 0 <= sent < len(head):
                self._send_on(head + data, sent)
            else:
                self._send_on(data, sent - len(head) if sent >= 0 else sent)

    def _send_on(self, data: Union[bytes, memoryview], sent: int) -> None:
        """Send what is left behind the first `sent` bytes, and wait until the kernel has all of it."""
        rest = memoryview(data)
        while True:
            if sent < 0 or self.stream.broken:
                raise self._lost(ConnectionResetError(0, "the TLS connection is broken"))
            rest = rest[sent:]
            if not rest and self.stream.flushed:
                return
            self.wait_writable()
            self.stream.flush()
            sent = self.stream.transmit(rest) if rest else 0

    def send_file(self, fd: int, offset: int, count: int) -> int:
        left = count
        while left:
            data = os.pread(fd, min(left, FILE_SIZE), offset)
            if not data:
                break
            self.send(data)
            offset += len(data)
            left -= len(data)
            if left:
                self.wait_writable()
        return count - left

    # -- the end

    def linger(self) -> None:
        self.stream.end()
        deadline = self._sweeper.now + LINGER_SECONDS
        taken = 0
        try:
            while taken < LINGER_BYTES:
                data = self.receive_ciphertext(deadline)
                if not data:
                    return
                taken += len(data)
        except (ClientError, OSError):
            pass

    def reset(self) -> None:
        super().reset()
        # No goodbye either.
        self.stream.broken = True

    def hand_over(self) -> ByteStream:
        Transport.release(self)
        self.stream.hand_over(self.sock.detach())
        return self.stream

    def release(self) -> None:
        super().release()
        self.stream.release()

    def close(self) -> None:
        # Without it a client cannot tell the end from a connection that was cut.
        self.stream.end()
        super().close()
