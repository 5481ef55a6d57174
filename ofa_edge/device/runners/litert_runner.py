"""Run a LiteRT model on the device this file was pushed to. Needs only NumPy and ai-edge-litert.

Nothing of ofa-edge is imported: the file stands alone on the device. One line of JSON on stdout says what happened.

    litert_runner.py MODEL INPUTS.npy OUTPUTS.npy [--threads T]                  one pass over all inputs
    litert_runner.py MODEL INPUTS.npy OUTPUTS.npy --latency ...                  one session of timed runs, first input
    litert_runner.py MODEL INPUTS.npy OUTPUTS.npy --count N                      N marked runs of the first input
    litert_runner.py MODEL INPUTS.npy OUTPUTS.npy --memory N                     N runs, then the process's peak memory

INPUTS is float32 [N, H, W, C], normalised; OUTPUTS float32 [N, classes]. Int8 models are quantised and dequantised
here by the scale and zero point of the model's own tensors.
"""

from __future__ import annotations  # a device's Python may be older than this project's

import argparse
import contextlib
import json
import os
import re
import statistics
import sys
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

if TYPE_CHECKING:
    from numpy.typing import NDArray

MARK = 0x0FAE0000  # see _qemu/insncount.c


class Model:
    """An interpreter of a model with one float input and one float output, whatever their stored type."""

    def __init__(self, path: str, threads: int) -> None:
        start = time.perf_counter_ns()
        self.interpreter = Interpreter(model_path=path, num_threads=threads)
        self.interpreter.allocate_tensors()
        self.load_ns = time.perf_counter_ns() - start
        (self.input,) = self.interpreter.get_input_details()
        (self.output,) = self.interpreter.get_output_details()

    def set(self, image: NDArray[np.float32]) -> None:
        """Set the input to one float32 image [H, W, C]."""
        self.interpreter.set_tensor(self.input["index"], quantise(image[np.newaxis], self.input))

    def get(self) -> NDArray[np.float32]:
        """The float32 logits [classes] of the last run."""
        return dequantise(self.interpreter.get_tensor(self.output["index"])[0], self.output)


def quantise(values: NDArray[np.float32], detail: dict[str, Any]) -> NDArray[Any]:
    """Float32 to the tensor's own type: round half to even, saturate."""
    kind = detail["dtype"]
    if kind == np.float32:
        return values.astype(np.float32)
    scale, zero = detail["quantization"]
    limits = np.iinfo(kind)
    steps = np.rint(values / np.float32(scale)) + zero
    stored: NDArray[Any] = np.clip(steps, limits.min, limits.max).astype(kind)
    return stored


def dequantise(values: NDArray[Any], detail: dict[str, Any]) -> NDArray[np.float32]:
    """The tensor's own type to float32."""
    if detail["dtype"] == np.float32:
        return values
    scale, zero = detail["quantization"]
    real: NDArray[np.float32] = (values.astype(np.int32) - zero).astype(np.float32) * np.float32(scale)
    return real


def delegation(model: Model, path: str) -> dict[str, Any]:
    """How many operators a delegate runs, how many parts it cut the graph into, and which operators it left.

    The interpreter lists the model's operators first, then one node a delegated part. Walking back from the output,
    a tensor that a delegate gives was computed by the delegate; any other by the operator that is named for it.
    """
    plain = Interpreter(model_path=path, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    plain.allocate_tensors()
    nodes = model.interpreter._get_ops_details()
    total = len(plain._get_ops_details())
    maker = {int(tensor): node for node in nodes for tensor in node["outputs"]}  # the delegates come last and win
    waiting = [int(model.output["index"])]
    seen: set[int] = set()
    kept: dict[int, str] = {}
    while waiting:
        tensor = waiting.pop()
        node = maker.get(tensor)
        if tensor in seen or node is None:
            continue
        seen.add(tensor)
        if node["index"] < total:
            kept[node["index"]] = node["op_name"]
        waiting.extend(int(source) for source in node["inputs"] if source >= 0)
    return {
        "operators": total,
        "delegated_operators": total - len(kept),
        "delegate_partitions": len(nodes) - total,
        "undelegated": dict(sorted(Counter(kept.values()).items())),
    }


def run_all(model: Model, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """One pass over all images; logits [N, classes]."""
    logits = []
    for image in images:
        model.set(image)
        model.interpreter.invoke()
        logits.append(model.get())
    return np.stack(logits)


def timed(model: Model) -> int:
    """Nanoseconds of one inference: the call of the interpreter, without copying the input or the output."""
    start = time.perf_counter_ns()
    model.interpreter.invoke()
    return time.perf_counter_ns() - start


class Watch:
    """Heat and clocks once a second, between two timed runs: no other process and no network wakes up for it.

    A tick is [milliseconds, hottest zone in thousandths of a degree or null, kHz of each policy, its ceiling].
    """

    PERIOD_S = 1.0
    MOST_ZONES = 4  # a sensor may take milliseconds to read

    def __init__(self) -> None:
        zones = sorted(Path("/sys/class/thermal").glob("thermal_zone*"))
        cores = [zone for zone in zones if re.search("cpu|soc|pkg|gpu", text_of(zone / "type"), re.IGNORECASE)]
        self.zones = (cores or zones)[: self.MOST_ZONES]
        self.policies = sorted(Path("/sys/devices/system/cpu/cpufreq").glob("policy*"))
        self.begin = self.due = time.monotonic()
        self.ticks: list[list[Any]] = []

    def look(self) -> None:
        """Read them if a second has passed."""
        now = time.monotonic()
        if now < self.due:
            return
        self.due = now + self.PERIOD_S
        heat = [number(text_of(zone / "temp")) for zone in self.zones]
        clocks = [number(text_of(policy / "scaling_cur_freq")) for policy in self.policies]
        ceilings = [number(text_of(policy / "scaling_max_freq")) for policy in self.policies]
        hottest = max((value for value in heat if value is not None), default=None)
        self.ticks.append([round((now - self.begin) * 1e3), hottest, clocks, ceilings])


def text_of(path: Path) -> str:
    """A small file's text, "" where it cannot be read."""
    try:
        return path.read_text().strip()
    except OSError:  # a sensor that is switched off, or one that is not ours to read
        return ""


def number(text: str) -> int | None:
    """The whole number that `text` is, if it is one."""
    return int(text) if re.fullmatch(r"-?[0-9]+", text) else None


def peak_memory() -> int:
    """Bytes of this process that were ever resident at once."""
    found = re.search(r"^VmHWM:\s*([0-9]+) kB$", text_of(Path("/proc/self/status")), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def latency(model: Model, image: NDArray[np.float32], options: argparse.Namespace) -> dict[str, Any]:
    """One session: first inference, warm-up until it is steady, then timed runs."""
    model.set(image)
    first = timed(model)
    warm: list[int] = []
    settled, begin = False, time.monotonic()
    while not settled and time.monotonic() - begin < options.warmup_limit:
        warm.append(timed(model))
        enough = len(warm) >= max(20, options.warmup_runs) and time.monotonic() - begin >= options.warmup_seconds
        if enough:
            before, now = statistics.median(warm[-20:-10]), statistics.median(warm[-10:])
            settled = abs(now - before) <= options.warmup_tolerance * before
    samples: list[int] = []
    watch, begin = Watch(), time.monotonic()
    while len(samples) < options.min_runs or time.monotonic() - begin < options.min_seconds:
        watch.look()
        samples.append(timed(model))
    facts = {"first_ns": first, "warmup_runs": len(warm), "settled": settled, "latency_ns": samples}
    return {**facts, "watch": watch.ticks}


def mark(number: int) -> None:
    """Tell a counting emulator where we are. On a device it is a query about a process that does not exist."""
    with contextlib.suppress(OSError):
        os.getpriority(os.PRIO_PROCESS, MARK + number)


def count(model: Model, image: NDArray[np.float32], runs: int) -> dict[str, Any]:
    """Marked runs: even marks before, odd ones after; then as many empty pairs to take the marks' own cost off."""
    model.set(image)
    model.interpreter.invoke()  # the first run packs weights
    for number in range(runs):
        mark(2 * number)
        model.interpreter.invoke()
        mark(2 * number + 1)
    for number in range(runs, 2 * runs):
        mark(2 * number)
        mark(2 * number + 1)
    return {"counted": runs}


def memory(model: Model, image: NDArray[np.float32], runs: int) -> dict[str, Any]:
    """Peak memory after so many runs."""
    model.set(image)
    for _ in range(runs):
        model.interpreter.invoke()
    return {"peak_memory": peak_memory()}


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("inputs")
    parser.add_argument("outputs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--memory", type=int, default=0)
    parser.add_argument("--cores", default="")
    parser.add_argument("--latency", action="store_true")
    parser.add_argument("--min-runs", type=int, default=100)
    parser.add_argument("--min-seconds", type=float, default=10.0)
    parser.add_argument("--warmup-runs", type=int, default=10)
    parser.add_argument("--warmup-seconds", type=float, default=0.5)
    parser.add_argument("--warmup-limit", type=float, default=10.0)
    parser.add_argument("--warmup-tolerance", type=float, default=0.02)
    options = parser.parse_args()
    if options.cores:
        os.sched_setaffinity(0, {int(core) for core in options.cores.split(",")})
    images = np.load(options.inputs, mmap_mode="r", allow_pickle=False)
    before = peak_memory()
    model = Model(options.model, options.threads)
    facts: dict[str, Any] = {"runtime": "LiteRT", "version": version("ai-edge-litert"), "threads": options.threads}
    facts["load_ns"] = model.load_ns
    if options.latency or options.count or options.memory:
        if options.latency:
            facts |= latency(model, images[0], options)
        elif options.count:
            facts |= count(model, images[0], options.count)
        else:
            facts |= {"memory_before": before, **memory(model, images[0], options.memory)}
        np.save(options.outputs, model.get()[np.newaxis])
    else:
        facts |= delegation(model, options.model)
        np.save(options.outputs, run_all(model, images))
    print(json.dumps(facts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
