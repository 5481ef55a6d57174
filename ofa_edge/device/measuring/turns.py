"""Time functions or models in turn on a physical device, with `runners/tvm_turns.cc` or `runners/litert_turns.py`."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.device import runners
from ofa_edge.device.measuring.loadable import check_loadable
from ofa_edge.device.measuring.model_digest import require_model
from ofa_edge.device.measuring.programs import last_json, with_threads
from ofa_edge.device.protocol import Connection, Fingerprint
from ofa_edge.device.runners.build import TURNS
from ofa_edge.errors import DeviceRunError, UnsupportedError
from ofa_edge.files import sha256_file, write_bytes

_LITERT_TURNS = "litert_turns.py"
_START_S = 120.0  # on top of a limit: loading libraries, filling tensors, the last round
_LEAST_LIMIT_S = 0.001
_WITHOUT: Mapping[str, str] = MappingProxyType({"tune": ", or leave out --tune"})


def check_timeable(connection: Connection, arch: str, verb: str = "tune") -> Fingerprint:
    """The fingerprint of a device whose times mean something for artifacts of `arch`; `verb` is for the error.

    Raises:
        UnsupportedError: the device is emulated, or has another architecture.
    """
    fingerprint = connection.fingerprint()
    if fingerprint.device_kind == "emulated":
        raise UnsupportedError(
            f"cannot {verb} on {connection.name}",
            f"it is emulated ({fingerprint.kind_evidence}): an emulator gives no times",
            f"--device NAME of the real board{_WITHOUT.get(verb, '')}",
        )
    if fingerprint.arch != arch:
        raise UnsupportedError(
            f"cannot {verb} on {connection.name}",
            f"it is {fingerprint.arch}, and the artifact is for {arch}",
            "--device NAME of a board of the target's architecture",
        )
    return fingerprint


@dataclass
class TurnsProgram:
    """A program of turns in a folder on the device; see `open_turns` and `open_litert_turns`.

    Attributes:
        start: arguments that start it.
        cores: it is kept on those, where any are named; `litert_turns.py` only.
        facts: what it said about itself when it last ran.
    """

    connection: Connection
    work: PurePosixPath
    here: Path
    threads: int
    sample_us: float
    start: tuple[str, ...]
    cores: tuple[int, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
    _pushed: dict[str, str] = field(default_factory=dict)

    def time(
        self, libraries: Mapping[str, Path], lines: Sequence[str], rounds: int, limit_s: float
    ) -> NDArray[np.float64]:
        """Let turns take turns.

        Args:
            libraries: files here by the name that `lines` call them.
            lines: one turn each, as `tvm_turns.cc` reads them.
            rounds: turns of each.
            limit_s: seconds after which no further round begins.

        Returns:
            Nanoseconds of one call [rounds, turns].

        Raises:
            DeviceError: the device was lost, or a function failed on it.
        """
        self.send(libraries)
        write_bytes(self.here / "turns.txt", ("\n".join(lines) + "\n").encode())
        self.connection.push(self.here / "turns.txt", self.work / "turns.txt")
        limit_s = max(limit_s, _LEAST_LIMIT_S)
        options = {"--rounds": rounds, "--sample-us": self.sample_us, "--limit-s": limit_s}
        # The program runs in its folder's libraries, and names them by their whole path.
        argv = with_threads([*self.start, str(self.work / "turns.txt")], self.threads, self.cores)
        argv += [str(part) for pair in options.items() for part in pair]
        done = self.connection.run(argv, limit_s + _START_S, {"LD_LIBRARY_PATH": str(self.work)})
        said = _said(done.stdout, self.connection.name)
        self._require_models(said.pop("models", None), lines)
        found, self.facts = _rounds(said, len(lines), self.connection.name)
        return found

    def _require_models(self, said: object, lines: Sequence[str]) -> None:
        """Raise OtherModelError unless each line's turn took place in the library that it names."""
        names = {self.place(name): digest for name, digest in self._pushed.items()}
        told = said if isinstance(said, list) and len(said) == len(lines) else [None] * len(lines)
        for line, digest in zip(lines, told, strict=True):
            require_model(self.connection, digest, names[line.partition(" ")[0]])

    def place(self, name: str) -> str:
        """Where library `name` lies on the device, for a turn's line."""
        return str(self.work / name)

    def send(self, libraries: Mapping[str, Path]) -> None:
        """Push files that are not there yet; `time` would, but then the way there is part of its time."""
        for name, path in libraries.items():
            digest = sha256_file(path)
            if self._pushed.get(name) != digest:
                self.connection.push(path, self.work / name)
                self._pushed[name] = digest


@contextlib.contextmanager
def open_turns(connection: Connection, program: Path, threads: int, sample_us: float = 100.0) -> Iterator[TurnsProgram]:
    """Put the program on the device, and take everything away at the end.

    Args:
        connection: to a device of `check_timeable`.
        program: folder of `runners.build.build_tvm_turns`.
        threads: of each function.
        sample_us: microseconds that one turn takes at least.
    """
    with tempfile.TemporaryDirectory(prefix="ofa-turns-") as here, connection.workdir() as work:
        files = [path for path in sorted(program.iterdir()) if path.suffix != ".json"]
        check_loadable(connection, connection.fingerprint(), files)
        for path in files:
            connection.push(path, work / path.name)
        yield TurnsProgram(connection, work, Path(here), threads, sample_us, (str(work / TURNS),))


@contextlib.contextmanager
def open_litert_turns(
    connection: Connection, threads: int, sample_us: float = 100.0, cores: Sequence[int] = ()
) -> Iterator[TurnsProgram]:
    """The same for TFLite models; a turn's line is the model's path on the device (`TurnsProgram.place`).

    Args:
        connection: to a device of `check_timeable`.
        threads: of each model.
        sample_us: microseconds that one turn takes at least.
        cores: keep the program on those; none: wherever the device puts it.
    """
    with tempfile.TemporaryDirectory(prefix="ofa-turns-") as here, connection.workdir() as work:
        connection.push(Path(runners.__file__).with_name(_LITERT_TURNS), work / _LITERT_TURNS)
        start = (*connection.python, str(work / _LITERT_TURNS))
        yield TurnsProgram(connection, work, Path(here), threads, sample_us, start, tuple(cores))


def _said(stdout: str, device: str) -> dict[str, Any]:
    try:
        return last_json(stdout)
    except DeviceRunError as error:
        raise DeviceRunError(f"{device} gave no times", f"it said {stdout[-200:]!r}", "run it again") from error


def _rounds(said: dict[str, Any], turns: int, device: str) -> tuple[NDArray[np.float64], dict[str, str]]:
    try:
        found = np.asarray(said.pop("rounds_ns"), np.float64).reshape(-1, turns)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise DeviceRunError(f"{device} gave no times", f"{error}; it said {said!r:.200}", "run it again") from error
    if not (np.isfinite(found).all() and (found > 0).all()):
        raise DeviceRunError(f"{device} gave times that cannot be", f"{found.min()} ns at least", "run it again")
    return found, {str(name): str(value) for name, value in said.items()}
