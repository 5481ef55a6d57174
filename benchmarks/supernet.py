"""What the supernets inside the package are, and how good: from the records that their training left beside them.

    python benchmarks/supernet.py table > docs/supernet.md

Every figure is one that `ofa-edge train` measured at the end of the run, or is counted from the pairs that it measured.
"""

import argparse
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from ofa_edge import cost
from ofa_edge.metrics import spearman
from ofa_edge.supernet import zoo
from ofa_edge.supernet.zoo import SupernetPackage
from ofa_edge.training.pairs import read_pairs

HEAD = """# The supernets inside

Printed by `python benchmarks/supernet.py table` from what each run left in [ofa_edge/zoo](../ofa_edge/zoo).
"""


@dataclass(frozen=True)
class _Row:
    """A figure, and the goal that the default has for it, if any."""

    name: str
    value: float | str
    unit: str = ""
    decimals: int = 1
    goal: tuple[str, float] | None = None  # ≥ or ≤, and the bound

    def line(self, goals: bool) -> str:
        """A line of the table; its goal beside it, where goals are shown."""
        shown = self.value if isinstance(self.value, str) else f"{self.value:.{self.decimals}f}"
        return f"| {self.name} | {shown}{self.unit} |" + (f" {self._goal()} |" if goals else "")

    def _goal(self) -> str:
        if self.goal is None or isinstance(self.value, str):
            return " |"
        sign, bound = self.goal
        met = self.value >= bound if sign == "≥" else self.value <= bound
        return f"{sign} {bound:g}{self.unit} | {'met' if met else '**missed**'}"


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
    span, drawn, rank = 100 * (ends[0][1] - ends[-1][2]), test["random_subnets"], test["spearman_macs"]
    everywhere, count = _rank_of_pairs(package)
    predictor = figures["predictor"]
    rows = [
        _Row(f"largest subnet, {last} px, top-1", 100 * ends[0][1], " %", 2, ("≥", 93)),
        *(_Row(f"largest / smallest at {r} px", f"{100 * big:.2f} / {100 * low:.2f}", " %") for r, big, low in ends),
        _Row("from the smallest at the lowest size to the largest", span, " points", 1, ("≥", 5)),
        _Row(f"Spearman of top-1 with MACs, {drawn} random subnets at {last} px", rank, "", 2, ("≥", 0.8)),
        _Row(f"the same over {count} random pairs of any size, held-out images", everywhere, "", 2, ("≥", 0.8)),
        _Row(
            "accuracy predictor, held out: RMSE / Kendall's tau / tau of MACs alone",
            f"{100 * predictor['rmse']:.2f} points / {predictor['kendall']:.2f} / "
            f"{predictor['ranking']['kendall_macs']:.2f}",
        ),
        _Row("weights", figures["weights_bytes"] / 1e6, " MB", 2, ("≤", 4)),
    ]
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
    return "\n".join([*lines, *(row.line(default) for row in rows), ""])


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


def _listed(values: tuple[float, ...]) -> str:
    return ",".join(f"{value:g}" for value in values)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("table",))
    parser.parse_args()
    print(report(), end="")
