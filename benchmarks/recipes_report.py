"""docs/results.md from the results that benchmarks/recipes.py wrote."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from recipes_curves import curves

NAMES = {
    "ofa": "`ofa`: progressive shrinking",
    "ofa-edge": "`ofa-edge`",
    "no-shrinking": "`no-shrinking`: random subnets",
    "alone": "each subnet trained alone",
}
DEPLOYED = (1, 10, 40)
Runs = dict[str, list[dict[str, Any]]]


def report(folder: Path) -> str:
    """All of docs/results.md."""
    runs = _runs(folder)
    if not runs:
        raise SystemExit(f"no results in {folder}: `run` first")
    variants = [_read(path) for path in sorted(folder.glob("variant-*.json"))]
    deploy = folder / "deploy.json"
    parts = [HEAD, _accuracy(runs), _goals(runs)]
    scales = _scales(folder, runs)
    if len(scales) > 1:
        parts.append(_against_cost(scales))
    for name in NAMES:
        if own := [each for each in variants if each["recipe"] == name]:
            parts.append(_variants(name, own))
    if deploy.is_file() and "alone" in runs and "ofa-edge" in scales.get(_read(deploy)["times"], {}):
        parts.append(_hours(scales, _read(deploy)))
    return "\n".join(parts)


HEAD = """# Results: training recipes at equal cost

Printed by `python benchmarks/recipes.py table` from the results recorded in benchmarks/recipes_results. `run --folder`
trains everything again (some four hours of one core), `table --folder` prints that instead. Fewer than three seeds in a
row: the others have not been run yet.

Fashion-MNIST at 16 px, OFA-MobileNetV3 at width 0.25 (strides 1,2,2,2,1,1), 55,000 training images, batch 128, one CPU
thread. Every supernet recipe spends the same multiply-accumulates: forward and backward passes of all subnets, teachers
included. That is little: `ofa` at 1/75 of the paper's epochs, so 2.4 epochs of the full net and 8 in all. What comes
out need not hold at the paper's scale; the same command with another `scale` in benchmarks/recipes.toml says.
Its later phases have rates that fine-tune a finished net, and its net is not finished: with high rates, and a full net
that gets 55 % of the cost as in `ofa-edge`, it gains two points (switches below, at a quarter of the cost). The other
four are what is left of the difference: `ofa-edge` trains both ends of the space in each step and lets the largest net
of that step teach the others. So no `ofa` for short schedules is shipped; `ofa-edge` stays the recipe of the default.
Top-1 on the 10,000 test images, each subnet calibrated on 2,000 training images. Mean over seeds, and the standard
deviation over seeds behind it.
"""


def _read(path: Path) -> Any:
    return json.loads(path.read_bytes())


def _runs(folder: Path) -> Runs:
    """By recipe, those that were recorded there."""
    found = {name: [_read(path) for path in sorted(folder.glob(f"{name}-[0-9]*.json"))] for name in NAMES}
    return {name: each for name, each in found.items() if each}


def _matrix(runs: list[dict[str, Any]]) -> np.ndarray:
    """Top-1 in percent: [seeds, points]."""
    return 100 * np.array([list(run["top1"].values()) for run in runs])


def _accuracy(runs: Runs) -> str:
    points = list(next(iter(runs.values()))[0]["top1"])
    lines = ["## Accuracy\n", f"| recipe | seeds | T MACs | {' | '.join(points)} | mean | 40 random subnets |"]
    lines.append("|---" * (len(points) + 5) + "|")
    for name, found in runs.items():
        values = _matrix(found)
        cells = [_cell(column) for column in values.T]
        random = [100 * np.mean([top1 for _, top1 in run["random"]]) for run in found if "random" in run]
        spread = _cell(np.array(random)) if random else ""
        lines.append(
            f"| {NAMES[name]} | {len(found)} | {_macs(found) / 1e12:.2f} | {' | '.join(cells)} | {values.mean():.2f} "
            f"| {spread} |"
        )
    return "\n".join(lines) + "\n"


def _macs(runs: list[dict[str, Any]]) -> float:
    """Of one run, or of all networks of one; the mean over seeds."""
    each = [sum(run["macs"].values()) if isinstance(run["macs"], dict) else run["macs"] for run in runs]
    return float(np.mean(each))


def _cell(values: np.ndarray) -> str:
    """The mean over seeds, and the standard deviation where there are several."""
    return f"{values.mean():.2f}" + (f" ± {values.std(ddof=1):.2f}" if len(values) > 1 else "")


def _goals(runs: Runs) -> str:
    means = {name: _matrix(found).mean(0) for name, found in runs.items()}
    lines = ["## Against the goals\n", "| goal | found | |", "|---|---|---|"]

    def row(goal: str, found: str, met: bool) -> None:
        lines.append(f"| {goal} | {found} | {'met' if met else '**missed**'} |")

    if {"ofa-edge", "alone"} <= set(means):
        gap = means["ofa-edge"] - means["alone"]
        row("every subnet of `ofa-edge` within 0.5 points of itself trained alone", _signed(gap), gap.min() >= -0.5)
    if {"ofa-edge", "ofa"} <= set(means):
        gap = means["ofa-edge"] - means["ofa"]
        row("`ofa-edge` at or above `ofa` at every point", _signed(gap), gap.min() >= 0)
        row("`ofa-edge` 0.5 points above `ofa` on average", f"{gap.mean():+.2f}", gap.mean() >= 0.5)
    if {"ofa", "no-shrinking"} <= set(means):
        gap = means["ofa"] - means["no-shrinking"]
        row("`ofa` above no shrinking (2.5 to 3.7 points in the paper)", _signed(gap), gap.min() > 0)
    return "\n".join(lines) + "\n"


def _scales(folder: Path, runs: Runs) -> dict[float, Runs]:
    """The runs of each multiple of the preset's cost, the least first; others than 1 lie in `times-N`."""
    scales = {1.0: runs}
    for place in folder.glob("times-*"):
        scales[float(place.name.removeprefix("times-"))] = _runs(place)
    return dict(sorted(scales.items()))


def picture(folder: Path) -> str:
    """All of docs/results.svg."""
    found: dict[str, dict[float, tuple[float, float]]] = {}
    for runs in _scales(folder, _runs(folder)).values():
        for name, each in runs.items():
            means = _matrix(each).mean(1)
            spread = float(means.std(ddof=1)) if len(means) > 1 else 0.0
            found.setdefault(name, {})[_macs(each) / 1e12] = (float(means.mean()), spread)
    return curves({NAMES[name].replace("`", ""): found[name] for name in found}, "Mean top-1 of five subnets, %")


def _against_cost(scales: dict[float, Runs]) -> str:
    lines = [
        "## Accuracy against cost\n",
        "The mean of the five subnets at multiples of the cost above (`run --times N --folder F/times-N`), its",
        "standard deviation over seeds, and in brackets how many. Last: how far `ofa` is above `no-shrinking`.",
        "The picture is printed by `python benchmarks/recipes.py plot`.\n",
        "![accuracy of the recipes against the cost of a run](results.svg)\n",
        f"| times | T MACs | {' | '.join(map(NAMES.__getitem__, NAMES))} | shrinking gains |",
        "|---" * (len(NAMES) + 3) + "|",
    ]
    for times, runs in scales.items():
        means = {name: _matrix(found).mean(1) for name, found in runs.items()}
        cells = [f"{_cell(means[name])} ({len(means[name])})" if name in means else "" for name in NAMES]
        macs = _macs(next(found for name, found in runs.items() if name != "alone")) / 1e12  # alike in all of them
        both = {"ofa", "no-shrinking"} <= set(means)
        gain = f"{means['ofa'].mean() - means['no-shrinking'].mean():+.2f}" if both else ""
        lines.append(f"| {times:g} | {macs:.2f} | {' | '.join(cells)} | {gain} |")
    return "\n".join(lines) + "\n"


def _signed(gaps: np.ndarray) -> str:
    return ", ".join(f"{gap:+.2f}" for gap in gaps)


def _variants(name: str, variants: list[dict[str, Any]]) -> str:
    points = list(variants[0]["top1"])
    lines = [
        f"## Switches of `{name}`\n",
        "At a quarter of the cost, one seed, on the 5,000 held-out images: values are chosen by trials of this size on",
        "these images, never on the test images. Differences below half a point are noise.\n",
        f"| variant | {' | '.join(points)} | mean |",
        "|---" * (len(points) + 2) + "|",
    ]
    for found in sorted(variants, key=lambda each: -sum(each["top1"].values())):
        values = [100 * value for value in found["top1"].values()]
        cells = " | ".join(f"{value:.2f}" for value in values)
        lines.append(f"| {found['variant']} | {cells} | {np.mean(values):.2f} |")
    return "\n".join(lines) + "\n"


def _hours(scales: dict[float, Runs], deploy: dict[str, Any]) -> str:
    """What N networks cost, by a supernet and one by one; all seconds were measured in turn on one machine."""
    measured, single = deploy["times"], float(np.mean(deploy["alone_cpu_seconds"]))
    once, each = deploy["once_cpu_seconds"], float(np.mean(deploy["each_cpu_seconds"]))
    alone = _matrix(scales[1.0]["alone"]).mean(1)
    found = ", ".join(f"{100 * top1:.2f}" for top1 in deploy["found_top1"])
    lines = [
        "## Cost of N deployments\n",
        f"CPU seconds of one core, measured in turn on one machine (`deploy`, of a supernet of {measured:g} times the",
        "cost above); training counts as its number of steps times the seconds of one. Once: "
        f"{once:.0f} s for {deploy['pairs']} pairs on",
        f"{deploy['images']:,} images and the predictor ([pairs](benchmarks/pairs.md)). For each network {each:.1f} s:",
        f"a search, and the calibration of what it finds ({found} % on the test set at three budgets).",
        f"Alone: {single:.0f} s a network, the mean over the five above, and no search for its architecture.\n",
        "| `ofa-edge`, times the cost above | seeds | mean top-1 | over alone | supernet, s | crosses at N | "
        + " | ".join(f"ratio at N = {count}" for count in DEPLOYED)
        + " |",
        "|---" * (6 + len(DEPLOYED)) + "|",
    ]

    def ratio(times: float, count: int) -> float:
        return count * single / (times / measured * deploy["supernet_cpu_seconds"] + once + count * each)

    gains: list[tuple[float, float]] = []
    for times, runs in scales.items():
        if "ofa-edge" not in runs or len(runs["ofa-edge"]) < 2:
            continue
        means = _matrix(runs["ofa-edge"]).mean(1)
        gains.append((float(means.mean() - alone.mean()), times))
        supernet = times / measured * deploy["supernet_cpu_seconds"]
        ratios = " | ".join(f"{ratio(times, count):.1f}" for count in DEPLOYED)
        lines.append(
            f"| {times:g} | {len(means)} | {_cell(means)} | {gains[-1][0]:+.2f} | {supernet:.0f} | "
            f"{math.ceil((supernet + once) / (single - each))} | {ratios} |"
        )
    equal = _equal_cost(sorted(gains))
    if equal is None:
        return "\n".join(lines) + "\n"
    most = ratio(equal, DEPLOYED[-1])
    lines.append(
        f"\nAs good as alone on average at {equal:.2f} times the cost (on the line between its neighbours): "
        f"there\n{most:.1f} times at N = {DEPLOYED[-1]}. Goal: 16 times; {'met' if most >= 16 else '**missed**'}."
    )
    return "\n".join(lines) + "\n"


def _equal_cost(gains: list[tuple[float, float]]) -> float | None:
    """Where the gain over networks alone is 0, between two scales; None where it is not between any."""
    for (low, before), (high, after) in itertools.pairwise(gains):
        if low <= 0 <= high and high > low:
            share = -low / (high - low)
            return float(np.exp((1 - share) * np.log(before) + share * np.log(after)))
    return None
