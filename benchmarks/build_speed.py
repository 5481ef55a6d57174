"""How long a build takes, from an empty cache and from a full one, stage by stage.

    python benchmarks/build_speed.py [--target raspberry-pi-4] [--runs 3]

Prints a Markdown table. Wall times depend on the machine: the columns to compare are those of one run.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def build(target: str, cache: Path, out: Path) -> tuple[float, dict[str, float]]:
    """Seconds of a whole build in a process of its own, and of its stages."""
    command = [sys.executable, "-m", "ofa_edge", "build", "--target", target, "--device", "none", "--out", str(out)]
    start = time.perf_counter()
    subprocess.run(
        [*command, "--json"], check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OFA_EDGE_CACHE": str(cache)}
    )
    seconds = time.perf_counter() - start
    stages = json.loads((out / "manifest.json").read_text())["stages"]
    return seconds, {stage["name"]: stage["seconds"] for stage in stages}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", default="raspberry-pi-4")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    empty, full = [], []
    for _ in range(arguments.runs):
        with tempfile.TemporaryDirectory() as folder:
            cache, out = Path(folder) / "cache", Path(folder) / "out"
            empty.append(build(arguments.target, cache, out))
            full.append(build(arguments.target, cache, out))
    print(f"{arguments.target}, --device none, {os.cpu_count()} cores, median of {arguments.runs} runs\n")
    print("| stage | empty cache, s | full cache, s |\n|---|---|---|")
    for name in empty[0][1]:
        first, second = (statistics.median(stages[name] for _, stages in runs) for runs in (empty, full))
        print(f"| {name} | {first:.2f} | {second:.3f} |")
    whole = [statistics.median(seconds for seconds, _ in runs) for runs in (empty, full)]
    print(f"| **whole process** | **{whole[0]:.1f}** | **{whole[1]:.1f}** |")


if __name__ == "__main__":
    main()
