"""Time LiteRT models that take turns in one process: what `calibrate` measures blocks and networks with.

Nothing of ofa-edge is imported: the file stands alone on the device, beside NumPy and ai-edge-litert.

    litert_turns.py TURNS --rounds N [--threads T] [--sample-us U] [--limit-s S] [--warmup-s W]
                    [--cores 4,5]

TURNS is a text file, the path of one model a line. Inputs are random numbers. For W seconds all models warm up; then in
each round every model has one call to warm up and as many timed calls as fill a sample; every second round goes
backwards, so that none always follows the same one. One line of JSON on stdout: nanoseconds of one call, a list for
each round, and the SHA-256 of each model. After S seconds no further round begins.
"""

from __future__ import annotations  # a device's Python may be older than this project's

import argparse
import hashlib
import json
import math
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import interpreter as litert

MOST_CALLS = 10000
MOST_TRIES = 5  # at a sample that others disturb
DISTURBED = 1.03  # elapsed over used time, above which somebody else had the core


class Turn:
    """One model with an input of its own."""

    def __init__(self, path: str, threads: int, sample_ns: float) -> None:
        self.alone = threads == 1  # all of its work is this thread's, so its time can be told
        self.interpreter = litert.Interpreter(model_path=path, num_threads=threads)
        self.interpreter.allocate_tensors()
        random = np.random.default_rng(0)
        for detail in self.interpreter.get_input_details():
            values = random.standard_normal(detail["shape"])
            if detail["dtype"] != np.float32:
                values = np.clip(np.rint(40 * values), -128, 127)
            self.interpreter.set_tensor(detail["index"], values.astype(detail["dtype"]))
        self.take(1)
        self.calls = max(1, min(MOST_CALLS, math.ceil(sample_ns / max(1.0, self.take(1)))))

    def take(self, calls: int) -> float:
        """Nanoseconds of one of so many calls."""
        invoke = self.interpreter.invoke
        start = time.perf_counter_ns()
        for _ in range(calls):
            invoke()
        return (time.perf_counter_ns() - start) / calls

    def sample(self) -> float:
        """Nanoseconds of one call, warm."""
        self.take(1)
        least = math.inf
        for _ in range(MOST_TRIES):
            used = time.thread_time_ns()
            taken = self.take(self.calls)
            used = time.thread_time_ns() - used
            least = min(least, taken)
            if not self.alone or taken * self.calls <= DISTURBED * used:
                break
        return least


def runtime_digest() -> str:
    """SHA-256 of the runtime's largest binary: the library that runs the models."""
    found = list(Path(litert.__file__).parent.glob("*.so*"))
    if not found:
        return ""
    return digest(max(found, key=lambda path: path.stat().st_size))


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("turns")
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sample-us", type=float, default=100.0)
    parser.add_argument("--limit-s", type=float, default=1e9)
    parser.add_argument("--warmup-s", type=float, default=0.5)
    parser.add_argument("--cores", default="")
    options = parser.parse_args()
    if options.cores:
        os.sched_setaffinity(0, {int(core) for core in options.cores.split(",")})
    paths = [line.strip() for line in Path(options.turns).read_text().splitlines() if line.strip()]
    turns = [Turn(path, options.threads, 1e3 * options.sample_us) for path in paths]
    begin = time.monotonic()
    while time.monotonic() - begin < options.warmup_s:
        for turn in turns:
            turn.take(1)
    rounds: list[list[float]] = []
    begin = time.monotonic()
    while len(rounds) < options.rounds and time.monotonic() - begin <= options.limit_s:
        order = range(len(turns)) if len(rounds) % 2 == 0 else range(len(turns) - 1, -1, -1)
        taken = {index: turns[index].sample() for index in order}
        rounds.append([taken[index] for index in range(len(turns))])
    facts: dict[str, Any] = {"clock": "wall", "version": version("ai-edge-litert"), "runtime_digest": runtime_digest()}
    facts["models"] = [digest(Path(path)) for path in paths]
    print(json.dumps({**facts, "rounds_ns": rounds}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
