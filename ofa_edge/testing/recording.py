"""Record what passes between ofa-edge and a device, and answer from the record without the device.

    with_device = RecordingConnection(SshConnection(...), folder)     # on the bench, once
    without = ReplayConnection(folder)                                # anywhere, as often as wanted

The folder holds `calls.jsonl`, one call and its answer a line, and the files that were pulled, each by its SHA-256.
Pushed files are kept as digests alone. A record names the device's paths, board and kernel: look at it before it is
published.
"""

import contextlib
import dataclasses
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import ofa_edge.errors
from ofa_edge.device.protocol import Completed, Connection, Fingerprint
from ofa_edge.errors import DeviceBusyError, DeviceError, OfaEdgeError, UsageError
from ofa_edge.files import LARGEST_MODEL, append_json, parse_json, read_regular, sha256_file, write_bytes

T = TypeVar("T")
_CALLS = "calls.jsonl"
_SCHEMA = 1


class RecordingConnection:
    """A `Connection` that passes every call on, and writes it down with its answer."""

    def __init__(self, real: Connection, folder: Path) -> None:
        """Args: the connection to listen to, a folder that does not exist yet.

        Raises:
            UsageError: the folder is there already.
        """
        try:
            folder.mkdir(parents=True)
        except FileExistsError as error:
            raise UsageError("a recording is never added to", str(folder), "name a new folder") from error
        self._real = real
        self._folder = folder
        self._lanes = _Lanes()
        self._write({"schema": _SCHEMA, "name": real.name, "kind": real.kind, "python": list(real.python)})

    @property
    def name(self) -> str:
        """See `Connection`."""
        return self._real.name

    @property
    def kind(self) -> str:
        """See `Connection`."""
        return self._real.kind

    @property
    def python(self) -> tuple[str, ...]:
        """See `Connection`."""
        return self._real.python

    def push(self, local: Path, remote: PurePosixPath) -> None:
        """See `Connection`."""
        self._record(_push(local, remote), lambda: self._real.push(local, remote))

    def run(
        self, argv: Sequence[str], timeout_s: float, env: Mapping[str, str] | None = None, check: bool = True
    ) -> Completed:
        """See `Connection`."""
        return self._record(_run(argv, env, check), lambda: self._real.run(argv, timeout_s, env, check), asdict)

    def pull(self, remote: PurePosixPath, local: Path) -> None:
        """See `Connection`."""

        def keep(_: None) -> str:
            return write_bytes(self._folder / sha256_file(local), local.read_bytes())

        self._record(_pull(remote), lambda: self._real.pull(remote, local), keep)

    def fingerprint(self) -> Fingerprint:
        """See `Connection`."""
        return self._record({"call": "fingerprint"}, self._real.fingerprint, Fingerprint.to_json)

    @contextlib.contextmanager
    def workdir(self) -> Iterator[PurePosixPath]:
        """See `Connection`."""
        with contextlib.ExitStack() as stack:
            yield self._record({"call": "workdir"}, lambda: stack.enter_context(self._real.workdir()), str)

    def abort(self) -> None:
        """See `Connection`. Not recorded: it answers nothing."""
        self._real.abort()

    def close(self) -> None:
        """See `Connection`."""
        self._real.close()

    def _record(self, call: dict[str, Any], do: Callable[[], T], told: Callable[[T], Any] = lambda _: None) -> T:
        call = {**call, "lane": self._lanes.mine()}
        try:
            answer = do()
        except OfaEdgeError as error:
            self._write({**call, "error": _error_json(error)})
            raise
        self._write({**call, "answer": told(answer)})
        return answer

    def _write(self, line: Mapping[str, Any]) -> None:
        append_json(self._folder / _CALLS, line)  # synced: a run that is cut off leaves what came before


class ReplayConnection:
    """A `Connection` that answers from a record. It says "emulated": a record proves nothing about hardware today.

    Calls of the thread that called first must come as they were recorded, in order. Those of other threads (the watch,
    which asks once a second) are answered by what the same call last said then, however often they come.
    """

    def __init__(self, folder: Path, *, as_recorded: bool = False) -> None:
        """Args: folder of `RecordingConnection`; whether to keep the recorded kind of device.

        `as_recorded` is for tests of what happens on hardware. No file and no command can ask for it, and the
        fingerprint says "replayed".

        Raises:
            UsageError: it is no record, or a damaged one.
        """
        try:
            # What follows the last line break is a call whose writing was cut off.
            lines = read_regular(folder / _CALLS, LARGEST_MODEL).split(b"\n")[:-1]
            header, *self._calls = [parse_json(line) for line in lines]
            for number, call in enumerate(self._calls, 2):
                _require_call(call, number)
            if header["schema"] != _SCHEMA:
                raise ValueError(f"schema {header['schema']}, expected {_SCHEMA}")
            self.name, self.kind, self.python = str(header["name"]), str(header["kind"]), tuple(header["python"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(
                "not a record of a device", f"{folder}: {error}", "RecordingConnection makes one"
            ) from error
        self._folder = folder
        self._as_recorded = as_recorded
        self._lock = threading.Lock()
        self._lanes = _Lanes()
        self._next = 0
        self._side: dict[str, int] = {}

    def push(self, local: Path, remote: PurePosixPath) -> None:
        """See `Connection`. The file must be the recorded one, by its SHA-256."""
        self._answer(_push(local, remote))

    def run(
        self, argv: Sequence[str], timeout_s: float, env: Mapping[str, str] | None = None, check: bool = True
    ) -> Completed:
        """See `Connection`."""
        del timeout_s
        answer = self._answer(_run(argv, env, check))
        return Completed(**{**answer, "argv": tuple(argv)})

    def pull(self, remote: PurePosixPath, local: Path) -> None:
        """See `Connection`."""
        digest = self._answer(_pull(remote))
        kept = self._folder / Path(str(digest)).name
        if not kept.is_file() or sha256_file(kept) != digest:
            raise UsageError("the record is damaged", f"{kept.name}: missing, or another content", "record it again")
        write_bytes(local, kept.read_bytes())

    def fingerprint(self) -> Fingerprint:
        """See `Connection`."""
        found = Fingerprint(**self._answer({"call": "fingerprint"}))
        evidence = f"replayed; then: {found.device_kind}, {found.kind_evidence}"
        return replace(
            found, device_kind=found.device_kind if self._as_recorded else "emulated", kind_evidence=evidence
        )

    @contextlib.contextmanager
    def workdir(self) -> Iterator[PurePosixPath]:
        """See `Connection`."""
        yield PurePosixPath(self._answer({"call": "workdir"}))

    def abort(self) -> None:
        """See `Connection`."""

    def close(self) -> None:
        """See `Connection`."""

    def check_finished(self) -> None:
        """Raise UsageError if recorded calls were not made."""
        left = [call for call in self._calls[self._next :] if call["lane"] == 0]
        if left:
            raise self._differs(f"{len(left)} recorded calls were not made, first {_text(left[0])}")

    def _answer(self, call: dict[str, Any]) -> Any:
        with self._lock:
            found = self._in_order(call) if self._lanes.mine() == 0 else self._beside(call)
        if "error" in found:
            raise _error_from(found["error"])
        return found["answer"]

    def _in_order(self, call: Mapping[str, Any]) -> dict[str, Any]:
        while self._next < len(self._calls) and self._calls[self._next]["lane"] != 0:
            self._next += 1
        if self._next == len(self._calls):
            raise self._differs(f"the record ends before {_text(call)}")
        found: dict[str, Any] = self._calls[self._next]
        for key in sorted(call.keys() | (found.keys() - {"lane", "answer", "error"})):
            if call.get(key) != found.get(key):
                raise self._differs(_difference(key, found.get(key), call.get(key)))
        self._next += 1
        return found

    def _beside(self, call: Mapping[str, Any]) -> dict[str, Any]:
        key = json.dumps(call, sort_keys=True)
        same = [found for found in self._calls if found["lane"] != 0 and call.items() <= found.items()]
        if not same:
            raise self._differs(f"no other thread made this call: {_text(call)}")
        turn = self._side.get(key, 0)
        self._side[key] = turn + 1
        found: dict[str, Any] = same[min(turn, len(same) - 1)]
        return found

    def _differs(self, why: str) -> UsageError:
        return UsageError(
            f"call {self._next + 1} differs from the record of {self.name}", why, "record it again if that is meant"
        )


class _Lanes:
    """Which thread a call comes from: 0 for the one that called first, 1 for all others."""

    def __init__(self) -> None:
        self._first: int | None = None

    def mine(self) -> int:
        if self._first is None:
            self._first = threading.get_ident()
        return 0 if threading.get_ident() == self._first else 1


def _push(local: Path, remote: PurePosixPath) -> dict[str, Any]:
    return {"call": "push", "remote": str(remote), "sha256": sha256_file(local)}


def _run(argv: Sequence[str], env: Mapping[str, str] | None, check: bool) -> dict[str, Any]:
    return {"call": "run", "argv": list(argv), "env": dict(env or {}), "check": check}


def _pull(remote: PurePosixPath) -> dict[str, Any]:
    return {"call": "pull", "remote": str(remote)}


def _require_call(call: Any, number: int) -> None:
    """Raise ValueError where a line is no call with its answer."""
    whole = isinstance(call, dict) and isinstance(call.get("call"), str) and type(call.get("lane")) is int
    if whole and "error" in call:
        words = call["error"] if isinstance(call["error"], dict) else {}
        whole = all(isinstance(words.get(key), str) for key in ("class", "what", "why", "hint"))
    elif whole:
        answer = call.get("answer")
        if call["call"] == "run":
            fields = {each.name for each in dataclasses.fields(Completed)}
            whole = isinstance(answer, dict) and set(answer) <= fields and isinstance(call.get("argv"), list)
        elif call["call"] == "pull":
            whole = isinstance(answer, str)
    if not whole:
        raise ValueError(f"line {number} of {_CALLS} is no call with its answer")


def _text(call: Mapping[str, Any]) -> str:
    what = " ".join(call["argv"]) if call["call"] == "run" else str(call.get("remote", ""))
    return f"{call['call']} {what}".strip()[:300]


def _difference(key: str, recorded: Any, now: Any) -> str:
    """Where two values of a call part."""
    if isinstance(recorded, list) and isinstance(now, list):
        for index, (old, new) in enumerate(zip(recorded, now, strict=False)):
            if old != new:
                return f"{key}[{index}]: recorded {old!r}, now {new!r}"
        return f"{key}: recorded {len(recorded)} words, now {len(now)}"
    return f"{key}: recorded {recorded!r}, now {now!r}"


def _error_json(error: OfaEdgeError) -> dict[str, str]:
    told = {"class": type(error).__name__, "what": error.what, "why": error.why, "hint": error.hint}
    return {**told, "reason": error.reason} if isinstance(error, DeviceBusyError) else told


def _error_from(told: Mapping[str, str]) -> OfaEdgeError:
    """The recorded error. A class that is not in errors.py (a connection's own) becomes its nearest, `DeviceError`."""
    found = getattr(ofa_edge.errors, told["class"], None)
    kind: type[OfaEdgeError] = found if isinstance(found, type) and issubclass(found, OfaEdgeError) else DeviceError
    words = (told["what"], told["why"], told["hint"])
    return DeviceBusyError(*words, told["reason"]) if kind is DeviceBusyError else kind(*words)
