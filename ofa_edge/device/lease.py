"""A lease keeps two runs off one device: a file with a heartbeat on this machine, a folder on the device itself.

The file keeps out other runs of this user on this machine, whatever name they call the device by. The folder on the
device keeps out other machines; `mkdir` is atomic, so one of two that come at once loses. A holder that is dead, or
that has been silent for too long, loses its lease to the next that asks.
"""

import contextlib
import getpass
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from filelock import FileLock
from platformdirs import user_state_path

from ofa_edge.device.conditions.look import ask, read_files
from ofa_edge.device.protocol import Connection
from ofa_edge.errors import DeviceBusyError, OfaEdgeError
from ofa_edge.files import sha256_bytes, write_json

BEAT_S = 10.0
SILENT_S = 60.0  # without a heartbeat: six beats missed
DEVICE_SILENT_S = 3600.0  # its folder is touched between sessions only, so as not to disturb them
LEASES_VARIABLE = "OFA_EDGE_LEASES"
_FOLDERS = {"adb": PurePosixPath("/data/local/tmp/ofa-edge-lease")}
_FOLDER = PurePosixPath("/tmp/ofa-edge-lease")  # noqa: S108  (one name for all: that is its point)
_HERE = ("local", "emulated")  # a device that no other machine can reach
_SERIALS = ("/proc/device-tree/serial-number", "/etc/machine-id")  # the first that is there
_GUARD_S = 10.0
_CALL_S = 15.0


@dataclass(frozen=True)
class Holder:
    """Who holds a lease. `started` tells a process from a later one with the same number."""

    token: str
    host: str
    user: str
    pid: int
    started: float
    since: float
    beat: float

    def __str__(self) -> str:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"process {self.pid} of {self.user} on {self.host}, since {when}"


def leases_folder() -> Path:
    """`$OFA_EDGE_LEASES`, else a folder in the user's state folder."""
    chosen = os.environ.get(LEASES_VARIABLE)
    return Path(chosen).expanduser() if chosen else user_state_path("ofa-edge") / "leases"


def lease_key(connection: Connection) -> str:
    """What a device is called here, whatever its name in the devices file: a digest, for serials and hosts are private.

    The board's own serial number, an Android phone's, or the system's machine id, as the device tells them; the name
    where it tells none.
    """
    identity = "" if connection.kind in _HERE else _serial(connection)
    return sha256_bytes((identity or f"{connection.kind}\0{connection.name}").encode())[:20]


def _serial(connection: Connection) -> str:
    files = read_files(connection, _SERIALS)
    found = [files[path] for path in _SERIALS if files.get(path)]
    return found[0] if found else ask(connection, ["getprop", "ro.serialno"]).strip()


class Lease:
    """A lease that is held. Made by `hold`."""

    def __init__(self, connection: Connection, path: Path, holder: Holder) -> None:
        """Args: the device, the lease's file, the holder in it."""
        self._connection = connection
        self._path = path
        self._holder = holder
        self._ended = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="ofa-edge lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Go on only if the device is still ours; to be called between sessions.

        Raises:
            DeviceBusyError: the lease was taken over meanwhile (this machine slept); reason "lease-lost".
        """
        if self._lost.is_set():
            raise DeviceBusyError(
                f"the lease of {self._connection.name} was lost",
                "another run took it while this one was silent",
                "run the same command again",
                reason="lease-lost",
            )
        if self._connection.kind not in _HERE:
            self._connection.run(["touch", str(_device_folder(self._connection))], _CALL_S, check=False)

    def end(self) -> None:
        """Give the file back; the device's own folder is `hold`'s affair."""
        self._ended.set()
        self._thread.join()
        with _guard(self._path):
            found = _read(self._path)
            if found is not None and found.token == self._holder.token:
                self._path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            with _guard(self._path):
                found = _read(self._path)
                if found is None or found.token != self._holder.token:
                    self._lost.set()
                    return
                _write(self._path, self._holder, time.time())


@contextlib.contextmanager
def hold(connection: Connection) -> Iterator[Lease]:
    """Hold the only lease of a device.

    Raises:
        DeviceBusyError: somebody else holds it, who is named; reason "leased".
        DeviceError: the device was lost.
    """
    path = leases_folder() / f"{lease_key(connection)}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    now = time.time()
    started = _started(os.getpid()) or now
    holder = Holder(os.urandom(8).hex(), socket.gethostname(), _user(), os.getpid(), started, now, now)
    with _guard(path):
        found = _read(path)
        if found is not None and not _gone(found, now):
            raise _busy(connection, str(found))
        _write(path, holder, now)
    lease = Lease(connection, path, holder)
    try:
        with _on_device(connection, holder):
            yield lease
    finally:
        lease.end()


def _gone(holder: Holder, now: float) -> bool:
    """Whether a holder is silent, or dead where that can be seen."""
    if now - holder.beat > SILENT_S:
        return True
    return holder.host == socket.gethostname() and _started(holder.pid) != holder.started


def _started(pid: int) -> float | None:
    """When a process of this machine began; None where there is none."""
    import psutil  # type: ignore[import-untyped]

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


@contextlib.contextmanager
def _on_device(connection: Connection, holder: Holder) -> Iterator[None]:
    if connection.kind in _HERE:
        yield
        return
    folder = _device_folder(connection)
    mine = folder / f"{sha256_bytes(holder.host.encode())[:8]}-{holder.pid}"  # for people who find it there
    if not _made(connection, folder):
        age = _age_s(connection, folder)
        if age is not None and age < DEVICE_SILENT_S:
            raise _busy(connection, f"another machine, {age:.0f} s ago ({folder} on the device)")
        connection.run(["rm", "-rf", str(folder)], _CALL_S, check=False)
        if not _made(connection, folder):
            raise _busy(connection, f"another machine ({folder} on the device cannot be made)")
    try:
        connection.run(["mkdir", str(mine)], _CALL_S, check=False)
        yield
    finally:
        with contextlib.suppress(OfaEdgeError):  # must not hide what went wrong inside; it ages by itself
            connection.run(["rm", "-rf", str(folder)], _CALL_S, check=False)


def _made(connection: Connection, folder: PurePosixPath) -> bool:
    return connection.run(["mkdir", str(folder)], _CALL_S, check=False).returncode == 0


def _age_s(connection: Connection, folder: PurePosixPath) -> float | None:
    """Seconds since the folder was touched, by the device's own clock; None where it is gone."""
    stat = connection.run(["stat", "-c", "%Y", str(folder)], _CALL_S, check=False).stdout
    now = connection.run(["date", "+%s"], _CALL_S, check=False).stdout
    try:
        return float(now) - float(stat)
    except ValueError:
        return None


def _device_folder(connection: Connection) -> PurePosixPath:
    return _FOLDERS.get(connection.kind, _FOLDER)


def _busy(connection: Connection, holder: str) -> DeviceBusyError:
    return DeviceBusyError(
        f"{connection.name} is taken", f"held by {holder}", "wait until it has ended, or end it", reason="leased"
    )


def _guard(path: Path) -> FileLock:
    """Held for the moment of one read and write, never for a run."""
    return FileLock(path.with_suffix(".lock"), timeout=_GUARD_S)


def _read(path: Path) -> Holder | None:
    """The holder; None where there is none, or the file is not what we write."""
    try:
        return Holder(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _write(path: Path, holder: Holder, beat: float) -> None:
    write_json(path, {**asdict(holder), "beat": beat})


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a user without a name, as in a container
        return str(os.getuid())
