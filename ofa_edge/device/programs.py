"""The programs that run an artifact on a device: which files they need, how they are called, what they leave."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ofa_edge.device.protocol import Connection, LatencyPlan, Request
from ofa_edge.errors import DeviceRunError, UnsupportedError

_TVM_RUNNER = "tvm_runner"


@dataclass(frozen=True)
class Job:
    """One call: the artifact's work folder on the device and the names of its files there."""

    work: PurePosixPath
    inputs: str
    outputs: str
    images: int
    threads: int


class Program(Protocol):
    """A runtime's runner. Every call prints one line of JSON as the last line of stdout."""

    def files(self) -> Mapping[str, Path]:
        """What to push once: name on the device to file here."""

    def environment(self, work: PurePosixPath) -> dict[str, str]:
        """Environment variables it needs."""

    def write_inputs(self, images: NDArray[np.float32], path: Path) -> None:
        """Write images [N, C, H, W] as the runner reads them."""

    def read_outputs(self, path: Path, images: int) -> NDArray[np.float32]:
        """Logits [images, classes] as the runner wrote them."""

    def run_all(self, job: Job) -> list[str]:
        """Arguments of one pass over all inputs."""

    def sample(self, job: Job, plan: LatencyPlan, estimate_ns: int | None) -> list[str]:
        """Arguments of one latency session on the first input. `estimate_ns`: an earlier session's median."""

    def count(self, job: Job, runs: int) -> list[str]:
        """Arguments that run the first input `runs` times between marks (see `_qemu/insncount.c`)."""


def program_for(connection: Connection, request: Request) -> Program:
    """The runner of the request's runtime.

    Raises:
        UnsupportedError: TVM without its compiled runner.
    """
    if request.runtime == "tflite":
        return LiteRtProgram(connection.python, request.artifact, request.classes)
    if request.runner is None:
        raise UnsupportedError("no TVM runner for the device", "Request.runner is None", "build.build_tvm_runner(arch)")
    return TvmProgram(request.runner, request.artifact, tuple(request.inputs.shape[1:]), request.classes)


@dataclass(frozen=True)
class LiteRtProgram:
    """`litert_runner.py` under the device's Python."""

    python: tuple[str, ...]
    artifact: Path
    classes: int

    def files(self) -> Mapping[str, Path]:
        """See `Program`."""
        runner = resources.files("ofa_edge.device.runners").joinpath("litert_runner.py")
        if not isinstance(runner, Path):
            raise UnsupportedError("ofa-edge lies in an archive", "its runner must be a file", "pip install ofa-edge")
        return {"litert_runner.py": runner, "model.tflite": self.artifact}

    def environment(self, work: PurePosixPath) -> dict[str, str]:
        """See `Program`."""
        del work
        return {}

    def write_inputs(self, images: NDArray[np.float32], path: Path) -> None:
        """See `Program`."""
        np.save(path, np.ascontiguousarray(images.transpose(0, 2, 3, 1), np.float32))

    def read_outputs(self, path: Path, images: int) -> NDArray[np.float32]:
        """See `Program`."""
        return _checked(np.load(path, allow_pickle=False), images, self.classes)

    def run_all(self, job: Job) -> list[str]:
        """See `Program`."""
        paths = [str(job.work / name) for name in ("litert_runner.py", "model.tflite", job.inputs, job.outputs)]
        return [*self.python, *paths, "--threads", str(job.threads)]

    def sample(self, job: Job, plan: LatencyPlan, estimate_ns: int | None) -> list[str]:
        """See `Program`."""
        del estimate_ns  # it measures its own
        options = {
            "--min-runs": plan.min_runs,
            "--min-seconds": plan.min_seconds,
            "--warmup-runs": plan.warmup_runs,
            "--warmup-seconds": plan.warmup_seconds,
            "--warmup-limit": plan.warmup_limit_seconds,
            "--warmup-tolerance": plan.warmup_tolerance,
        }
        return [*self.run_all(job), "--latency", *(str(part) for pair in options.items() for part in pair)]

    def count(self, job: Job, runs: int) -> list[str]:
        """See `Program`."""
        return [*self.run_all(job), "--count", str(runs)]


@dataclass(frozen=True)
class TvmProgram:
    """`tvm_runner`, a C++ program linked with TVM's runtime; see `runners/tvm_runner.cc`."""

    folder: Path
    artifact: Path
    shape: tuple[int, ...]  # [C, H, W]
    classes: int

    def files(self) -> Mapping[str, Path]:
        """See `Program`."""
        names = (_TVM_RUNNER, "libtvm_runtime.so", "libtvm_ffi.so")
        return {**{name: self.folder / name for name in names}, "model.so": self.artifact}

    def environment(self, work: PurePosixPath) -> dict[str, str]:
        """See `Program`."""
        return {"LD_LIBRARY_PATH": str(work)}

    def write_inputs(self, images: NDArray[np.float32], path: Path) -> None:
        """See `Program`."""
        np.ascontiguousarray(images, "<f4").tofile(path)

    def read_outputs(self, path: Path, images: int) -> NDArray[np.float32]:
        """See `Program`."""
        values = np.fromfile(path, "<f4")
        return _checked(
            values.reshape(-1, self.classes) if values.size % self.classes == 0 else values, images, self.classes
        )

    def run_all(self, job: Job) -> list[str]:
        """See `Program`."""
        return self._argv(job, job.images, warmup=0, repeat=0)

    def sample(self, job: Job, plan: LatencyPlan, estimate_ns: int | None) -> list[str]:
        """See `Program`. A fixed number of runs: without an estimate the plan's least, to find one."""
        per_second = 1e9 / estimate_ns if estimate_ns else 0.0
        warmup = max(plan.warmup_runs, int(plan.warmup_seconds * per_second))
        return self._argv(job, 1, warmup, repeat=max(plan.min_runs, int(plan.min_seconds * per_second)))

    def count(self, job: Job, runs: int) -> list[str]:
        """See `Program`."""
        return self._argv(job, 1, warmup=1, repeat=runs)

    def _argv(self, job: Job, images: int, warmup: int, repeat: int) -> list[str]:
        shape = [str(size) for size in (images, *self.shape)]
        files = [str(job.work / name) for name in ("model.so", job.inputs)]
        options = {"--classes": self.classes, "--warmup": warmup, "--repeat": repeat, "--threads": job.threads}
        return [
            *(str(job.work / _TVM_RUNNER), *files, *shape, str(job.work / job.outputs)),
            *(str(part) for pair in options.items() for part in pair),
        ]


def _checked(logits: NDArray[np.float32], images: int, classes: int) -> NDArray[np.float32]:
    if logits.shape != (images, classes) or logits.dtype != np.float32:
        raise DeviceRunError(
            "the device gave outputs of another shape",
            f"{logits.dtype} {logits.shape}, expected float32 {(images, classes)}",
            "is the artifact the one that the request names?",
        )
    if not np.isfinite(logits).all():
        raise DeviceRunError(
            "the device gave outputs that are not finite", "NaN or infinity among the logits", "ofa-edge verify"
        )
    return logits
