"""Artifacts of every tool on the same networks: latency, size, accuracy, cost of conversion, instructions.

    python benchmarks/artifacts.py convert    # every model of every tool; hours of CPU, resumes after a kill
    python benchmarks/artifacts.py check      # answers against torch and the labels
    python benchmarks/artifacts.py count      # instructions on emulated cores
    python benchmarks/artifacts.py measure    # latency on this machine, which should do nothing else meanwhile
    python benchmarks/artifacts.py record     # what was found, into benchmarks/artifacts_results
    python benchmarks/artifacts.py table > docs/benchmarks/artifacts.md

`make bench-artifacts` runs them all, then `rivals.py`, whose networks are those of others; NETS=3 takes three networks
of each supernet. The work folder (by default runs/bench-artifacts) holds all models, and the environments of
litert-torch and onnx2tf, which `convert` installs there from pinned versions (5 GB). `convert`, `check` and `count` do
not mind a busy machine; `measure` does, and the page says how busy it was.
"""

import argparse
from pathlib import Path

from bench_artifacts import record, timing
from bench_artifacts.checks import check_all, count_all
from bench_artifacts.conversions import convert_all, folder_of
from bench_artifacts.networks import GROUPS, Network, networks
from bench_artifacts.table import page
from bench_artifacts.tools import TOOLS

from ofa_edge.files import write_json

ROOT = Path(__file__).parents[1]
WORK, RECORDED = ROOT / "runs" / "bench-artifacts", ROOT / "benchmarks" / "artifacts_results"
NAMES = [tool.name for tool in TOOLS]


def say(line: str) -> None:
    """Print at once, also into a pipe."""
    print(line, flush=True)


def measure(chosen: list[Network], work: Path, rounds: int, again: bool) -> None:
    """Time what was not timed yet, one network after the other."""
    for network in chosen:
        path = folder_of(network, work) / timing.TIMING
        key = timing.key(network, work)
        if not again and path.is_file() and timing.read(path)["key"] == key:
            continue
        write_json(path, {**timing.measure(network, work, rounds, say=say), "key": key})


def main() -> None:
    """Run a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("convert", "check", "count", "measure", "record", "table"))
    parser.add_argument("--work", type=Path, default=WORK, help="the work folder")
    parser.add_argument("--results", type=Path, default=RECORDED, help="where `record` writes and `table` reads")
    parser.add_argument("--nets", type=int, default=None, help="so many networks of each supernet (all: 12)")
    parser.add_argument("--group", action="append", choices=[group.name for group in GROUPS])
    parser.add_argument("--tool", action="append", choices=NAMES, default=[], help="convert with these only")
    parser.add_argument("--retry", action="store_true", help="convert: what failed before, too")
    parser.add_argument("--rounds", type=int, default=timing.ROUNDS, help="measure: turns of each model")
    parser.add_argument("--again", action="store_true", help="measure: what was measured before, too")
    parser.add_argument("--note", default="", help="record: a sentence that the page shows on top")
    options = parser.parse_args()
    if options.command == "table":
        print(page(options.results), end="")
        return
    work, names = options.work.resolve(), options.group or [group.name for group in GROUPS]
    chosen = [each for group in GROUPS if group.name in names for each in networks(group, options.nets)]
    if options.command == "convert":
        convert_all(chosen, work, options.tool, options.retry, say)
    elif options.command == "check":
        check_all(chosen, work, say)
    elif options.command == "count":
        count_all(chosen, work, say)
    elif options.command == "measure":
        measure(chosen, work, options.rounds, options.again)
    else:
        record.record(chosen, work, options.results, options.note)


if __name__ == "__main__":
    main()
