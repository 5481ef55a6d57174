"""What the supernets inside the package are, and how good: from the records that their training left beside them.

    python benchmarks/supernet.py table > docs/supernet.md

Every figure is one that `ofa-edge train` measured at the end of the run, or is counted from the pairs that it measured.
"""

import argparse
import json
from typing import Any

import numpy as np

from ofa_edge import cost
from ofa_edge.metrics import spearman
from ofa_edge.supernet import zoo
from ofa_edge.supernet.zoo import SupernetPackage
from ofa_edge.training.pairs import read_pairs

GOALS = {"largest": 0.93, "span": 5.0, "rank": 0.8, "bytes": 4_000_000}
HEAD = """# The supernets inside

Printed by `python benchmarks/supernet.py table` from what each run left in [ofa_edge/zoo](../ofa_edge/zoo).
"""


def report() -> str:
    """All of docs/supernet.md."""
    return "\n".join([HEAD, *(_section(zoo.open_supernet(name), name == zoo.DEFAULT) for name in zoo.shipped())])


def _read(package: SupernetPackage, name: str) -> Any:
    path = package.file(name)
    if path is None:
        raise SystemExit(f"{package.name} has no {name}: a run's folder has one")
    return json.loads(path.read_bytes())


def _section(package: SupernetPackage, default: bool) -> str:
    """One supernet; the default stands beside its goals."""
    figures, recipe = _read(package, "figures.json"), _read(package, "recipe.json")["recipe"]
    space, test = package.space, figures["test"]
    last, top1 = space.resolutions[-1], test["top1"]
    ends = [(r, top1[f"largest {r}"], top1[f"smallest {r}"]) for r in reversed(space.resolutions)]
    lowest, rank, everywhere = ends[-1][2], test["spearman_macs"], _rank_of_pairs(package)
    predictor = figures["predictor"]
    rows = [
        (f"largest subnet, {last} px, top-1", f"{_percent(ends[0][1])} %", "≥ 93.0 %", ends[0][1] >= GOALS["largest"]),
        *((f"largest / smallest at {r} px", f"{_percent(big)} / {_percent(low)} %", "", None) for r, big, low in ends),
        (
            "from the smallest at the lowest size to the largest",
            f"{100 * (ends[0][1] - lowest):.1f} points",
            "≥ 5",
            100 * (ends[0][1] - lowest) >= GOALS["span"],
        ),
        (f"Spearman of top-1 with MACs, {test['random_subnets']} random subnets at {last} px", f"{rank:.2f}", "≥ 0.8",
         rank >= GOALS["rank"]),
        (f"the same over {everywhere[1]} random pairs of any size, held-out images", f"{everywhere[0]:.2f}", "≥ 0.8",
         everywhere[0] >= GOALS["rank"]),
        (
            "accuracy predictor, held out: RMSE / Kendall's tau / tau of MACs alone",
            f"{100 * predictor['rmse']:.2f} points / {predictor['kendall']:.2f} / "
            f"{predictor['ranking']['kendall_macs']:.2f}",
            "",
            None,
        ),
        ("weights", f"{figures['weights_bytes'] / 1e6:.2f} MB", "≤ 4", figures["weights_bytes"] <= GOALS["bytes"]),
    ]  # fmt: skip
    lines = [
        f"## `{package.name}`{': the default' if default else ''}",
        "",
        f"Fashion-MNIST (grey), OFA-MobileNetV3 at width {space.width_mult:g}, strides {_listed(space.strides)}, "
        f"{_listed(space.resolutions)} px,",
        f"kernels {_listed(space.kernels)}, expand ratios {_listed(space.expands)}, depths {_listed(space.depths)}: "
        f"{space.count:.2g} subnets, {cost.macs(space, space.smallest(space.resolutions[0])) / 1e6:.2f} to "
        f"{cost.macs(space, space.largest()) / 1e6:.1f} M MACs.",
        f"Trained on one CPU core by the recipe `{recipe['name']}` at scale {recipe['scale']:g}",
        f"([recipe](../ofa_edge/zoo/{package.name}/recipe.json), [log](../ofa_edge/zoo/{package.name}/log.jsonl)), "
        f"measured on the {test['images']:,} test images",
        f"([figures](../ofa_edge/zoo/{package.name}/figures.json)); each subnet is extracted and calibrated.",
        "",
        f"| figure | reached |{' goal | |' if default else ''}",
        f"|---|---|{'---|---|' if default else ''}",
    ]
    for name, found, goal, met in rows:
        verdict = "" if met is None else "met" if met else "**missed**"
        lines.append(f"| {name} | {found} |" + (f" {goal} | {verdict} |" if default else ""))
    return "\n".join([*lines, ""])


def _rank_of_pairs(package: SupernetPackage) -> tuple[float, int]:
    """Spearman of measured accuracy with MACs over the predictor's pairs, both ends of the space left out; how many."""
    path = package.file(zoo.PAIRS)
    if path is None:
        raise SystemExit(f"{package.name} has no {zoo.PAIRS}")
    space = package.space
    ends = {pick(r) for r in space.resolutions for pick in (space.largest, space.smallest)}
    pairs = [pair for pair in read_pairs(path, space) if pair.subnet not in ends]
    macs = np.array([cost.macs(space, pair.subnet) for pair in pairs], dtype=np.float64)
    return spearman(macs, np.array([pair.top1 for pair in pairs])), len(pairs)


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _listed(values: tuple[float, ...]) -> str:
    return ",".join(f"{value:g}" for value in values)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("table",))
    parser.parse_args()
    print(report(), end="")
