"""A process that holds the models of one runtime and runs them when it is told to; see timing.py.

    python -m bench_artifacts.worker RUNTIME THREADS IMAGES.npy NAME=PATH ...

Reads lines `NAME SECONDS WARM`, answers each with a line of JSON: nanoseconds of each run after WARM untimed ones, the
least CPU nanoseconds of one, and the CPU seconds and wall seconds of all of them.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from bench_artifacts.running import LOADERS, Model


def turn(model: Model, seconds: float, warm: int) -> dict[str, object]:
    """Run for so long, once at least."""
    for _ in range(warm):
        model.run()
    runs: list[int] = []
    least = sys.maxsize
    cpu, begin = time.process_time(), time.perf_counter()
    while not runs or time.perf_counter() - begin < seconds:
        used, start = time.process_time_ns(), time.perf_counter_ns()
        model.run()
        runs.append(time.perf_counter_ns() - start)
        least = min(least, time.process_time_ns() - used)
    return {
        "ns": runs,
        "least_cpu_ns": least,
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - begin,
    }


def main(arguments: list[str]) -> None:
    """See the module."""
    runtime, threads, images, *named = arguments
    # What runtimes print must not come between the answers.
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    image = np.load(images, mmap_mode="r", allow_pickle=False)[:1].copy()
    models = {}
    for each in named:
        name, _, path = each.partition("=")
        models[name] = LOADERS[runtime](Path(path), int(threads))
        models[name].set(image)
    print(json.dumps({"ready": list(models)}), file=out)
    for line in sys.stdin:
        name, seconds, warm = line.split()
        print(json.dumps(turn(models[name], float(seconds), int(warm))), file=out)


if __name__ == "__main__":
    main(sys.argv[1:])
