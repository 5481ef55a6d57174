"""adb's wire protocol, the device's side: messages, and the streams that they carry over one connection.

Source: the Android Open Source Project, packages/modules/adb, protocol.txt. A message is six little-endian words
(command, two arguments, length and sum of the payload, the command's complement), then the payload. A writer waits for
OKAY after each WRTE. There is no authentication (AUTH) and no TLS: only for a port on this machine's loopback.
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import Final

MAX_PAYLOAD: Final = 1 << 20
_VERSION: Final = 0x01000001  # checksums may be skipped by the other side
_HEADER: Final = struct.Struct("<6I")
_MASK: Final = 0xFFFFFFFF


def _command(name: bytes) -> int:
    return int.from_bytes(name, "little")


_CNXN, _OPEN, _OKAY, _CLSE, _WRTE = (_command(name) for name in (b"CNXN", b"OPEN", b"OKAY", b"CLSE", b"WRTE"))


class Stream:
    """One service's two-way stream of bytes. `read` and `write` raise EOFError once the other side closed it."""

    def __init__(self, transport: "Transport", local: int, remote: int) -> None:
        self._transport = transport
        self.local = local
        self.remote = remote
        self._received = bytearray()
        self._changed = threading.Condition()
        self._may_write = True
        self._ended = False

    def write(self, data: bytes) -> None:
        """Send all of `data`; waits for the other side to take it."""
        for start in range(0, len(data), self._transport.payload):
            with self._changed:
                self._changed.wait_for(lambda: self._may_write or self._ended)
                if self._ended:
                    raise EOFError
                self._may_write = False
            self._transport.send(_WRTE, self.local, self.remote, data[start : start + self._transport.payload])

    def read(self, count: int) -> bytes:
        """Exactly `count` bytes."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._received) >= count or self._ended)
            if len(self._received) < count:
                raise EOFError
            data = bytes(self._received[:count])
            del self._received[:count]
            return data

    def taken(self) -> None:
        """The other side took what was written."""
        with self._changed:
            self._may_write = True
            self._changed.notify_all()

    def received(self, data: bytes) -> None:
        """The other side wrote this."""
        with self._changed:
            self._received += data
            self._changed.notify_all()

    def end(self) -> None:
        """The other side is gone."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def close(self) -> None:
        """Tell the other side that there is no more."""
        self.end()
        self._transport.forget(self)


Service = Callable[[Stream, str], None]


class Transport:
    """One client's connection: answers its messages and starts a thread for each service that it opens."""

    def __init__(self, connection: socket.socket, banner: bytes, service: Service) -> None:
        """Args: the accepted socket, what the device says of itself, what serves a stream by the service's name."""
        self._socket = connection
        self._banner = banner
        self._service = service
        self._sending = threading.Lock()
        self._streams: dict[int, Stream] = {}
        self._opened = 0
        self.payload = 4096  # until the client names its own limit

    def send(self, command: int, first: int, second: int, data: bytes = b"") -> None:
        """Send one message; raises OSError or EOFError if the client is gone."""
        header = _HEADER.pack(command, first, second, len(data), sum(data) & _MASK, command ^ _MASK)
        with self._sending:
            self._socket.sendall(header + data)

    def forget(self, stream: Stream) -> None:
        """Close a stream."""
        if self._streams.pop(stream.local, None) is not None:
            with contextlib.suppress(OSError):
                self.send(_CLSE, stream.local, stream.remote)

    def serve(self) -> None:
        """Answer until the client goes away, or says something that is no message."""
        with contextlib.suppress(EOFError, OSError), self._socket:
            while True:
                command, first, second, length, _, complement = _HEADER.unpack(self._receive(_HEADER.size))
                if command ^ complement != _MASK or length > MAX_PAYLOAD:
                    break
                self._answer(command, first, second, self._receive(length))
        for stream in list(self._streams.values()):
            stream.end()

    def _receive(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = self._socket.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    def _answer(self, command: int, first: int, second: int, data: bytes) -> None:
        if command == _CNXN:
            self.payload = min(second, MAX_PAYLOAD)
            self.send(_CNXN, _VERSION, MAX_PAYLOAD, self._banner)
        elif command == _OPEN:
            self._opened += 1
            stream = Stream(self, self._opened, first)
            self._streams[stream.local] = stream
            name = data.rstrip(b"\0").decode(errors="surrogateescape")
            threading.Thread(target=self._run, args=(stream, name), daemon=True).start()
        elif (known := self._streams.get(second)) is not None:
            if command == _OKAY:
                known.taken()
            elif command == _WRTE:
                known.received(data)
                self.send(_OKAY, known.local, known.remote)
            elif command == _CLSE:
                known.end()

    def _run(self, stream: Stream, name: str) -> None:
        with contextlib.suppress(EOFError, OSError):
            self.send(_OKAY, stream.local, stream.remote)
            self._service(stream, name)
        stream.close()
