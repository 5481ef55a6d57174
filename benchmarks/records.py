"""Which recorded figures are older than the code that they measure.

    python benchmarks/records.py [--since]          # `make records`

A row for each page of figures: the day its record was last made, and how many commits since then changed the code that
it measures. A commit that changed that code need not have changed a figure: the row says where to look (`--since`
lists the commits), not that a figure is wrong. Dates are those of this repository's commits.
"""

import argparse
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Record:
    """A page of figures, the files that it is printed from (itself, where there are none), and the code it measures."""

    page: str
    results: tuple[str, ...]
    measures: tuple[str, ...]


_TFLITE = ("ofa_edge/export/onnx", "ofa_edge/export/tflite")
_TVM = ("ofa_edge/export/onnx", "ofa_edge/export/tvm")
_TRAINING = ("ofa_edge/training", "ofa_edge/supernet", "ofa_edge/data")
_SEARCH = ("ofa_edge/search", "ofa_edge/latency")
_GATE = ("ofa_edge/verify", "ofa_edge/workflows/nightly")

RECORDS = (
    Record(
        "docs/benchmarks/any_files.md", ("benchmarks/any_files_results.json",), (*_TFLITE, "ofa_edge/workflows/build")
    ),
    Record("docs/benchmarks/any_network.md", ("benchmarks/any_network_results.json",), _TFLITE),
    Record("docs/benchmarks/artifacts.md", ("benchmarks/artifacts_results",), (*_TFLITE, "ofa_edge/export/tvm")),
    Record(
        "docs/benchmarks/calibrate.md",
        ("benchmarks/calibrate_results",),
        ("ofa_edge/workflows/calibrate", "ofa_edge/latency", "ofa_edge/device/measuring"),
    ),
    Record(
        "docs/benchmarks/codesign.md",
        ("benchmarks/codesign_results.json",),
        ("ofa_edge/workflows/codesign", "ofa_edge/export/vela", "ofa_edge/export/zigzag", "ofa_edge/cost"),
    ),
    Record("docs/benchmarks/correction.md", ("benchmarks/correction_results.json",), ("ofa_edge/search",)),
    Record("docs/benchmarks/fastest.md", ("benchmarks/fastest_results",), (*_TFLITE, "ofa_edge/export/tvm")),
    Record("docs/benchmarks/gate.md", ("benchmarks/gate.json",), (*_GATE, "ofa_edge/testing")),
    Record(
        "docs/benchmarks/int8.md",
        tuple(
            f"benchmarks/int8{part}_results.json" for part in ("", "_published", "_qat", "_trained", "_tried", "_wide")
        ),
        (*_TFLITE, "ofa_edge/training/quantised.py"),
    ),
    Record(
        "docs/benchmarks/modelled_cycles.md",
        ("benchmarks/modelled_cycles_results.json",),
        ("ofa_edge/device/measuring/modelled_cycles.py", "ofa_edge/device/measuring/_qemu", "ofa_edge/latency"),
    ),
    Record("docs/benchmarks/nas_baselines.md", ("benchmarks/nas_baselines/results",), (*_TRAINING, *_SEARCH)),
    Record("docs/benchmarks/nightly_host.md", ("benchmarks/nightly_host.json",), (*_GATE, "ofa_edge/device/measuring")),
    Record("docs/benchmarks/own_data.md", ("benchmarks/own_data_results.json",), _TRAINING),
    Record("docs/benchmarks/pairs.md", ("benchmarks/pairs_results.json",), (*_TRAINING, *_SEARCH)),
    Record("docs/benchmarks/rivals.md", ("benchmarks/rivals_results.json",), _TFLITE),
    Record("docs/benchmarks/search.md", ("benchmarks/search_results.json",), _SEARCH),
    Record("docs/benchmarks/transfer.md", ("benchmarks/transfer_results",), _TRAINING),
    Record("docs/benchmarks/tvm_networks.md", ("benchmarks/tvm_networks_results.json",), _TVM),
    Record("docs/latency.md", ("targets/raspberry-pi-4.latency.json",), ("ofa_edge/latency", "ofa_edge/cost")),
    Record("docs/supernet.md", ("ofa_edge/zoo",), _TRAINING),
    Record("docs/results.md", ("benchmarks/recipes_results",), _TRAINING),
    Record("benchmarks/build_speed.md", (), ("ofa_edge/workflows/build", "ofa_edge/export")),
    Record("benchmarks/predictor.md", (), ("ofa_edge/search",)),
    Record("benchmarks/train_step.md", (), ("ofa_edge/training/step.py", "ofa_edge/supernet")),
    Record("benchmarks/tune.md", (), ("ofa_edge/export/tvm",)),
)


def git(*arguments: str) -> list[str]:
    """The lines that git answers in this repository."""
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def state(record: Record) -> tuple[str, list[str]]:
    """The day of the record's last commit, and the later commits that changed what it measures, newest first."""
    files = record.results or (record.page,)
    made = git("log", "-1", "--format=%H %cs", "--", *files)
    if not made:
        return "never", []
    commit, day = made[0].split()
    return day, git("log", "--no-merges", "--format=%h %s", f"{commit}..HEAD", "--", *record.measures)


def main() -> None:
    """Print the table, and the commits where they are asked for."""
    parser = argparse.ArgumentParser(description="Which recorded figures are older than the code they measure")
    parser.add_argument("--since", action="store_true", help="list the commits, too")
    wanted = parser.parse_args()
    if git("rev-parse", "--is-shallow-repository") == ["true"]:
        parser.exit(2, "This clone has no history (git clone --depth); `git fetch --unshallow` brings it.\n")
    print("recorded    commits since  page")
    for record in RECORDS:
        day, since = state(record)
        print(f"{day:10}  {len(since):13}  {record.page}")
        if wanted.since:
            print("".join(f"{'':27}{line}\n" for line in since), end="")


if __name__ == "__main__":
    main()
