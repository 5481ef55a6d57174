"""What all connections share: a host process for each call, limits, verified transfers, private folders."""

import contextlib
import logging
import os
import re
import resource
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from ofa_edge.device.connections.fingerprint import read_fingerprint
from ofa_edge.device.connections.workdirs import abandoned, claim, forget, is_made_of, template, token_of
from ofa_edge.device.protocol import Completed, Fingerprint
from ofa_edge.errors import (
    DeviceError,
    DeviceLostError,
    DeviceRebootedError,
    DeviceRunError,
    DeviceTimeoutError,
    OutputError,
    UsageError,
)
from ofa_edge.files import atomic_path, sha256_file
from ofa_edge.shown import pasteable

_LOG = logging.getLogger(__name__)
_SMALL_TIMEOUT_S = 30.0
_TRANSFER_TIMEOUT_S = 300.0
_KILLED_THERE = 137  # of timeout(1), when only SIGKILL ended the program
_ATTEMPTS = 3
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_LOOK_S = 0.5  # between looks at how much was said
_MOST_WRITTEN = 1 << 31  # bytes of a file that comes from a device
_MOST_SAID = 64 << 20  # bytes; a runner with thousands of samples says some hundred thousand
_TAIL = 2000  # characters of stderr in an error message


class ProcessConnection(ABC):
    """A connection whose every call is one process here. Subclasses say how the command line looks."""

    kind: str
    emulator: str | None = None
    keeps_files: bool = True  # False: its files end with it, so there is nothing to remove later
    backoff_s: float = 0.5  # before a transfer is tried again; twice that before the next time
    grace_s: float = 0.0  # what the way there and back may add to a limit that the device itself keeps

    def __init__(self, name: str, python: tuple[str, ...], folder: str) -> None:
        """Args: the device's name, its Python, the folder on the device under which private folders are made."""
        self.name = name
        self.python = python
        self.folder = PurePosixPath(folder)
        self._workdirs: set[PurePosixPath] = set()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()

    @abstractmethod
    def _command(
        self, argv: Sequence[str], env: Mapping[str, str], timeout_s: float
    ) -> tuple[list[str], dict[str, str]]:
        """The command line here that runs `argv` there, and its environment here."""

    @abstractmethod
    def _send(self, local: Path, remote: PurePosixPath) -> None:
        """Copy `local` to `remote`; may leave a damaged file."""

    @abstractmethod
    def _fetch(self, remote: PurePosixPath, local: Path) -> None:
        """Copy `remote` to `local`; may leave a damaged file."""

    def _judge(self, completed: Completed) -> Completed:
        """What the program itself did; raises `DeviceLostError` where the process here speaks of the transport."""
        return completed

    def run(
        self, argv: Sequence[str], timeout_s: float, env: Mapping[str, str] | None = None, check: bool = True
    ) -> Completed:
        """See `Connection.run`."""
        command, environment = self._command(argv, env or {}, timeout_s)
        completed = self._judge(self._execute(command, environment, timeout_s + self.grace_s, tuple(argv)))
        if completed.returncode == _KILLED_THERE and completed.wall_s >= timeout_s:
            raise DeviceTimeoutError(
                f"{argv[0]} on {self.name} ran past its time limit and did not stop",
                f"it had {timeout_s:g} s, ignored the request to stop, and was killed",
                "restart the device if that happens again",
            )
        if check and completed.returncode != 0:
            raise run_error(self.name, completed)
        return completed

    def _execute(
        self, command: Sequence[str], environment: Mapping[str, str], timeout_s: float, argv: tuple[str, ...]
    ) -> Completed:
        """Run a process here. Output goes to files: a background child that keeps a pipe open cannot hang us."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            start = time.monotonic()
            process = self._spawn(command, environment, out, err)
            try:
                code = self._attend(process, start + timeout_s, (out, err))
            except subprocess.TimeoutExpired:
                raise DeviceTimeoutError(
                    f"{argv[0]} on {self.name} took more than {timeout_s:g} s",
                    f"it was stopped: {' '.join(argv)[:300]}",
                    "is the device busy or asleep? run the same command again",
                ) from None
            finally:
                kill_group(process)
                with self._lock:
                    self._running.discard(process)
            wall = time.monotonic() - start
            return Completed(argv, code, _read(out), _read(err), wall)

    def _attend(self, process: subprocess.Popen[bytes], end: float, said: Sequence[IO[bytes]]) -> int:
        """The exit status. Raises TimeoutExpired; DeviceRunError where there is no end of what it says."""
        while True:
            left = end - time.monotonic()
            try:
                code = process.wait(max(0.0, min(_LOOK_S, left)))
            except subprocess.TimeoutExpired:
                if left <= _LOOK_S:
                    raise
                code = None
            if max(os.fstat(file.fileno()).st_size for file in said) > _MOST_SAID:
                raise self._endless(f"more than {_MOST_SAID >> 20} MiB of output")
            if code == -signal.SIGXFSZ:
                raise self._endless(f"more than {_MOST_WRITTEN >> 20} MiB in one file")
            if code is not None:
                return code

    def _endless(self, why: str) -> DeviceRunError:
        hint = f"is it the program and the device that you mean? {_probe(self.name)}"
        return DeviceRunError(f"{self.name} does not stop talking", f"{why}; it was stopped there", hint)

    def _spawn(
        self, command: Sequence[str], environment: Mapping[str, str], out: IO[bytes], err: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        try:
            with self._lock:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    env=dict(environment),
                    start_new_session=True,  # so that a limit or Ctrl-C ends it and its children
                )
                self._running.add(process)
            _limit_files(process)
        except OSError as error:
            raise DeviceRunError(
                f"cannot start {command[0]} for {self.name}", f"{error.strerror}", "ofa-edge doctor"
            ) from error
        return process

    def push(self, local: Path, remote: PurePosixPath) -> None:
        """See `Connection.push`."""
        self._confine(remote)
        digest = sha256_file(local)
        part = remote.with_name(remote.name + ".part")

        def attempt() -> None:
            self._send(local, part)
            self._compare(part, digest)

        try:
            self._retry(attempt, f"{local.name} to {self.name}")
        except DeviceRunError as error:
            full = self._full(local, part)
            if full is not None:
                raise full from error
            raise
        if os.access(local, os.X_OK):
            self.run(["chmod", "700", str(part)], _SMALL_TIMEOUT_S)
        self.run(["mv", "-f", str(part), str(remote)], _SMALL_TIMEOUT_S)

    def _full(self, local: Path, part: PurePosixPath) -> DeviceRunError | None:
        """The error for a file that did not fit, where that was it (scp says "Failure"). What arrived is removed."""
        self.run(["rm", "-f", str(part)], _SMALL_TIMEOUT_S, check=False)
        said = self.run(["df", "-P", "-k", str(part.parent)], _SMALL_TIMEOUT_S, check=False).stdout
        room = re.search(r"^\S+\s+\d+\s+\d+\s+(\d+)\s+\S+\s", said, re.MULTILINE)
        size = local.stat().st_size
        if room is None or int(room[1]) * 1024 >= size:
            return None
        why = f"{local.name} has {size} bytes, and {part.parent.parent} has room for {int(room[1]) * 1024}"
        return DeviceRunError(
            f"disk full on {self.name}", why, "free some space there, then run the same command again"
        )

    def pull(self, remote: PurePosixPath, local: Path) -> None:
        """See `Connection.pull`."""
        self._confine(remote)
        with atomic_path(local) as part:

            def attempt() -> None:
                self._fetch(remote, part)
                _require_file(part, remote.name, self.name)
                self._compare(remote, sha256_file(part))

            self._retry(attempt, f"{remote.name} from {self.name}")

    def _compare(self, remote: PurePosixPath, digest: str) -> None:
        there = self.run(["sha256sum", str(remote)], _TRANSFER_TIMEOUT_S).stdout.split()
        if not there or there[0].lstrip("\\") != digest:
            raise TransferDamagedError(
                f"{remote.name} was damaged on its way to or from {self.name}",
                f"SHA-256 there: {there[0] if there else 'none'}, expected {digest}",
                "check the device's storage and its connection, then run the same command again",
            )

    def _retry(self, attempt: Callable[[], None], what: str) -> None:
        """Transfers may be tried again; measurements never are."""
        for tried in range(1, _ATTEMPTS + 1):
            try:
                return attempt()
            except (DeviceLostError, TransferDamagedError) as error:
                if tried == _ATTEMPTS or isinstance(error, DeviceRebootedError):
                    raise
                _LOG.warning("copying %s, attempt %d: %s", what, tried, error.what)
                time.sleep(self.backoff_s * 2 ** (tried - 1))
        return None

    def _confine(self, path: PurePosixPath) -> None:
        """Refuse every device path that is not a plain name in a folder of ours."""
        inside = any(path.parent == folder for folder in self._workdirs)
        if not inside or not _NAME.fullmatch(path.name):
            raise OutputError(
                f"refused: {path} on {self.name}",
                "files on a device are plain names in a folder that ofa-edge made there",
                "use a path from Connection.workdir()",
            )

    @contextlib.contextmanager
    def workdir(self) -> Iterator[PurePosixPath]:
        """See `Connection.workdir`."""
        with claim(self.name) as held:
            self._remove_abandoned()
            try:
                folder = self._make_folder(held.token)
            except DeviceError:
                held.kept = self.keeps_files  # it may have been made all the same, and only the answer was lost
                raise
            self._workdirs.add(folder)
            try:
                yield folder
            finally:
                self._workdirs.discard(folder)
                try:
                    self.run(["rm", "-rf", str(folder)], _SMALL_TIMEOUT_S)
                except (DeviceError, UsageError) as error:  # must not hide what went wrong inside
                    _LOG.warning("left behind on %s: %s (%s)", self.name, folder, error.what)
                    held.kept = self.keeps_files

    def _make_folder(self, token: str) -> PurePosixPath:
        made = self.run(["mktemp", "-d", str(self.folder / template(token))], _SMALL_TIMEOUT_S).stdout.strip()
        folder = PurePosixPath(made)
        # The whole name: half of one could be that of another folder, and it is going to be removed.
        if folder.parent != self.folder or not is_made_of(folder.name, token):
            raise DeviceRunError(f"no work folder on {self.name}", f"mktemp answered {made[:300]!r}", _probe(self.name))
        return folder

    def _remove_abandoned(self) -> None:
        """Remove folders of ours that a run on this machine left behind, on this device, when it was cut off."""
        tokens = abandoned(self.name)
        if not tokens:
            return
        for name in self.run(["ls", str(self.folder)], _SMALL_TIMEOUT_S, check=False).stdout.split("\n"):
            token = token_of(name)
            if token is None or token not in tokens:
                continue
            _LOG.info("removing from %s what an earlier run left: %s", self.name, name)
            try:
                self.run(["rm", "-rf", str(self.folder / name)], _SMALL_TIMEOUT_S)
            except DeviceRunError as error:  # a folder that cannot be removed is no reason not to measure
                _LOG.warning("still left behind on %s: %s (%s)", self.name, name, error.why)
            else:
                forget(token)

    def fingerprint(self) -> Fingerprint:
        """See `Connection.fingerprint`."""
        return read_fingerprint(lambda argv: self.run(argv, _SMALL_TIMEOUT_S, check=False), self.emulator)

    def abort(self) -> None:
        """See `Connection.abort`."""
        with self._lock:
            running = list(self._running)
        for process in running:
            kill_group(process)

    def close(self) -> None:
        """See `Connection.close`."""
        self.abort()


class TransferDamagedError(DeviceError):
    """A file arrived with another SHA-256 than it left with."""


def _require_file(path: Path, name: str, device: str) -> None:
    """Raise DeviceRunError, and remove what came, where it is no plain file."""
    mode = path.lstat().st_mode
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        shutil.rmtree(path)
    else:
        path.unlink()
    raise DeviceRunError(
        f"{name} of {device} is no file", "a folder or a link stands there", "run the same command again"
    )


def run_error(device: str, completed: Completed) -> DeviceRunError:
    """The error for a program that ended with a non-zero status, with the end of what it said."""
    code = completed.returncode
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
    said = (completed.stderr.strip() or completed.stdout.strip())[-_TAIL:] or "it said nothing"
    return DeviceRunError(f"{Path(completed.argv[0]).name} failed on {device}: {how}", said, _probe(device))


def _probe(device: str) -> str:
    """What shows a device's own state: where the fault is there, nothing on this machine tells it."""
    return pasteable("ofa-edge", "devices", "probe", device)


def copy_here(source: PurePosixPath | Path, target: PurePosixPath | Path, device: str) -> None:
    """Copy a file for a device whose files are this machine's.

    Raises:
        DeviceRunError: it cannot be read or written.
    """
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise DeviceRunError(f"cannot copy {source.name} on {device}", f"{error}", "free some space there") from error


def _limit_files(process: subprocess.Popen[bytes]) -> None:
    """Let a process write no file beyond all bounds here: what it writes may be what a device sends."""
    with contextlib.suppress(AttributeError, OSError):  # not Linux; it has ended
        _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        soft = _MOST_WRITTEN if hard == resource.RLIM_INFINITY else min(_MOST_WRITTEN, hard)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (soft, hard))


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that is still running, with its children, and reap it."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
