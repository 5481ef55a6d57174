"""Measure one artifact on one device: what it answers, how fast (hardware only), how many instructions (emulated)."""

import json
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ofa_edge.device.counting import count_instructions
from ofa_edge.device.emulated import EmulatedConnection
from ofa_edge.device.programs import (
    Program,
    check_logits,
    program_for,
    with_count,
    with_latency,
    with_threads,
)
from ofa_edge.device.protocol import Connection, Fingerprint, Instructions, Latency, LatencyPlan, Measurement, Request
from ofa_edge.device.samples import Session, check_plausible, summarise
from ofa_edge.errors import DataError, DeviceError, DeviceRebootedError, DeviceRunError, ToolMissingError

T = TypeVar("T")
_COUNTED_RUNS = 5
_MOST_SHARDS = 8
_SAME_RTOL, _SAME_ATOL = 1e-4, 1e-5
_FIGURES = ("latency_ns", "load_ns", "first_ns", "warmup_runs", "settled", "outputs")  # of one pass, not of the runner


@dataclass(frozen=True)
class _Stage:
    """Where the files are: here and on the device."""

    connection: Connection
    program: Program
    request: Request
    here: Path
    work: PurePosixPath

    def run(self, argv: list[str]) -> dict[str, Any]:
        """Run the program; the facts it prints."""
        environment = self.program.environment(self.work)
        return last_json(self.connection.run(argv, self.request.timeout_s, environment).stdout)

    def call(self, inputs: str, outputs: str, threads: int) -> list[str]:
        """Arguments of a pass over the images in `inputs` (names without suffix)."""
        suffix = self.program.suffix
        return with_threads(self.program.command(self.work, inputs + suffix, outputs + suffix), threads)

    def push_inputs(self, name: str, images: NDArray[np.float32]) -> None:
        """Write images as the program reads them and push them."""
        file = name + self.program.suffix
        self.program.write_inputs(images, self.here / file)
        self.connection.push(self.here / file, self.work / file)

    def pull_outputs(self, name: str, images: int) -> NDArray[np.float32]:
        """Logits [images, classes]."""
        file = name + self.program.suffix
        self.connection.pull(self.work / file, self.here / file)
        return check_logits(self.program.read_outputs(self.here / file), images, self.request.classes)


def measure(connection: Connection, request: Request) -> Measurement:
    """Run the artifact over all inputs, then sample latency (hardware) or count instructions (emulated).

    An emulated device never gives milliseconds: `latency` is None whatever the request says.

    Raises:
        DeviceError: the device was lost, restarted, too slow, failed, or gave a latency that cannot be.
        UsageError: the request cannot be run there.
    """
    _check(request)
    before = connection.fingerprint()
    emulated = before.device_kind == "emulated"
    with tempfile.TemporaryDirectory(prefix="ofa-measure-") as here, connection.workdir() as work:
        stage = _Stage(connection, program_for(connection, request), request, Path(here), work)
        for name, path in stage.program.files().items():
            connection.push(path, work / name)
        start = time.monotonic()
        outputs, facts = _answer_all(stage, _shards(before, len(request.inputs)), 1 if emulated else request.threads)
        wall_ms = (time.monotonic() - start) * 1e3
        latency: Latency | None = None
        instructions: Instructions | None = None
        notes: tuple[str, ...] = ()
        if emulated:
            instructions, notes = _count(stage)
        elif request.latency is not None:
            latency = _sample(stage, request.latency, outputs[0])
    after = connection.fingerprint()
    if after.boot_id != before.boot_id:
        raise DeviceRebootedError(f"{connection.name} restarted", "its boot id changed during the run", "run it again")
    return Measurement(
        device=connection.name,
        fingerprint=before,
        outputs=outputs,
        runner={key: value for key, value in facts.items() if key not in _FIGURES},
        latency=latency,
        emulation_wall_ms=wall_ms if emulated else None,
        instructions=instructions,
        notes=notes,
    )


def _check(request: Request) -> None:
    images = request.inputs
    if images.ndim != 4 or len(images) == 0 or images.dtype != np.float32:
        raise DataError("no images to measure with", f"{images.dtype} {images.shape}", "give float32 [N, C, H, W]")


def _shards(device: Fingerprint, images: int) -> int:
    """Emulation is slow and one program uses one core: several share the images. Results do not depend on it."""
    if device.device_kind != "emulated":
        return 1
    return max(1, min(_MOST_SHARDS, len(os.sched_getaffinity(0)), device.cores, images // 16))


def _answer_all(stage: _Stage, shards: int, threads: int) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Logits [N, classes] of all inputs, and what the runner said about itself."""
    parts = np.array_split(stage.request.inputs, shards)

    def answer(index: int) -> tuple[NDArray[np.float32], dict[str, Any]]:
        inputs, outputs = f"inputs-{index}", f"outputs-{index}"
        stage.push_inputs(inputs, parts[index])
        facts = stage.run(stage.call(inputs, outputs, threads))
        return stage.pull_outputs(outputs, len(parts[index])), facts

    answers = _side_by_side(answer, shards, stage.connection)
    return np.concatenate([logits for logits, _ in answers]), answers[0][1]


def _side_by_side(task: Callable[[int], T], count: int, connection: Connection) -> list[T]:
    """`task(0)`, `task(1)`, ... at the same time; if one fails, or on Ctrl-C, the others are stopped."""
    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(task, index) for index in range(count)]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            connection.abort()
            raise


def _sample(stage: _Stage, plan: LatencyPlan, expected: NDArray[np.float32]) -> Latency:
    """Several cold sessions, each a new process on the device; what they answer must be the accuracy pass's."""
    stage.push_inputs("first", stage.request.inputs[:1])
    argv = with_latency(stage.call("first", "timed", stage.request.threads), plan)
    sessions = [_session(stage.run(argv)) for _ in range(plan.sessions)]
    timed = stage.pull_outputs("timed", 1)[0]
    if not np.allclose(timed, expected, rtol=_SAME_RTOL, atol=_SAME_ATOL):
        raise DeviceError(
            "the timed runs answered differently",
            f"logits differ by up to {np.abs(timed - expected).max():.3g} from those of the accuracy pass",
            "the device's arithmetic is not steady: check its power and memory",
        )
    latency = summarise(sessions, stage.request.threads)
    check_plausible(latency.p50_ms, stage.request.macs, stage.request.peak_gmacs)
    return latency


def _session(facts: dict[str, Any]) -> Session:
    try:
        samples = tuple(int(value) for value in facts["latency_ns"])
        return Session(samples, int(facts["load_ns"]), int(facts["first_ns"]), bool(facts["settled"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DeviceRunError("the runner's latency is not readable", repr(error), "ofa-edge doctor") from error


def _count(stage: _Stage) -> tuple[Instructions | None, tuple[str, ...]]:
    """Instructions of one inference, or why they were not counted. Nothing else depends on them."""
    if not stage.request.count_instructions:
        return None, ("instructions not counted: not asked for",)
    connection = stage.connection
    if not isinstance(connection, EmulatedConnection):
        return None, ("instructions not counted: only --device emulated starts the counting emulator itself",)
    stage.push_inputs("first", stage.request.inputs[:1])
    argv = with_count(stage.call("first", "counted", threads=1), _COUNTED_RUNS)
    try:
        environment = stage.program.environment(stage.work)
        return count_instructions(connection, argv, environment, stage.request.timeout_s), ()
    except (ToolMissingError, DeviceRunError) as error:
        return None, (f"instructions not counted: {error.what}: {error.why}",)


def last_json(stdout: str) -> dict[str, Any]:
    """The runner's one line of JSON: the last line that it printed.

    Raises:
        DeviceRunError: the last line is something else.
    """
    lines = stdout.strip().splitlines()
    try:
        facts = json.loads(lines[-1]) if lines else None
    except json.JSONDecodeError:
        facts = None
    if not isinstance(facts, dict):
        raise DeviceRunError("the runner printed no result", (lines or ["nothing"])[-1][:300], "ofa-edge doctor")
    return facts
