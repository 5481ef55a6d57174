"""docs/benchmarks/nas_baselines.md, from the recorded results."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from mixture import USED

METHODS = ("ofa-edge", "finetuned", "proxylessnas", "fbnet", "darts", "mnasnet", "random")
_NAMES = {
    "ofa-edge": "Once-For-All (`ofa-edge`)",
    "finetuned": "Once-For-All, then fine-tuned",
    "proxylessnas": "ProxylessNAS: path binarisation",
    "fbnet": "FBNet: Gumbel-softmax",
    "darts": "DARTS: bilevel relaxation",
    "mnasnet": "MnasNet: reinforcement search",
    "random": "a random subnet at the budget",
}
_COUNTS = (1, 10, 40)

_HEAD = """# Results: architecture search of other papers beside Once-For-All

Printed by `python benchmarks/nas_baselines table` from the results recorded in benchmarks/nas_baselines/results; `run
--seed N` makes them again (some two hours of one core each).

Fashion-MNIST at 16 px, the space of docs/results.md, one latency budget of {budget:.3f} ms: half of what the
largest subnet takes by the shipped model of raspberry-pi-4 (TFLite fp32, 4 threads; a prediction, nothing was
measured). Every method but Once-For-All ends in one network that is trained from scratch, by the recipe of
docs/results.md; a new budget or a new device means doing all of it again. Once-For-All trains one supernet and one
accuracy predictor, and a deployment is a search and the calibration of one subnet; or, *fine-tuned*, that subnet is
trained on for a quarter of the steps that training from scratch has, with the supernet's largest net as teacher. One
CPU thread, top-1 on the 10,000 test images; means over seeds, and the standard deviation behind them.

Each method follows the update rule of its paper (benchmarks/nas_baselines/*.py name sections and equations), at a scale
of minutes where the papers spend GPU days. What is different from the papers is the same for all: a fifth of the images
for the search, and the likeliest network that uses at least {used:.0%} of the budget instead of a sweep over weights of
the latency term. Times are CPU seconds, and were taken while other work ran on the machine.

| method | seeds | ms | M MACs | top-1 | search, CPU s | training, CPU s |
|---|---|---|---|---|---|---|
"""
Results = list[dict[str, Any]]


def page(folder: Path) -> str:
    """The whole page; methods that were not run are left out, and said to be."""
    found = {name: _results(folder, name) for name in METHODS}
    ours = found["ofa-edge"]
    supernets = [_read(path)["cpu_seconds"] for path in sorted(folder.glob("ofa-edge-[0-9].json"))]
    if not ours or not supernets:
        raise SystemExit(f"no result of ofa-edge in {folder}: python benchmarks/nas_baselines run --folder {folder}")
    budget = ours[0]["budget_ms"]  # another one is of another latency model: its networks are not comparable
    same = {name: [each for each in results if each["budget_ms"] == budget] for name, results in found.items()}
    run = {name: results for name, results in same.items() if results}
    supernet, once = float(np.mean(supernets)), _mean(run["ofa-edge"], "predictor_cpu_seconds")
    lines = [_HEAD.format(budget=budget, used=USED)]
    lines += [_row(name, results) for name, results in run.items()]
    lines.append(f"\nOnce-For-All pays {supernet:.0f} s for the supernet and {once:.0f} s for the predictor, once.\n")
    lines.append("\n## Cost of N deployments, CPU hours of one core\n\n")
    lines.append(
        "| method | " + " | ".join(f"N = {count}" for count in _COUNTS) + " | at N = 40, times Once-For-All |\n"
    )
    lines.append("|---|" + "---|" * (len(_COUNTS) + 1) + "\n")
    totals = {name: [_total(results, supernet + once, count) for count in _COUNTS] for name, results in run.items()}
    for name, values in totals.items():
        ratio = values[-1] / totals["ofa-edge"][-1]
        lines.append(f"| {_NAMES[name]} | " + " | ".join(f"{value:.2f}" for value in values) + f" | {ratio:.1f} |\n")
    missing = [_NAMES[name] for name in METHODS if name not in run]
    if missing:
        lines.append(f"\nNot run under this budget, or ended far under it: {', '.join(missing)}.\n")
    return "".join(lines)


def _read(path: Path) -> Any:
    return json.loads(path.read_bytes())


def _results(folder: Path, name: str) -> Results:
    """Of every seed that meets the budget: an older record may be of a network far under it, which says little."""
    found = [_read(path) for path in sorted(folder.glob(f"{name}-[0-9].result.json"))]
    return [each for each in found if each["latency_ms"] >= USED * each["budget_ms"]]


def _mean(results: Results, key: str) -> float:
    return float(np.mean([each[key] or 0.0 for each in results]))


def _row(name: str, results: Results) -> str:
    top1 = 100 * np.array([each["top1"] for each in results])
    spread = f" ± {top1.std(ddof=1):.2f}" if len(top1) > 1 else ""
    trained = "none" if name == "ofa-edge" else f"{_mean(results, 'train_cpu_seconds'):.0f}"
    return (
        f"| {_NAMES[name]} | {len(results)} | {_mean(results, 'latency_ms'):.3f} | {_mean(results, 'macs') / 1e6:.2f} "
        f"| {top1.mean():.2f}{spread} | {_mean(results, 'search_cpu_seconds'):.0f} | {trained} |\n"
    )


def _total(results: Results, before: float, count: int) -> float:
    """Hours of N deployments; `before` is what those of a supernet pay once."""
    each = _mean(results, "search_cpu_seconds") + _mean(results, "train_cpu_seconds")
    return ((before if "predictor_cpu_seconds" in results[0] else 0.0) + count * each) / 3600
