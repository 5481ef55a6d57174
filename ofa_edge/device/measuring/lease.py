"""A lease keeps two runs off one device: a file with a heartbeat on this machine, a link on the device itself.

The file keeps out other runs of this user on this machine, whatever name they call the device by. The link on the
device keeps out other machines. It is a symbolic link whose target is the holder's name: `ln -s` makes both in one
step that only one of two can do, so there is never a lease without an owner, even where the answer to the call is
lost. A holder that is dead, or that has been silent for too long, loses its lease to the next that asks.
"""

import contextlib
import getpass
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout
from platformdirs import user_state_path
from pydantic import Field

from ofa_edge.device.conditions.identity import serial_number
from ofa_edge.device.connections.process import run_error
from ofa_edge.device.protocol import Completed, Connection
from ofa_edge.errors import DeviceBusyError, OfaEdgeError, OutputError
from ofa_edge.files import read_regular, require_own, sha256_bytes, write_json
from ofa_edge.schema import Strict

BEAT_S = 10.0
SILENT_S = 60.0  # without a heartbeat: six beats missed
DEVICE_SILENT_S = 3600.0  # its link is touched between sessions only, so as not to disturb them
LEASES_VARIABLE = "OFA_EDGE_LEASES"
_LINKS = {"adb": PurePosixPath("/data/local/tmp/ofa-edge-lease")}
_LINK = PurePosixPath("/tmp/ofa-edge-lease")  # noqa: S108  (one name for all: that is its point)
_HERE = ("local", "emulated")  # a device that no other machine can reach
_OWNER = re.compile(r"([0-9a-f]{12})-(\d{1,10})-(\d{1,12})")
_SECONDS = re.compile(r"[0-9]{1,12}")  # of a clock; another answer is none, and proves no lease old
_SAME_START_S = 2.0  # what a correction of the clock may move a start
_GUARD_S = 10.0
_CALL_S = 15.0


class Holder(Strict):
    """Who holds a lease. `started` tells a process from a later one with the same number."""

    token: str
    host: str
    user: str
    pid: int = Field(gt=0, lt=1 << 31)
    started: float = Field(ge=0)
    since: float = Field(ge=0, lt=1e11)  # which a calendar has
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

    Of its serial number or machine id, as the device tells them; of its name where it tells none.
    """
    identity = "" if connection.kind in _HERE else serial_number(connection)
    return sha256_bytes((identity or f"{connection.kind}\0{connection.name}").encode())[:20]


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
            self._connection.run(["touch", "-h", str(_link(self._connection))], _CALL_S, check=False)

    def end(self) -> None:
        """Give the file back; the device's own link is `hold`'s affair."""
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(OfaEdgeError), _guard(self._path):  # must not hide what went wrong inside
            if self._is_ours():
                self._path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            with contextlib.suppress(OfaEdgeError), _guard(self._path):  # a beat that failed: the next makes up for it
                if not self._is_ours():
                    self._lost.set()
                    return
                _write(self._path, self._holder, time.time())

    def _is_ours(self) -> bool:
        found = _read(self._path)
        return found is not None and found.token == self._holder.token


@contextlib.contextmanager
def hold(connection: Connection) -> Iterator[Lease]:
    """Hold the only lease of a device.

    Raises:
        DeviceBusyError: somebody else holds it, who is named; reason "leased".
        OutputError: the folder of leases cannot be written, or is not ours.
        DeviceError: the device was lost.
    """
    path = leases_folder() / f"{lease_key(connection)}.json"
    now = time.time()
    started = _started(os.getpid()) or now
    holder = Holder(
        token=os.urandom(8).hex(),
        host=socket.gethostname(),
        user=_user(),
        pid=os.getpid(),
        started=started,
        since=now,
        beat=now,
    )
    with _guard(path):
        found = _read(path)
        if found is None and _written(path, now):
            raise _busy(connection, f"somebody whose lease is damaged ({path}): it was written a moment ago")
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
    return holder.host == socket.gethostname() and not _lives(holder.pid, holder.started)


def _lives(pid: int, started: float) -> bool:
    """Whether a process of this machine still runs, and is not a later one with the same number."""
    found = _started(pid)
    return found is not None and abs(found - started) < _SAME_START_S


def _started(pid: int) -> float | None:
    """When a process of this machine began; None where there is none."""
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


@contextlib.contextmanager
def _on_device(connection: Connection, holder: Holder) -> Iterator[None]:
    if connection.kind in _HERE:
        yield
        return
    link, mine = _link(connection), f"{_machine()}-{holder.pid}-{holder.started:.0f}"
    try:
        _claim(connection, link, mine)
        yield
    finally:
        with contextlib.suppress(OfaEdgeError):  # must not hide what went wrong inside; the next run takes it over
            if _owner(connection, link) == mine:
                connection.run(["rm", "-f", str(link)], _CALL_S, check=False)


def _claim(connection: Connection, link: PurePosixPath, mine: str) -> None:
    """Make the link, if need be in place of one that nobody holds any more."""
    made = _made(connection, link, mine)
    if made.returncode == 0:
        return
    owner = _owner(connection, link)
    age = _age_s(connection, link)
    if age is None and not owner:
        raise run_error(connection.name, made)  # it is not there: something else stands in the way
    if not _ended_here(owner) and (age is None or age < DEVICE_SILENT_S):
        when = "" if age is None else f", {age:.0f} s ago"
        raise _busy(connection, f"another machine{when} ({link} on the device)")
    connection.run(["rm", "-rf", str(link)], _CALL_S, check=False)
    if _made(connection, link, mine).returncode != 0:
        raise _busy(connection, f"another machine ({link} on the device cannot be made)")


def _made(connection: Connection, link: PurePosixPath, mine: str) -> Completed:
    return connection.run(["ln", "-sn", mine, str(link)], _CALL_S, check=False)


def _owner(connection: Connection, link: PurePosixPath) -> str:
    """Who holds the link; "" where there is none."""
    return connection.run(["readlink", str(link)], _CALL_S, check=False).stdout.strip()


def _ended_here(owner: str) -> bool:
    """Whether the link is left from a run on this machine that has ended.

    This process itself has none: it holds the file of the device, so an earlier run of its own is over.
    """
    match = _OWNER.fullmatch(owner)
    if match is None or match[1] != _machine():
        return False
    return int(match[2]) == os.getpid() or not _lives(int(match[2]), float(match[3]))


def _machine() -> str:
    """A digest of this machine's name, and of the container whose process numbers we see."""
    try:
        numbers = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        numbers = 0
    return sha256_bytes(f"{socket.gethostname()}\0{numbers}".encode())[:12]


def _age_s(connection: Connection, link: PurePosixPath) -> float | None:
    """Seconds since the link was touched, by the device's own clock; None where it is gone."""
    stat = connection.run(["stat", "-c", "%Y", str(link)], _CALL_S, check=False).stdout
    now = connection.run(["date", "+%s"], _CALL_S, check=False).stdout
    if not (_SECONDS.fullmatch(now.strip()) and _SECONDS.fullmatch(stat.strip())):
        return None
    return float(int(now) - int(stat))


def _link(connection: Connection) -> PurePosixPath:
    return _LINKS.get(connection.kind, _LINK)


def _busy(connection: Connection, holder: str) -> DeviceBusyError:
    return DeviceBusyError(
        f"{connection.name} is taken", f"held by {holder}", "wait until it has ended, or end it", reason="leased"
    )


@contextlib.contextmanager
def _guard(path: Path) -> Iterator[None]:
    """Held for the moment of one read and write, never for a run. Raises DeviceBusyError or OutputError."""
    hint = f"end what holds it, or name another folder in {LEASES_VARIABLE}"
    try:
        require_own(path.parent).mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock"), timeout=_GUARD_S):
            yield
    except Timeout as error:
        why = f"{error.lock_file} was held for {_GUARD_S:.0f} s by another process"
        raise DeviceBusyError("the lease cannot be read", why, hint, reason="leased") from error
    except OSError as error:
        raise OutputError("the lease cannot be written", f"{path.parent}: {error.strerror or error}", hint) from error


def _read(path: Path) -> Holder | None:
    """The holder; None where there is none, or the file is not what we write."""
    try:
        return Holder.model_validate_json(read_regular(path))
    except (OSError, ValueError):
        return None


def _written(path: Path, now: float) -> bool:
    """Whether a file is there and was written so lately that whoever wrote it may still hold the device."""
    try:
        return now - path.lstat().st_mtime <= SILENT_S
    except OSError:
        return False


def _write(path: Path, holder: Holder, beat: float) -> None:
    write_json(path, {**holder.model_dump(), "beat": beat})


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a user without a name, as in a container
        return str(os.getuid())
