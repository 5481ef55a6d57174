"""The programs that run an artifact on a device: which files they need, how they are called, what they leave.

All runners take the same options and print the same fields (see `runners/runner_passes.py`), so that one measuring
protocol drives any. They differ in the files they need and in how images and logits are stored.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from ofa_edge.device.measuring.android_app import AndroidAppProgram
from ofa_edge.device.measuring.raw_outputs import PROBE, raw_outputs
from ofa_edge.device.protocol import Connection, Fingerprint, LatencyPlan, Program, Request
from ofa_edge.errors import DeviceRunError, UnsupportedError
from ofa_edge.files import require_regular

_RUNNERS = "ofa_edge.device.runners"
_PASSES = "runner_passes.py"  # what the runners in Python share
_TVM_RUNNER = "tvm_runner"
_TVM_LIBRARIES = ("libtvm_runtime.so", "libtvm_ffi.so")
_CUDA_PLUGIN = "libofa_edge_cuda.so"  # there for a library with CUDA kernels


def is_phone(device: Fingerprint) -> bool:
    """Whether it is a real Android device: there is no Python there."""
    return device.build is not None and device.device_kind == "physical"


def litert_program(connection: Connection, request: Request, device: Fingerprint) -> Program:
    """What runs a TFLite file on such a device: Android has no Python, so there the demo app does.

    Raises:
        UnsupportedError: named cores, which the app cannot be kept on.
    """
    if is_phone(device):
        if request.cores:
            raise UnsupportedError("the demo app cannot be kept on cores", f"cores {request.cores}", "name no cores")
        if request.shapes:
            why = f"this network has {len(request.shapes)} inputs"
            raise UnsupportedError("the demo app gives a network one image", why, "--device of another kind")
        return AndroidAppProgram(request.artifact, request.classes)
    return LiteRtProgram(connection.python, request.artifact)


def onnx_program(connection: Connection, request: Request, device: Fingerprint) -> Program:
    """What runs an ONNX file on such a device: ONNX Runtime's Python package. Raises UnsupportedError for a phone."""
    if is_phone(device):
        raise UnsupportedError(
            f"ONNX artifacts do not run on {connection.name}", "Android has no Python", "--runtime of another kind"
        )
    return OnnxProgram(connection.python, request.artifact)


def tvm_program(connection: Connection, request: Request, device: Fingerprint) -> Program:
    """What runs a TVM library: the compiled runner that travels with it. Raises UnsupportedError without it."""
    del connection, device
    if request.runner is None:
        raise UnsupportedError(
            "TVM artifacts need their runner", "Request.runner is not set", "ofa_edge.device.runners.build"
        )
    shapes = request.shapes or ((1, *request.inputs.shape[1:]),)
    return TvmProgram(request.runner, request.artifact, shapes, request.classes)


def shape_options(shapes: Sequence[tuple[int, ...]]) -> list[str]:
    """How `tvm_runner` is told the shapes of a network's inputs."""
    return [word for each in shapes for word in ("--shape", ",".join(map(str, each)) or "scalar")]


def with_threads(argv: list[str], threads: int, cores: Sequence[int] = ()) -> list[str]:
    """A pass over all inputs with so many threads, on those cores alone where any are named."""
    pinned = ["--cores", ",".join(str(core) for core in cores)] if cores else []
    return [*argv, "--threads", str(threads), *pinned]


def with_latency(argv: list[str], plan: LatencyPlan) -> list[str]:
    """One latency session on the first input instead."""
    options = {
        "--min-runs": plan.min_runs,
        "--min-seconds": plan.min_seconds,
        "--warmup-runs": plan.warmup_runs,
        "--warmup-seconds": plan.warmup_seconds,
        "--warmup-limit": plan.warmup_limit_seconds,
        "--warmup-tolerance": plan.warmup_tolerance,
    }
    return [*argv, "--latency", *(str(part) for pair in options.items() for part in pair)]


def with_count(argv: list[str], runs: int) -> list[str]:
    """So many marked runs of the first input instead (see `_qemu/insncount.c`)."""
    return [*argv, "--count", str(runs)]


def with_memory(argv: list[str], runs: int) -> list[str]:
    """So many runs of the first input, and the process's peak memory."""
    return [*argv, "--memory", str(runs)]


def with_profile(argv: list[str], runs: int) -> list[str]:
    """So many runs of the first input, each function timed; not of LiteRT, which tells no profile."""
    return [*argv, "--profile", str(runs)]


@dataclass(frozen=True)
class PythonProgram:
    """A runner in Python, under the device's own. Images are [N, C, H, W] unless a runner wants others.

    Several inputs stand one behind the other, [N, values]: the runner knows their shapes from the model.

    Attributes:
        python: how the device's Python is called.
        artifact: the model's file.
        wheels: packages that the device may lack; the runner imports from them after `runner_passes.use_wheels()`.
        package: the package in whose folder the runner lies.
        runner: its file.
        model: the model's name on the device.
    """

    python: tuple[str, ...]
    artifact: Path
    suffix: str = ".npy"
    tells_memory: bool = True
    wheels: tuple[Path, ...] = ()
    package: ClassVar[str] = _RUNNERS
    runner: ClassVar[str]
    model: ClassVar[str]

    def files(self) -> Mapping[str, Path]:
        """See `Program`."""
        wheels = {wheel.name: wheel for wheel in self.wheels}
        runner = _file_of(self.package, self.runner)
        return {self.runner: runner, _PASSES: _file_of(_RUNNERS, _PASSES), self.model: self.artifact, **wheels}

    def environment(self, work: PurePosixPath) -> dict[str, str]:
        """See `Program`."""
        del work
        return {}

    def command(self, work: PurePosixPath, inputs: str, outputs: str) -> list[str]:
        """See `Program`."""
        return [*self.python, *(str(work / name) for name in (self.runner, self.model, inputs, outputs))]

    def write_inputs(self, images: NDArray[np.float32], path: Path) -> None:
        """See `Program`."""
        np.save(path, np.ascontiguousarray(images, np.float32))

    def read_outputs(self, path: Path) -> NDArray[np.float32]:
        """See `Program`."""
        try:  # mapped, so that a header that promises more than the file holds asks for no memory
            require_regular(path)
            logits = np.lib.format.open_memmap(path, mode="r")
            return np.array(logits)
        except Exception as error:  # a damaged header raises whatever Python's own parser does
            raise DeviceRunError("the device's outputs are no NumPy file", str(error), PROBE) from error

    def facts(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """See `Program`."""
        return dict(report)


def _file_of(package: str, name: str) -> Path:
    """A file of an installed package."""
    folder = resources.files(package)
    if not isinstance(folder, Path):
        raise UnsupportedError(f"{package} runs from an archive", "its runner must be a file", f"pip install {package}")
    return folder / name


class LiteRtProgram(PythonProgram):
    """`litert_runner.py`."""

    runner = "litert_runner.py"
    model = "model.tflite"

    def write_inputs(self, images: NDArray[np.float32], path: Path) -> None:
        """See `Program`. TFLite's own layout, [N, H, W, C]."""
        super().write_inputs(images.transpose(0, 2, 3, 1) if images.ndim == 4 else images, path)


class OnnxProgram(PythonProgram):
    """`onnx_runner.py`."""

    runner = "onnx_runner.py"
    model = "model.onnx"


@dataclass(frozen=True)
class TvmProgram:
    """`tvm_runner`, a C++ program over TVM's runtime; see `runners/tvm_runner.cc`."""

    folder: Path  # holds the runner and its libraries for the device's architecture
    artifact: Path
    shapes: tuple[tuple[int, ...], ...]  # of its inputs: ((1, C, H, W),)
    classes: int
    suffix: str = ".f32"
    tells_memory: bool = True

    def files(self) -> Mapping[str, Path]:
        """See `Program`."""
        plugin = [_CUDA_PLUGIN] if (self.folder / _CUDA_PLUGIN).is_file() else []
        names = (_TVM_RUNNER, *_TVM_LIBRARIES, *plugin)
        return {**{name: self.folder / name for name in names}, "model.so": self.artifact}

    def environment(self, work: PurePosixPath) -> dict[str, str]:
        """See `Program`."""
        return {"LD_LIBRARY_PATH": str(work)}

    def command(self, work: PurePosixPath, inputs: str, outputs: str) -> list[str]:
        """See `Program`."""
        paths = [str(work / name) for name in (_TVM_RUNNER, "model.so", inputs, outputs)]
        return [*paths, *shape_options(self.shapes)]

    def write_inputs(self, images: NDArray[np.float32], path: Path) -> None:
        """See `Program`. Raw little-endian float32, [N, C, H, W], or [N, values] of several inputs."""
        np.ascontiguousarray(images, "<f4").tofile(path)

    def read_outputs(self, path: Path) -> NDArray[np.float32]:
        """See `Program`."""
        values = raw_outputs(path)
        return values.reshape(-1, self.classes) if values.size % self.classes == 0 else values

    def facts(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """See `Program`."""
        return dict(report)


def check_logits(logits: NDArray[np.float32], images: int, classes: int) -> NDArray[np.float32]:
    """The logits, if they are what was asked for.

    Raises:
        DeviceRunError: another shape or type, or values that are not finite.
    """
    if logits.shape != (images, classes) or logits.dtype != np.float32:
        raise DeviceRunError(
            "the device gave outputs of another shape",
            f"{logits.dtype} {logits.shape}, expected float32 {(images, classes)}",
            "is the artifact the one that the request names?",
        )
    if not np.isfinite(logits).all():
        raise DeviceRunError(
            "the device gave logits that are not numbers",
            f"{np.count_nonzero(~np.isfinite(logits))} of {logits.size} are NaN or infinite",
            "compare with --device local",
        )
    return logits


def last_json(stdout: str) -> dict[str, Any]:
    """The runner's one line of JSON: the last line that it printed.

    Raises:
        DeviceRunError: the last line is something else.
    """
    lines = stdout.strip().splitlines()
    try:
        facts = json.loads(lines[-1], parse_constant=_no_number, parse_float=_finite) if lines else None
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict):
        raise DeviceRunError("the runner printed no result", (lines or ["nothing"])[-1][:300], PROBE)
    return facts


def _no_number(word: str) -> NoReturn:
    """NaN and infinities are no JSON, and no fact about a device."""
    raise ValueError(word)


def _finite(word: str) -> float:
    """1e999 is an infinity too."""
    value = float(word)
    return value if math.isfinite(value) else _no_number(word)
