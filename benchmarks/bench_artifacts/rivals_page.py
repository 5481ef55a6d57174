"""The page of rivals.py out of what it recorded."""

from typing import Any

import numpy as np

from bench_artifacts.figures import geometric, paired
from bench_artifacts.tools import COUNTED_CORES

PEERS = ("litert-torch", "onnx2tf", "onnx2tf-2")
GOALS = {"fp32": 1.02, "int8": 0.9}
HEAD = (
    "# Results: our TFLite files beside those of onnx2tf and litert-torch\n",
    "Printed by `python benchmarks/rivals.py table`; made by its `convert`, `time` and `count`.\n",
    "Networks of timm and a detector with YOLOv8's blocks, 224 px, random weights (what begins at 0 is drawn anew);"
    " MobileOne with its branches joined, as its authors deploy it. 32 smooth random images calibrate batch norms and"
    " set the int8 ranges of every tool, 32 others are answered. onnx2tf and ours start from the same ONNX file (of"
    " torch's legacy exporter, onnxsim), litert-torch from torch's exported program, with an input in NHWC as its"
    " documentation advises. int8 of onnx2tf is by `-oiqt`, of litert-torch by ai-edge-quantizer (static int8).\n",
    "Times are CPU time of the quickest inference of a turn in LiteRT with XNNPACK, one thread, x86. A round is a"
    " process that gives all files of one network a turn; ratios are taken within a round: the median over rounds, its"
    " 95 % bootstrap interval behind it. dB: signal over noise of all outputs beside torch's float answers."
    " Instructions are those of one inference on an emulated core: no times, and no load changes them. Seconds are CPU"
    " seconds of both conversions, fp32 and int8, which of the others is one run. Random networks say how near an int8"
    " file comes to the float answers, nothing of accuracy.\n",
)


def page(known: dict[str, Any]) -> str:
    """All of docs/benchmarks/rivals.md."""
    found = known["found"]
    loads = [each["load"] for each in found.values() if "load" in each]
    lines = [*HEAD, f"Versions: {_versions(known['versions'])}."]
    lines += [f"{peer}'s own: {_versions(versions)}." for peer, versions in known["peers"].items() if versions]
    if loads:
        vectors = ", ".join(known["processor"]["vectors"])
        load = f"load while it was timed: {min(loads):g} to {max(loads):g}, of which about 1 is the benchmark itself"
        lines.append(f"\nTimed on {known['processor']['cpu']} with {vectors}; {load}.")
    changed = [f"{name} ({tool})" for name, facts in found.items() for tool in _converted_since(facts)]
    if changed:
        lines.append(f"\nTimed, and not yet again since a new conversion gave other numbers: {', '.join(changed)}.")
    for precision, goal in GOALS.items():
        lines += ["", f"## {precision}", *_summary(found, precision, goal), "", *_ratios(found, precision)]
        lines += ["", *_facts(found, precision)]
    missing: dict[str, list[str]] = {}
    for name, facts in found.items():
        for tool, each in facts["tools"].items():
            if "reason" in each:
                missing.setdefault(f"{tool}: {each['reason']}", []).append(name)
    reasons = [f"- {reason} ({', '.join(names)})" for reason, names in sorted(missing.items())]
    return "\n".join([*lines, "", *(["## Not converted\n", *reasons, ""] if reasons else [])])


def _converted_since(facts: dict[str, Any]) -> list[str]:
    """The tools whose files are others than those that were timed."""
    digests = {tool: each["digest"] for tool, each in facts["tools"].items() if "digest" in each}
    return [tool for tool, digest in digests.items() if facts.get("timed", {}).get(tool, digest) != digest]


def _table(heads: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a table, without the columns that no row fills."""
    kept = [at for at in range(len(heads)) if any(row[at] for row in rows)]
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(line[at] for at in kept)} |" for line in lines]


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _summary(found: dict[str, Any], precision: str, goal: float) -> list[str]:
    """Ours over each peer's on all networks that both converted."""
    heads = ["ours /", "time: mean (least to most; networks)", *(f"instructions, {core}" for core in COUNTED_CORES)]
    heads += [f"time at most {goal:g}", "dB over it: mean (least to most)"]
    lines = ["", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for peer in PEERS:
        tools = f"ours-{precision}", f"{peer}-{precision}"
        timed = [ratio[0] for each in found.values() if (ratio := _time_ratio(each, *tools))]
        counts = [[r for each in found.values() if (r := _count_ratio(each, *tools, core))] for core in COUNTED_CORES]
        gains = [
            both[0] - both[1]
            for each in found.values()
            if None not in (both := [each["tools"].get(tool, {}).get("snr_db") for tool in tools])
        ]
        cells = [_spread(timed), *map(_spread, counts)]
        cells.append(f"{sum(each <= goal for each in timed)} of {len(timed)}" if timed else "")
        cells.append(f"{np.mean(gains):+.1f} ({min(gains):+.1f} to {max(gains):+.1f})" if gains else "")
        lines.append(f"| {peer} | {' | '.join(cells)} |")
    return lines


def _spread(values: list[float]) -> str:
    if not values:
        return "not measured"
    return f"{geometric(values):.2f} ({min(values):.2f} to {max(values):.2f}; {len(values)})"


def _time_ratio(facts: dict[str, Any], first: str, second: str) -> tuple[float, float, float] | None:
    times = facts.get("times", {})
    return paired(times[first], times[second]) if first in times and second in times else None


def _count(facts: dict[str, Any], tool: str, core: str) -> int | None:
    count = facts["tools"].get(tool, {}).get("instructions", {}).get(core, {}).get("count")
    return count if isinstance(count, int) else None


def _count_ratio(facts: dict[str, Any], first: str, second: str, core: str) -> float | None:
    above, below = _count(facts, first, core), _count(facts, second, core)
    return above / below if above and below else None


def _ratios(found: dict[str, Any], precision: str) -> list[str]:
    """A row a network: our time and instructions, and those of the peers by ratio."""
    heads = ["network", "ms"]
    heads += [f"time / {peer}" for peer in PEERS]
    heads += [f"{core} / {peer}" for core in COUNTED_CORES for peer in PEERS]
    ours, rows = f"ours-{precision}", []
    for name, facts in found.items():
        own = facts.get("times", {}).get(ours)
        cells = [name, f"{np.median(own):.3g}" if own else ""]
        for peer in PEERS:
            ratio = _time_ratio(facts, ours, f"{peer}-{precision}")
            cells.append(f"{ratio[0]:.2f} ({ratio[1]:.2f} to {ratio[2]:.2f})" if ratio else "")
        counts = [_count_ratio(facts, ours, f"{peer}-{precision}", core) for core in COUNTED_CORES for peer in PEERS]
        rows.append([*cells, *(f"{each:.3f}" if each else "" for each in counts)])
    return _table(heads, rows)


def _facts(found: dict[str, Any], precision: str) -> list[str]:
    """A row a network: what each file answers, holds and cost."""
    tools = ("ours", *PEERS)
    heads = ["network", *(f"{what}, {tool}" for what in ("dB", "operators", "MB", "s") for tool in tools)]
    rows = []
    for name, facts in found.items():
        each = [facts["tools"].get(f"{tool}-{precision}", {}) for tool in tools]
        cells = [f"{one['snr_db']:.1f}" if "snr_db" in one else "no" if one else "" for one in each]
        cells += [str(one.get("operators", "")) for one in each]
        cells += [f"{one['size'] / 1e6:.3g}" if "size" in one else "" for one in each]
        cells += [f"{one['cpu_s']:.0f}" if "size" in one and "cpu_s" in one else "" for one in each]
        rows.append([name, *cells])
    return _table(heads, rows)
