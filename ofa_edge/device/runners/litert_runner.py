"""Run a LiteRT model on the device this file was pushed to. Needs only NumPy and ai-edge-litert.

Nothing of ofa-edge is imported: the file stands alone on the device. One line of JSON on stdout says what happened.

    litert_runner.py MODEL INPUTS.npy OUTPUTS.npy [--threads T]                  one pass over all inputs
    litert_runner.py MODEL INPUTS.npy OUTPUTS.npy --latency ...                  one session of timed runs, first input
    litert_runner.py MODEL INPUTS.npy OUTPUTS.npy --count N                      N marked runs of the first input

INPUTS is float32 [N, H, W, C], normalised; OUTPUTS float32 [N, classes]. Int8 models are quantised and dequantised
here by the scale and zero point of the model's own tensors.
"""

from __future__ import annotations  # a device's Python may be older than this project's

import argparse
import contextlib
import json
import os
import statistics
import sys
import time
from collections import Counter
from importlib.metadata import version
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
    begin = time.monotonic()
    while len(samples) < options.min_runs or time.monotonic() - begin < options.min_seconds:
        samples.append(timed(model))
    return {"first_ns": first, "warmup_runs": len(warm), "settled": settled, "latency_ns": samples}


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


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("inputs")
    parser.add_argument("outputs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--latency", action="store_true")
    parser.add_argument("--min-runs", type=int, default=100)
    parser.add_argument("--min-seconds", type=float, default=10.0)
    parser.add_argument("--warmup-runs", type=int, default=10)
    parser.add_argument("--warmup-seconds", type=float, default=0.5)
    parser.add_argument("--warmup-limit", type=float, default=10.0)
    parser.add_argument("--warmup-tolerance", type=float, default=0.02)
    options = parser.parse_args()
    images = np.load(options.inputs, mmap_mode="r", allow_pickle=False)
    model = Model(options.model, options.threads)
    facts: dict[str, Any] = {"runtime": "tflite", "version": version("ai-edge-litert"), "threads": options.threads}
    facts["load_ns"] = model.load_ns
    if options.latency or options.count:
        facts |= latency(model, images[0], options) if options.latency else count(model, images[0], options.count)
        np.save(options.outputs, model.get()[np.newaxis])
    else:
        facts |= delegation(model, options.model)
        np.save(options.outputs, run_all(model, images))
    print(json.dumps(facts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
