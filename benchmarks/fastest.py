"""Which runtime is fastest on this machine: twelve networks of each supernet by four of them, fp32, one thread.

    python benchmarks/fastest.py make       # convert and check; resumes; does not mind a busy machine
    python benchmarks/fastest.py measure    # all of one network in turn; the machine should do nothing else meanwhile
    python benchmarks/fastest.py record     # what was found, into benchmarks/fastest_results
    python benchmarks/fastest.py table > docs/benchmarks/fastest.md

The same models, turns and checks as in `artifacts.py`. `ofa-edge build --target host --runtime fastest` asks the same
of one network.
"""

import argparse
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from bench_artifacts import timing
from bench_artifacts.checks import check_all
from bench_artifacts.conversions import convert_all, folder_of
from bench_artifacts.figures import Result, read_results
from bench_artifacts.networks import GROUPS, networks
from bench_artifacts.record import record

from ofa_edge.files import write_json
from ofa_edge.metrics import holm
from ofa_edge.verify.rank_tests import signed_rank_p

ROOT = Path(__file__).parents[1]
WORK, RECORDED = ROOT / "runs" / "fastest", ROOT / "benchmarks" / "fastest_results"
FOUR = {"ours-fp32": "TFLite", "tvm": "TVM", "onnx": "ONNX Runtime", "ncnn": "ncnn"}
TITLES = {"w1.0": "OFA-MobileNetV3 w1.0 at 224 px (random weights)", "default": "The default supernet (28 px)"}
LEVEL = 0.05


def row(result: Result) -> tuple[str, list[str]]:
    """The fastest of a network, "" where the second is not told apart from it, and the cells of its line."""
    times = {name: result.ms(name) for name in FOUR}
    there = {name: value for name, value in times.items() if value is not None}
    first, *others = sorted(there, key=there.__getitem__)
    rounds = result.facts["timing"]["tools"]
    p = holm(np.array([signed_rank_p(np.log(np.divide(rounds[each], rounds[first]))) for each in others]))
    sure = bool(p[0] < LEVEL)
    cells = []
    for name in FOUR:
        if name not in there:
            cells.append("-")
        elif name == first:
            cells.append(f"**{there[name]:.3g}**")
        else:
            ratio = result.ratio(name, first)
            assert ratio is not None
            cells.append(f"{there[name]:.3g} ({ratio.value:.2f}, {ratio.low:.2f}-{ratio.high:.2f})")
    return first if sure else "", [*cells, FOUR[first] if sure else f"{FOUR[first]} or {FOUR[others[0]]}"]


def page(folder: Path) -> str:
    """All of docs/benchmarks/fastest.md."""
    results, machine = read_results(folder)
    timings = [result.facts["timing"] for result in results]
    loads = [load for each in timings for load in each["load"]]
    lines = [
        "# Results: which runtime is fastest on this machine\n",
        *([f"**{machine['note']}**\n"] if machine["note"] else []),
        "Printed by `python benchmarks/fastest.py table`; made by its `make`, `measure` and `record`.\n",
        f"x86 milliseconds of one inference, one thread, fp32: {machine['cpu']}, {machine['cores']} cores. All models"
        f" of a network in turn, {len(timings[0]['tools']['onnx'])} rounds; behind a median stands its ratio to the"
        " fastest over the same rounds, with a 95 % bootstrap interval. Where the second is not slower at p < 0.05"
        " (one-sided signed-rank, Holm over the runtimes), both are named. Load average"
        f" {min(loads):.1f} to {max(loads):.1f} around the measurements (about 1 is the benchmark itself).",
        "It says nothing of another machine: on a board, ask the board (`--runtime fastest --device NAME`).\n",
        f"Versions: {', '.join(f'{name} {version}' for name, version in machine['versions'].items())}.\n",
    ]
    for group, title in TITLES.items():
        found = [each for each in results if each.group == group]
        if found:
            lines += [f"## {title}\n", *_table(found)]
    return "\n".join(lines)


def _table(results: Sequence[Result]) -> list[str]:
    rows = [(result, *row(result)) for result in results]
    wins = Counter(first for _, first, _ in rows if first)
    means = [
        f"{title} {math.exp(float(np.mean([math.log(value / result.ms('ours-fp32')) for result, value in known]))):.2f}"
        for name, title in FOUR.items()
        if name != "ours-fp32" and (known := [(each, ms) for each in results if (ms := each.ms(name)) is not None])
    ]
    return [
        f"| network | M MACs | {' | '.join(FOUR.values())} | fastest |",
        "|---" * (len(FOUR) + 3) + "|",
        *(f"| {result.role} | {result.facts['macs'] / 1e6:.3g} | {' | '.join(cells)} |" for result, _, cells in rows),
        "",
        f"Fastest for sure: {', '.join(f'{FOUR[name]} on {count}' for name, count in wins.most_common()) or 'none'}, of"
        f" {len(rows)}. Time over TFLite's, geometric mean: {', '.join(means)}.\n",
    ]


def main() -> None:
    """Run a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("make", "measure", "record", "table"))
    parser.add_argument("--nets", type=int, default=None, help="so many networks of each supernet (all: 12)")
    parser.add_argument("--rounds", type=int, default=timing.ROUNDS, help="measure: turns of each model")
    parser.add_argument("--note", default="", help="record: a sentence that the page shows on top")
    options = parser.parse_args()
    chosen = [network for group in reversed(GROUPS) for network in networks(group, options.nets)]
    if options.command == "make":
        convert_all(chosen, WORK, list(FOUR))
        check_all(chosen, WORK)
    elif options.command == "measure":
        for network in chosen:
            path, key = folder_of(network, WORK) / timing.TIMING, timing.key(network, WORK)
            if not path.is_file() or timing.read(path)["key"] != key:
                write_json(path, {**timing.measure(network, WORK, options.rounds), "key": key})
    elif options.command == "record":
        record(chosen, WORK, RECORDED, options.note)
    else:
        print(page(RECORDED), end="")


if __name__ == "__main__":
    main()
