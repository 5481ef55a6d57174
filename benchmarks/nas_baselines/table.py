"""docs/benchmarks/nas_baselines.md, from the recorded results."""

import json
from pathlib import Path
from typing import Any

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

Printed by `python benchmarks/nas_baselines table` from the results recorded in benchmarks/nas_baselines/results; `run`
makes them again (some two hours of one core).

Fashion-MNIST at 16 px, the space of the embedded default, one latency budget of {budget:.3f} ms: half of what the
largest subnet takes by the shipped model of raspberry-pi-4 (TFLite fp32, 4 threads; a prediction, nothing was
measured). Every method but Once-For-All ends in one network that is trained from scratch, by the recipe of
docs/results.md; a new budget or a new device means doing all of it again. Once-For-All trains one supernet and one
accuracy predictor, and a deployment is a search and the calibration of one subnet; or, *fine-tuned*, that subnet is
trained on for a quarter of the steps that training from scratch has, with the supernet's largest net as teacher. One
seed, one CPU thread, top-1 on the 10,000 test images.

Each method follows the update rule of its paper (benchmarks/nas_baselines/*.py name sections and equations), at a scale
of minutes where the papers spend GPU days. What is different from the papers is the same for all: a fifth of the images
for the search, the likeliest network within the budget instead of a sweep over weights of the latency term.
A difference of half a point of top-1 is within the noise of one seed (docs/results.md). Times are CPU seconds, and were
taken while other work ran on the machine.

| method | subnet | ms | M MACs | top-1 | search, CPU s | training, CPU s |
|---|---|---|---|---|---|---|
"""


def page(folder: Path) -> str:
    """The whole page; methods that were not run are left out, and said to be."""
    found = {name: json.loads(path.read_bytes()) for name in METHODS for path in folder.glob(f"{name}-0.result.json")}
    if "ofa-edge" not in found or not (folder / "ofa-edge-0.json").is_file():
        raise SystemExit(f"no result of ofa-edge in {folder}: python benchmarks/nas_baselines run --folder {folder}")
    supernet = json.loads((folder / "ofa-edge-0.json").read_bytes())["cpu_seconds"]
    lines = [_HEAD.format(budget=found["ofa-edge"]["budget_ms"])]
    lines += [_row(name, result) for name, result in found.items()]
    once = found["ofa-edge"]["predictor_cpu_seconds"]
    lines.append(f"\nOnce-For-All pays {supernet:.0f} s for the supernet and {once:.0f} s for the predictor, once.\n")
    lines.append("\n## Cost of N deployments, CPU hours of one core\n\n")
    lines.append(
        "| method | " + " | ".join(f"N = {count}" for count in _COUNTS) + " | at N = 40, times Once-For-All |\n"
    )
    lines.append("|---|" + "---|" * (len(_COUNTS) + 1) + "\n")
    totals = {name: [_total(name, result, supernet, count) for count in _COUNTS] for name, result in found.items()}
    for name, values in totals.items():
        ratio = values[-1] / totals["ofa-edge"][-1]
        lines.append(f"| {_NAMES[name]} | " + " | ".join(f"{value:.2f}" for value in values) + f" | {ratio:.1f} |\n")
    missing = [_NAMES[name] for name in METHODS if name not in found]
    if missing:
        lines.append(f"\nNot run: {', '.join(missing)}.\n")
    return "".join(lines)


def _row(name: str, result: dict[str, Any]) -> str:
    depths = ",".join(str(depth) for depth in result["subnet"]["d"])
    trained = "none" if name == "ofa-edge" else f"{result['train_cpu_seconds']:.0f}"
    return (
        f"| {_NAMES[name]} | d {depths} | {result['latency_ms']:.3f} | {result['macs'] / 1e6:.2f} "
        f"| {100 * result['top1']:.2f} | {result['search_cpu_seconds']:.0f} | {trained} |\n"
    )


def _total(name: str, result: dict[str, Any], supernet: float, count: int) -> float:
    each = result["search_cpu_seconds"] + (result["train_cpu_seconds"] or 0.0)
    once = supernet + result["predictor_cpu_seconds"] if "predictor_cpu_seconds" in result else 0.0
    return float(once + count * each) / 3600
