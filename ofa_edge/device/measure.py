"""Measure one artifact on one device: what it answers, how fast (hardware only), how many instructions (emulated)."""

import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from statistics import median
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ofa_edge.device.counting import count_instructions
from ofa_edge.device.emulated import EmulatedConnection
from ofa_edge.device.programs import Job, Program, program_for
from ofa_edge.device.protocol import Connection, Instructions, Latency, LatencyPlan, Measurement, Request
from ofa_edge.device.samples import Session, check_plausible, summarise
from ofa_edge.errors import DeviceError, DeviceLostError, DeviceRunError, ToolMissingError

T = TypeVar("T")
_COUNTED_RUNS = 5
_MOST_SHARDS = 4
_SAME_RTOL, _SAME_ATOL = 1e-4, 1e-5
_PROFILE_ONLY = ("latency_ns", "load_ns", "first_ns", "warmup_runs", "settled")  # not facts about the runner


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

    def push_inputs(self, name: str, images: NDArray[np.float32]) -> None:
        """Write images as the program reads them and push them."""
        self.program.write_inputs(images, self.here / name)
        self.connection.push(self.here / name, self.work / name)

    def pull_outputs(self, name: str, images: int) -> NDArray[np.float32]:
        """Logits [images, classes]."""
        self.connection.pull(self.work / name, self.here / name)
        return self.program.read_outputs(self.here / name, images)


def measure(connection: Connection, request: Request) -> Measurement:
    """Run the artifact over all inputs, then sample latency (hardware) or count instructions (emulated).

    An emulated device never gives milliseconds: `latency` is None whatever the request says.

    Raises:
        DeviceError: the device was lost, restarted, too slow, failed, or gave a latency that cannot be.
        UsageError: the request cannot be run there.
    """
    before = connection.fingerprint()
    emulated = before.device_kind == "emulated"
    with tempfile.TemporaryDirectory(prefix="ofa-measure-") as here, connection.workdir() as work:
        stage = _Stage(connection, program_for(connection, request), request, Path(here), work)
        for name, path in stage.program.files().items():
            connection.push(path, work / name)
        start = time.monotonic()
        outputs, facts = _answer_all(
            stage, _shards(connection, len(request.inputs)), 1 if emulated else request.threads
        )
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
        raise DeviceLostError(f"{connection.name} restarted", "its boot id changed during the run", "run it again")
    return Measurement(
        device=connection.name,
        fingerprint=before,
        outputs=outputs,
        runner={key: value for key, value in facts.items() if key not in _PROFILE_ONLY},
        latency=latency,
        emulation_wall_ms=wall_ms if emulated else None,
        instructions=instructions,
        notes=notes,
    )


def _shards(connection: Connection, images: int) -> int:
    """Emulation is slow and one program uses one core: several share the images. Results do not depend on it."""
    if not isinstance(connection, EmulatedConnection):
        return 1
    return max(1, min(_MOST_SHARDS, len(os.sched_getaffinity(0)), images // 16))


def _answer_all(stage: _Stage, shards: int, threads: int) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Logits [N, classes] of all inputs, and what the runner said about itself."""
    images = stage.request.inputs
    if images.ndim != 4 or len(images) == 0 or images.dtype != np.float32:
        raise DeviceRunError(
            "no images to run", f"{images.dtype} {images.shape}, expected float32 [N, C, H, W]", "a bug"
        )
    parts = np.array_split(images, shards)

    def answer(index: int) -> tuple[NDArray[np.float32], dict[str, Any]]:
        inputs, outputs, part = f"inputs-{index}", f"outputs-{index}.npy", parts[index]
        stage.push_inputs(f"{inputs}.npy", part)
        job = Job(stage.work, f"{inputs}.npy", outputs, len(part), threads)
        facts = stage.run(stage.program.run_all(job))
        return stage.pull_outputs(outputs, len(part)), facts

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


def _first_input(stage: _Stage, outputs: str, threads: int) -> Job:
    stage.push_inputs("first.npy", stage.request.inputs[:1])
    return Job(stage.work, "first.npy", outputs, 1, threads)


def _sample(stage: _Stage, plan: LatencyPlan, expected: NDArray[np.float32]) -> Latency:
    """Several cold sessions, each a new process on the device; their outputs must be the accuracy pass's."""
    job = _first_input(stage, "timed.npy", stage.request.threads)
    sessions: list[Session] = []
    estimate: int | None = None
    if stage.request.runtime == "tvm":  # its runner takes a number of runs, so one session finds the pace
        estimate = int(median(_session(stage.run(stage.program.sample(job, plan, None)), plan).samples_ns))
    for _ in range(plan.sessions):
        sessions.append(_session(stage.run(stage.program.sample(job, plan, estimate)), plan))
    timed = stage.pull_outputs("timed.npy", 1)[0]
    if not np.allclose(timed, expected, rtol=_SAME_RTOL, atol=_SAME_ATOL):
        raise DeviceError(
            "the timed runs answered differently",
            f"logits differ by up to {np.abs(timed - expected).max():.3g} from those of the accuracy run",
            "the device's arithmetic is not steady: check its power and memory",
        )
    latency = summarise(sessions, stage.request.threads)
    check_plausible(latency.p50_ms, stage.request.macs, stage.request.peak_gmacs)
    return latency


def _session(facts: dict[str, Any], plan: LatencyPlan) -> Session:
    samples = tuple(int(value) for value in facts.get("latency_ns", ()))
    return Session(
        samples_ns=samples,
        load_ns=int(facts.get("load_ns", 0)),
        first_ns=int(facts.get("first_ns", 0)),
        settled=bool(facts["settled"]) if "settled" in facts else _steady(samples, plan.warmup_tolerance),
    )


def _steady(samples: Sequence[int], tolerance: float) -> bool:
    """Whether the timed runs began in a steady state: the first ten against the next ten."""
    if len(samples) < 20:
        return False
    first, second = median(samples[:10]), median(samples[10:20])
    return abs(second - first) <= tolerance * first


def _count(stage: _Stage) -> tuple[Instructions | None, tuple[str, ...]]:
    """Instructions of one inference, or why they were not counted. Nothing else depends on them."""
    if not stage.request.count_instructions:
        return None, ()
    connection = stage.connection
    if not isinstance(connection, EmulatedConnection):
        return None, ("instructions not counted: the emulator is not ours to start",)
    job = _first_input(stage, "counted.npy", 1)
    argv = stage.program.count(job, _COUNTED_RUNS)
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
