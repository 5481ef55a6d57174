"""What a device is to the rest of the house: a connection, a fingerprint, a request and a measurement.

Nothing here talks to hardware. `measure.measure` drives any object that fits `Connection`.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import DeviceError

DeviceKind = Literal["physical", "emulated"]


@dataclass(frozen=True)
class Completed:
    """A program that ran to its end on the device."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    wall_s: float  # seen from here: on a remote device it includes the way there and back


@dataclass(frozen=True)
class Fingerprint:
    """What a device says about itself. Everything is read on the device, nothing is taken from the user's word."""

    device_kind: DeviceKind
    kind_evidence: str  # what on the device showed its kind
    arch: str  # as uname says: "aarch64", "x86_64"
    cpu: str  # "cortex-a72", or the model name the kernel gives
    model: str  # the board, where the device tree or firmware names it, else ""
    os: str
    kernel: str
    boot_id: str
    cores: int
    emulator: str | None = None  # name, version and CPU of the emulator
    build: str | None = None  # Android's own fingerprint of its build

    def to_json(self) -> dict[str, Any]:
        """The JSON form for manifests."""
        return asdict(self)


class Connection(Protocol):
    """The way to one device.

    All device paths are absolute and lie inside a folder that `workdir` made; anything else is refused.
    Every call has a limit in seconds. Errors: `DeviceLostError`, `DeviceTimeoutError`, `DeviceRunError`.
    """

    @property
    def name(self) -> str:
        """The device's name, as given to `--device`."""

    @property
    def kind(self) -> str:
        """The transport: "local", "ssh", "adb", "emulated", or the name of an entry point."""

    @property
    def python(self) -> tuple[str, ...]:
        """Arguments that start the device's Python interpreter in which LiteRT is installed."""

    def push(self, local: Path, remote: PurePosixPath) -> None:
        """Copy a file to the device: to `REMOTE.part`, SHA-256 compared there, then renamed. Keeps the x bit."""

    def run(
        self, argv: Sequence[str], timeout_s: float, env: Mapping[str, str] | None = None, check: bool = True
    ) -> Completed:
        """Run one program; no shell. With `check`, a non-zero exit status raises `DeviceRunError`."""

    def pull(self, remote: PurePosixPath, local: Path) -> None:
        """Copy a file from the device, SHA-256 compared, written here atomically."""

    def fingerprint(self) -> Fingerprint:
        """Ask the device what it is."""

    def workdir(self) -> AbstractContextManager[PurePosixPath]:
        """A private folder on the device, removed at the end whatever happens."""

    def abort(self) -> None:
        """Kill whatever this connection is running now; for use from another thread."""

    def close(self) -> None:
        """Give up the connection and what it holds here."""


class Conditions(Protocol):
    """What a device must be before a session, and what may have happened to it by its end; see `conditions`."""

    def before(self) -> None:
        """Wait until the device may be measured.

        Raises:
            DeviceBusyError: it was not by the deadline; `reason` says what stood in the way.
        """

    @property
    def facts(self) -> Mapping[str, str]:
        """What is worth recording about the device: power, heat, clocks, load, in words."""

    def after(self) -> str | None:
        """A reason code for why the session that has just ended counts for nothing, or None."""


@dataclass(frozen=True)
class LatencyPlan:
    """How latency is sampled. The session (a new process) is the unit of evidence, not the iteration."""

    sessions: int = 5
    min_runs: int = 100
    min_seconds: float = 10.0
    warmup_runs: int = 10
    warmup_seconds: float = 0.5
    warmup_limit_seconds: float = 10.0
    warmup_tolerance: float = 0.02  # median of the last 10 runs against the 10 before
    replacements: int = 3  # sessions that may be run again because one was invalid

    @classmethod
    def quick(cls) -> "LatencyPlan":
        """A first look in a few seconds: fewer and shorter sessions, wider intervals."""
        return cls(sessions=3, min_seconds=1.0, warmup_limit_seconds=3.0)

    @classmethod
    def release(cls) -> "LatencyPlan":
        """What MLPerf Mobile asks of a single-stream run: 1,024 samples and 60 s, here in each session."""
        return cls(min_runs=1024, min_seconds=60.0)


class Program(Protocol):
    """A runtime's runner. Each call prints one line of JSON as the last line of stdout."""

    @property
    def suffix(self) -> str:
        """Of the files that hold images and logits."""

    @property
    def tells_memory(self) -> bool:
        """Whether it has a memory pass."""

    def files(self) -> Mapping[str, Path]:
        """What to push once: name on the device to file here."""

    def environment(self, work: PurePosixPath) -> dict[str, str]:
        """Environment variables that it needs."""

    def command(self, work: PurePosixPath, inputs: str, outputs: str) -> list[str]:
        """Arguments of one pass over the images in file `inputs` of the work folder."""

    def write_inputs(self, images: NDArray[np.float32], path: Path) -> None:
        """Write images [N, C, H, W] as the runner reads them."""

    def read_outputs(self, path: Path) -> NDArray[np.float32]:
        """Logits [N, classes] as the runner wrote them."""

    def facts(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """What the JSON that it printed says, in the fields of `runners/runner_passes.py`."""


@dataclass(frozen=True)
class Request:
    """What to measure.

    Attributes:
        artifact: the model's file.
        program: chooses the program that runs it on a device (`Runtime.program`).
        inputs: normalised float32 images [N, C, H, W]; of several inputs float32 [N, values], one behind the other.
            Layout and quantisation are the runner's affair.
        classes: number of logits.
        shapes: of the network's inputs, where it has several.
        threads: inference threads on a physical device.
        cores: the cores that a physical device keeps them on; all of them where none is named.
        runner: the folder of a program that travels with the artifact, for the device's architecture.
        macs: multiply-accumulates of one inference, for the plausibility check.
        peak_gmacs: peak of the *device at hand* in 1e9 MAC/s at this precision; None where it is not known.
        latency: how to sample latency, or None for no latency pass.
        memory: whether a physical device measures the process's peak memory, in a pass of its own.
        count_instructions: whether an emulated device counts instructions.
        timeout_s: limit of one pass over the inputs, and of one latency session.
    """

    artifact: Path
    program: "ProgramFor"
    inputs: NDArray[np.float32]
    classes: int
    shapes: tuple[tuple[int, ...], ...] = ()
    threads: int = 1
    cores: tuple[int, ...] = ()
    runner: Path | None = None
    macs: int | None = None
    peak_gmacs: float | None = None
    latency: LatencyPlan | None = field(default_factory=LatencyPlan)
    memory: bool = False
    count_instructions: bool = True
    timeout_s: float = 900.0


ProgramFor = Callable[[Connection, Request, Fingerprint], Program]
"""The program of a runtime on such a device. Raises UnsupportedError where there is none."""


@dataclass(frozen=True)
class Latency:
    """Latency of one inference on a physical device, in milliseconds. Percentiles are medians over sessions."""

    p50_ms: float
    p90_ms: float
    p99_ms: float | None  # over all samples; only from 1,000 of them on
    min_ms: float
    mad_ms: float  # median absolute deviation of all samples
    low95_ms: float  # bootstrap interval of p50 over sessions
    high95_ms: float
    runs: int
    sessions: int
    load_ms: float  # median over sessions
    first_ms: float
    threads: int
    settled: bool  # every session's warm-up reached a steady state
    samples_ns: tuple[tuple[int, ...], ...]  # raw, one tuple a session


@dataclass(frozen=True)
class ModelledCycles:
    """What a model of a core makes of one inference under emulation. A regression signal, not a time."""

    per_inference: int
    core: int  # of them, what the core takes when every load hits its nearest cache
    missed_lines: int  # of 64 bytes, that neither cache held
    model: str  # LLVM's version, the core, the weight of a missed line


@dataclass(frozen=True)
class Instructions:
    """Guest instructions of one inference under emulation. A regression signal, not a time."""

    per_inference: int
    spread: float  # (max - min) / median over the counted inferences
    counted: int
    threads: int
    emulator: str
    cycles: ModelledCycles | None = None  # None where the core has no model, or LLVM's tools are not at hand


@dataclass(frozen=True)
class Measurement:
    """What one device did with one artifact."""

    device: str
    fingerprint: Fingerprint
    outputs: NDArray[np.float32]  # logits [N, classes]
    runner: Mapping[str, Any]  # facts that the runner found on the device: runtime, version, delegated operators
    latency: Latency | None  # None on an emulated device, always
    emulation_wall_ms: float | None  # wall time of the whole pass over the inputs; says nothing about the hardware
    instructions: Instructions | None
    notes: tuple[str, ...] = ()  # what is missing, and why
    peak_memory: int | None = None  # resident bytes of the process that ran the network
    conditions: Mapping[str, str] = field(default_factory=dict)  # power, heat, clocks, load, in words
    no_latency: DeviceError | None = None  # what kept the latency pass from an end; the rest holds all the same

    @property
    def latency_ms(self) -> NDArray[np.float64] | None:
        """All latency samples in milliseconds, or None: an emulated device has none."""
        if self.latency is None:
            return None
        return np.concatenate([np.asarray(session, np.float64) for session in self.latency.samples_ns]) / 1e6

    @property
    def instructions_per_inference(self) -> int | None:
        """Guest instructions of one inference; None where they were not counted."""
        return None if self.instructions is None else self.instructions.per_inference

    @property
    def modelled_cycles(self) -> ModelledCycles | None:
        """Modelled cycles of one inference; None where there are none."""
        return None if self.instructions is None else self.instructions.cycles

    def to_json(self) -> dict[str, Any]:
        """The JSON form for manifests, without the outputs and without the raw samples (see `Latency.samples_ns`)."""
        latency = None if self.latency is None else asdict(replace(self.latency, samples_ns=()))
        if latency is not None:
            del latency["samples_ns"]
        return {
            "device": self.device,
            "fingerprint": self.fingerprint.to_json(),
            "images": len(self.outputs),
            "runner": dict(self.runner),
            "latency": latency,
            "emulation_wall_ms": self.emulation_wall_ms,
            "instructions": None if self.instructions is None else asdict(self.instructions),
            "notes": list(self.notes),
            "peak_memory": self.peak_memory,
            "conditions": dict(self.conditions),
            "no_latency": None if self.no_latency is None else self.no_latency.what,
        }
