"""The device's end of adb for an emulated device: `shell,v2`, `exec` and `sync`, on a loopback port. No Android.

It gives adb's real client something real to talk to: commands run in a real shell, files are really written. It stands
for the transport only. What it lacks: authentication, TLS, terminals, install, logcat, forwarding.

Sources: Android Open Source Project, packages/modules/adb: protocol.txt, SYNC.TXT, shell_protocol.h.
"""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ofa_edge.device.emulation.emulated_system.adb_streams import Stream, Transport

_CHUNK = 64 * 1024  # SYNC.TXT: at most so many bytes in a DATA message
_WORD = struct.Struct("<4sI")
_PACKET = struct.Struct("<BI")
_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)


@dataclass(frozen=True)
class AdbDevice:
    """What the daemon says it is, and where its commands run."""

    model: str
    shell: str  # the device's shell
    environment: Mapping[str, str]
    name: str = "ofa_edge_emulated"

    @property
    def banner(self) -> bytes:
        """Of the CNXN message."""
        facts = {"ro.product.name": self.name, "ro.product.model": self.model, "ro.product.device": self.name}
        text = ";".join(f"{key}={value}" for key, value in facts.items())
        return f"device::{text};features=shell_v2,cmd\0".encode()


def serve(listening: socket.socket, device: AdbDevice) -> None:
    """Serve adb clients that connect to the socket; returns when it is closed."""

    def service(stream: Stream, name: str) -> None:
        kind, _, argument = name.partition(":")
        if kind.split(",")[0] in ("shell", "exec"):
            _Command(stream, device, argument, "v2" in kind.split(",")).run()
        elif kind == "sync":
            _sync(stream)

    with contextlib.suppress(OSError):
        while True:
            connection, _ = listening.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport = Transport(connection, device.banner, service)
            threading.Thread(target=transport.serve, daemon=True).start()


class _Command:
    """One command line in the device's shell, its streams carried over one stream of adb's."""

    def __init__(self, stream: Stream, device: AdbDevice, line: str, v2: bool) -> None:
        self._stream = stream
        self._v2 = v2
        self._process = subprocess.Popen(
            [device.shell, *(["-c", line] if line else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if v2 else subprocess.STDOUT,
            env=dict(device.environment),
            cwd="/",
            start_new_session=True,
        )

    def run(self) -> None:
        """Carry the streams until the command ends; a client that goes away ends the command."""
        process = self._process
        threading.Thread(target=self._feed, daemon=True).start()
        outputs = [(process.stdout, _STDOUT), (process.stderr, _STDERR)]
        pumps = [threading.Thread(target=self._pump, args=pair) for pair in outputs if pair[0] is not None]
        for pump in pumps:
            pump.start()
        for pump in pumps:
            pump.join()
        status = process.wait()
        if self._v2:
            status = 128 - status if status < 0 else status
            self._stream.write(_PACKET.pack(_EXIT, 1) + bytes([status & 255]))

    def _pump(self, pipe: IO[bytes], packet: int) -> None:
        try:
            while data := os.read(pipe.fileno(), _CHUNK):
                self._stream.write(_PACKET.pack(packet, len(data)) + data if self._v2 else data)
        except EOFError:
            self._hang_up()
        finally:
            pipe.close()

    def _feed(self) -> None:
        stdin = self._process.stdin
        if stdin is None:
            return
        try:
            while True:
                if not self._v2:
                    _write(stdin, self._stream.read(1))
                    continue
                packet, length = _PACKET.unpack(self._stream.read(_PACKET.size))
                data = self._stream.read(length)
                if packet == _STDIN:
                    _write(stdin, data)
                elif packet == _CLOSE_STDIN:
                    stdin.close()
        except EOFError:
            self._hang_up()
        finally:
            with contextlib.suppress(OSError):
                stdin.close()

    def _hang_up(self) -> None:
        """The client is gone: so is its command, as on Android."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGHUP)


def _write(pipe: IO[bytes], data: bytes) -> None:
    """A program need not read what it is given."""
    with contextlib.suppress(OSError, ValueError):
        pipe.write(data)
        pipe.flush()


def _sync(stream: Stream) -> None:
    """The sync service: requests of an id, the length of a path, and the path, until QUIT."""
    requests: Mapping[bytes, Callable[[Stream, str], None]] = {
        b"STAT": _stat,
        b"LIST": _list,
        b"RECV": _receive,
        b"SEND": _send,
    }
    while True:
        request, length = _WORD.unpack(stream.read(_WORD.size))
        path = os.fsdecode(stream.read(length))
        if request not in requests:
            return
        requests[request](stream, path)


def _facts(found: os.stat_result) -> bytes:
    return struct.pack("<3I", found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime))


def _stat(stream: Stream, path: str) -> None:
    try:
        stream.write(b"STAT" + _facts(Path(path).lstat()))
    except (OSError, ValueError):
        stream.write(b"STAT" + bytes(12))


def _list(stream: Stream, path: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
            name = os.fsencode(entry.name)
            facts = _facts(entry.stat(follow_symlinks=False))
            stream.write(b"DENT" + facts + struct.pack("<I", len(name)) + name)
    stream.write(b"DONE" + bytes(16))


def _fail(stream: Stream, error: Exception) -> None:
    said = (getattr(error, "strerror", None) or str(error)).encode()
    stream.write(_WORD.pack(b"FAIL", len(said)) + said)


def _receive(stream: Stream, path: str) -> None:
    try:
        with Path(path).open("rb") as file:
            while data := file.read(_CHUNK):
                stream.write(_WORD.pack(b"DATA", len(data)) + data)
    except (OSError, ValueError) as error:
        _fail(stream, error)
    else:
        stream.write(b"DONE" + bytes(4))


def _send(stream: Stream, target: str) -> None:
    """`PATH,MODE`, then DATA messages, then DONE with the time of change. A failure is told at the end."""
    name, _, mode = target.rpartition(",")
    path, failure = Path(name), None
    with contextlib.ExitStack() as stack:
        file: IO[bytes] | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(path.open("wb", buffering=0))
        except (OSError, ValueError) as error:
            failure = error
        while True:
            kind, length = _WORD.unpack(stream.read(_WORD.size))
            if kind != b"DATA":
                break
            data = stream.read(length)
            if file is not None and failure is None:
                try:
                    while data:
                        data = data[file.write(data) :]
                except OSError as error:  # a full disk
                    failure = error
        changed = length
    if failure is None:
        try:
            path.chmod(int(mode) & 0o777)
            os.utime(path, (changed, changed))
        except (OSError, ValueError) as error:
            failure = error
    if failure is not None:
        _fail(stream, failure)
    else:
        stream.write(b"OKAY" + bytes(4))
