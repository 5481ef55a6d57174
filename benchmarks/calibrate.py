"""Calibrate the machine at hand, hold out 50 random subnets, and say how well the fitted models predict them.

    python benchmarks/calibrate.py measure FOLDER [--budget 5m] [--held-out 50] [--only tflite-fp32-1t ...]

`measure` runs `ofa-edge calibrate --target host --device local` for LiteRT fp32 and int8 and TVM fp32, on one and two
threads, and leaves in FOLDER for each: `host-*.calibration.json` (the record) and `host-*.samples.jsonl` (raw
nanoseconds). With baselines beside them they make docs/benchmarks/calibrate.md: see calibrate_baselines.py.

A record holds, in milliseconds, median and standard error over sessions:
    fitted     [{subnet, ms, sd}]     random subnets that the model was fitted to
    units      [{unit, ms, sd}]       blocks measured by themselves, the call of the runtime included
    held_out   [{subnet, measured_ms, sd_ms, predicted_ms, low50, high50, low90, high90}]
    checks     figures over the held-out ones; plan, key, dropped, extrapolated, export_s, device_s
so that any other predictor can be fitted to the same `fitted` and `units` and judged on the same `held_out`
(`ofa_edge.space.Space.from_config` reads a subnet, `ofa_edge.latency.units.UnitTable` knows which units it runs).
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SETTINGS = tuple(
    (runtime, precision, threads)
    for runtime, precision in (("tflite", "fp32"), ("tflite", "int8"), ("tvm", "fp32"))
    for threads in (1, 2)
)
GOALS = {"mape": 0.04, "within10": 0.95, "spearman": 0.98, "coverage90": (0.85, 0.95)}


def measure(folder: Path, budget: str, held_out: int, only: Sequence[str]) -> int:
    """Run every setting that is asked for; go on after one that fails."""
    failed = 0
    for runtime, precision, threads in SETTINGS:
        name = f"host-{runtime}-{precision}-{threads}t"
        if only and not any(name.endswith(each) for each in only):
            continue
        command = [sys.executable, "-m", "ofa_edge", "calibrate", "--target", "host", "--device", "local"]
        command += ["--budget", budget, "--held-out", str(held_out), "--runtime", runtime, "--precision", precision]
        command += ["--threads", str(threads), "--name", name, "--out", str(folder)]
        print(f"== {name}", flush=True)
        failed += subprocess.run(command, check=False).returncode != 0
    return failed


def goals_met(checks: dict[str, Any]) -> str:
    """Which of the four goals hold: "all", or those that do not."""
    low, high = GOALS["coverage90"]
    holds = {
        "MAPE": checks["mape"] < GOALS["mape"],
        "within 10 %": checks["within10"] >= GOALS["within10"],
        "Spearman": (checks["spearman"] or 0) > GOALS["spearman"],
        "coverage": low <= checks["coverage90"] <= high,
    }
    missed = [name for name, ok in holds.items() if not ok]
    return "all" if not missed else "not " + ", ".join(missed)


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("measure")
    run.add_argument("folder", type=Path)
    run.add_argument("--budget", default="5m")
    run.add_argument("--held-out", type=int, default=50)
    run.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    return measure(options.folder, options.budget, options.held_out, options.only)


if __name__ == "__main__":
    sys.exit(main())
