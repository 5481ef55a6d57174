"""Latency on this machine: everything of one network in turn, so that all suffer the same disturbances.

Each runtime (and number of threads) has a process of its own; only one of them ever runs, the others wait for a line.
A turn gives each model some runs after a few untimed ones; its median is the turn's value. Ratios are taken between
values of the same round, and their spread is that over rounds.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench_artifacts.checks import CHECK, read_found
from bench_artifacts.conversions import folder_of, python_path, read_conversion
from bench_artifacts.networks import INPUTS, Network
from bench_artifacts.tools import Tool, tools_for
from ofa_edge.files import canonical_json, sha256_bytes, sha256_file

ROUNDS, TURN_S, WARM_RUNS = 15, 0.15, 2
SETTLE_S = 0.5
TIMING = "timing.json"


def measure(
    network: Network, work: Path, rounds: int = ROUNDS, turn_s: float = TURN_S, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Time everything that was converted of a network.

    Returns:
        `tools`: medians of the runs of each turn in milliseconds by tool, in the order of the rounds; `load`: the load
        average before and after; `on_cpu`: share of the wall time of one-threaded turns that they had a CPU.
    """
    folder = folder_of(network, work)
    chosen = [tool for tool in tools_for(network) if _is_there(tool, folder)]
    before, started = os.getloadavg(), time.time()
    values: dict[str, list[float]] = {tool.name: [] for tool in chosen}
    cpu = wall = 0.0
    with _workers(chosen, folder) as ask:
        for tool in chosen:
            ask(tool, SETTLE_S, WARM_RUNS)
        for number in range(rounds):
            # Each round begins elsewhere: nobody always runs behind the same neighbour's caches.
            for tool in chosen[number % len(chosen) :] + chosen[: number % len(chosen)]:
                answer = ask(tool, turn_s, WARM_RUNS)
                values[tool.name].append(round(statistics.median(answer["ns"]) / 1e6, 6))
                if tool.threads == 1:
                    cpu, wall = cpu + answer["cpu_s"], wall + answer["wall_s"]
    say(f"{network.key:20} {rounds} rounds of {len(chosen)} in {time.time() - started:.0f} s, on CPU {cpu / wall:.2f}")
    return {
        "tools": values,
        "load": [round(before[0], 2), round(os.getloadavg()[0], 2)],
        "on_cpu": round(cpu / wall, 3),
        "turn_s": turn_s,
        "seconds": round(time.time() - started, 1),
    }


def key(network: Network, work: Path) -> str:
    """Digest of the files that `measure` would time."""
    folder = folder_of(network, work)
    files = {tool.name: sha256_file(tool.file(folder)) for tool in tools_for(network) if _is_there(tool, folder)}
    return sha256_bytes(canonical_json(files))


def read(path: Path) -> dict[str, Any]:
    """What `measure` gave, as it was written."""
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def _is_there(tool: Tool, folder: Path) -> bool:
    if not tool.timed or not tool.file(folder).is_file():
        return False
    done, check = read_conversion(tool, folder), read_found(tool, folder, CHECK)
    # What could not run when it was checked would end the process that times the others of its runtime.
    return not tool.suffix or (done is not None and done.ok and check is not None and "failed" not in check["found"])


@contextmanager
def _workers(chosen: Sequence[Tool], folder: Path) -> Iterator[Callable[[Tool, float, int], Mapping[str, Any]]]:
    """One process for each runtime and number of threads; yields the function that asks one for a turn."""
    kinds = sorted({(tool.runtime, tool.threads) for tool in chosen})
    processes = {kind: _start(kind, [t for t in chosen if (t.runtime, t.threads) == kind], folder) for kind in kinds}
    try:
        for kind, process in processes.items():
            _answer(process, kind)

        def ask(tool: Tool, seconds: float, warm: int) -> Mapping[str, Any]:
            process = processes[tool.runtime, tool.threads]
            assert process.stdin is not None
            process.stdin.write(f"{tool.name} {seconds} {warm}\n")
            process.stdin.flush()
            return _answer(process, tool.name)

        yield ask
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


def _start(kind: tuple[str, int], tools: Sequence[Tool], folder: Path) -> "subprocess.Popen[str]":
    runtime, threads = kind
    environment = {
        **os.environ,
        "PYTHONPATH": python_path(),
        "TVM_NUM_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
    }
    command = [sys.executable, "-m", "bench_artifacts.worker", runtime, str(threads), str(folder / INPUTS)]
    command += [f"{tool.name}={tool.file(folder)}" for tool in tools]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _answer(process: "subprocess.Popen[str]", what: object) -> Mapping[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"the process that runs {what} ended: exit code {process.wait()}")
    answer: dict[str, Any] = json.loads(line)
    return answer
