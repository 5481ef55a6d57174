"""docs/benchmarks/artifacts.md from the results that record.py wrote."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from bench_artifacts import goals
from bench_artifacts.figures import Ratio, Result, geometric, read_results
from bench_artifacts.tools import COUNTED_CORES, TOOLS

_TITLES = {tool.name: tool.title for tool in TOOLS}
_GROUPS = {
    "w1.0": "OFA-MobileNetV3 w1.0, 224 px, **untrained**: random weights, so answers mean nothing",
    "default": "The default supernet, Fashion-MNIST, trained",
}
_SHORT = {"w1.0": "w1.0, 224 px", "default": "default"}
_TIMED = tuple(tool.name for tool in TOOLS if tool.timed and tool.peer is None)
_RATIOS = (
    ("ours-fp32", "plain-fp32"),
    ("ours-fp16", "ours-fp32"),
    ("ours-int8", "ours-fp32"),
    ("ours-int8", "plain-int8"),
    ("tvm", "onnx"),
    ("tvm", "plain-fp32"),
    ("tvm", "ours-fp32"),
    ("tvm", "tvm-2"),
    ("tvm", "tvm-default"),
)
_COUNTS = ("plain-fp32", "ours-fp32", "plain-int8", "ours-int8", "tvm")


def page(folder: Path) -> str:
    """All of docs/benchmarks/artifacts.md."""
    results, machine = read_results(folder)
    groups = {name: [each for each in results if each.group == name] for name in _GROUPS}
    groups = {name: found for name, found in groups.items() if found}
    parts = [_head(results, machine), _goals(groups), _peer_goals(groups)]
    for name, found in groups.items():
        parts += [f"## {_GROUPS[name]}\n", _networks(found), _latency(found), _ratios(found)]
        parts += [_models(found), _peers(found)]
    parts += [_sevens(results), _instructions(results), _faults(results), _versions(machine)]
    return "\n".join(part for part in parts if part)


def _head(results: Sequence[Result], machine: dict[str, Any]) -> str:
    timings = [result.facts["timing"] for result in results]
    loads = [load for timing in timings for load in timing["load"]]
    rounds = sorted({len(values) for timing in timings for values in timing["tools"].values()})
    vectors = ", ".join(machine["vectors"])
    lines = ["# Results: artifacts of every tool on the same networks\n"]
    if machine["note"]:
        lines.append(f"**{machine['note']}**\n")
    lines += [
        "Printed by `python benchmarks/artifacts.py table` from the results recorded in benchmarks/artifacts_results.",
        "`make bench-artifacts` makes everything again (`NETS=3`: three networks of each supernet).\n",
        f"Latency is x86 milliseconds of this machine, batch 1, one thread where nothing else is said: {machine['cpu']}"
        f"{' under a hypervisor' if machine['hypervisor'] else ''}, {machine['cores']} cores, {vectors},"
        f" {machine['system']}. All models of one network run in turn, {_span(rounds)} rounds; a turn's median is one"
        " value, ratios are taken within a round, and the interval behind a ratio is the 95 % bootstrap interval of its"
        " median over rounds. Copies of the input and the output are not in the time.\n",
        f"How busy the machine was: load average {min(loads):.1f} to {max(loads):.1f} around the measurements (about 1"
        " is the benchmark itself);"
        f" turns of one thread had a CPU for {_percent(min(timing['on_cpu'] for timing in timings))} to"
        f" {_percent(max(timing['on_cpu'] for timing in timings))} of their time.\n",
        "Conversion is CPU seconds of the whole process, imports included, from the torch network to the file;"
        " tools that start from ONNX have the export's seconds added. SNR is over all logits against torch.\n",
    ]
    return "\n".join(lines)


def _goals(groups: dict[str, list[Result]]) -> str:
    lines = [
        "## Against the goals\n",
        "Geometric mean over the networks, lowest and highest behind it. A goal is held against each network, but",
        "where it says that it is an average.\n",
        f"| goal | | {' | '.join(_SHORT[name] + ' | ' for name in groups)} |",
    ]
    lines.append("|---" * (2 + 2 * len(groups)) + "|")
    for goal in goals.GOALS:
        sign = "≤" if goal.side == "most" else "≥"
        lines.append(f"| {goal.title} | {sign} {goal.bound:g} | {_verdicts(goal, groups)} |")
    return "\n".join(lines) + "\n"


def _peer_goals(groups: dict[str, list[Result]]) -> str:
    lines = ["## Against litert-torch and onnx2tf\n"]
    lines.append(
        "Ours over theirs, on the networks that both converted. At or ahead: within 2 % of the time, 1 % of the"
    )
    lines.append("size, 0.5 points of top-1, 1 dB of SNR (above 100 dB all is rounding), no more seconds.\n")
    lines.append(f"| ours | | {' | '.join(_SHORT[name] + ' | ' for name in groups)} |")
    lines.append("|---" * (2 + 2 * len(groups)) + "|")
    for peer in goals.PEERS:
        for precision in ("fp32", "int8"):
            for goal in goals.peer_goals(peer, precision):
                if any(goals.row(goal, found) for found in groups.values()):
                    sign = "≤" if goal.side == "most" else "≥"
                    lines.append(f"| {goal.title} | {sign} {goal.bound:g} | {_verdicts(goal, groups)} |")
    return "\n".join(lines) + "\n"


def _verdicts(goal: goals.Goal, groups: dict[str, list[Result]]) -> str:
    rows = [goals.row(goal, found) for found in groups.values()]
    return " | ".join(" | ".join(row) if row else " | " for row in rows)


def _networks(results: Sequence[Result]) -> str:
    lines = ["| network | px | M MACs | depthwise | of them 7x7 | MACs in 7x7 |", "|---|---|---|---|---|---|"]
    for result in results:
        facts = result.facts
        lines.append(
            f"| {result.role} | {facts['subnet']['r']} | {facts['macs'] / 1e6:.3g} | {facts['depthwise']} "
            f"| {result.sevens} | {_percent(facts['macs_7x7'])} |"
        )
    return "\n".join(lines) + "\n"


def _latency(results: Sequence[Result]) -> str:
    shown = [name for name in _TIMED if any(result.ms(name) for result in results)]
    lines = ["### Latency, ms\n", f"| network | {' | '.join(_TITLES[name] for name in shown)} |"]
    lines.append("|---" * (1 + len(shown)) + "|")
    for result in results:
        lines.append(f"| {result.role} | {' | '.join(_ms(result.ms(name)) for name in shown)} |")
    return "\n".join(lines) + "\n"


def _ratios(results: Sequence[Result]) -> str:
    shown = [pair for pair in _RATIOS if any(result.ratio(*pair) for result in results)]
    lines = ["### Ratios of latency\n", f"| network | {' | '.join(' / '.join(map(_title, pair)) for pair in shown)} |"]
    lines.append("|---" * (1 + len(shown)) + "|")
    for result in results:
        lines.append(f"| {result.role} | {' | '.join(_ratio(result.ratio(*pair)) for pair in shown)} |")
    return "\n".join(lines) + "\n"


def _models(results: Sequence[Result]) -> str:
    """Size, answers and conversion of each tool, over all networks that it took."""
    lines = [
        "### Size, answers, conversion\n",
        "Medians over the networks; SNR and top-1 with the worst behind them.\n",
    ]
    lines += ["| tool | networks | MB | SNR, dB | top-1 lost against torch, points | CPU s |", "|---" * 6 + "|"]
    for tool in TOOLS:
        made = [r for r in results if r.tool(tool.name).get("size") and not r.fault(tool.name)]
        if not made or not tool.timed:
            continue
        found = [result.tool(tool.name) for result in made]
        lost = [100 * (each["top1_torch"] - each["top1"]) for each in found if "top1" in each]
        snrs = [each["snr_db"] for each in found if "snr_db" in each]
        lines.append(
            f"| {tool.title} | {len(made)} | {_median(each['size'] / 1e6 for each in found)} "
            f"| {_worst(snrs, min, '{:.0f}')} | {_worst(lost, max, '{:+.2f}')} "
            f"| {_median(result.cost(tool.name) or 0 for result in made)} |"
        )
    return "\n".join(lines) + "\n"


def _peers(results: Sequence[Result]) -> str:
    lines = ["### Beside litert-torch and onnx2tf\n"]
    lines += ["| network | tool | ms | ours / it | MB | SNR, dB | top-1 | CPU s |", "|---" * 8 + "|"]
    for result in results:
        for precision in ("fp32", "int8"):
            names = [f"{peer}-{precision}" for peer in goals.PEERS]
            if not any(result.tool(name) for name in names):
                continue
            ours = f"ours-{precision}"
            lines.append(_peer_row(result, ours, ours))
            lines += [_peer_row(result, name, ours) for name in names]
    return "\n".join(lines) + "\n" if len(lines) > 3 else ""


def _peer_row(result: Result, name: str, ours: str) -> str:
    fault, found = result.fault(name), result.tool(name)
    start = f"| {result.role} | {_TITLES[name]} |"
    if fault and not (found.get("size") and result.ms(name)):
        return f"{start} {fault} | | | | | |"
    top1 = f"{100 * found['top1']:.2f}" if "top1" in found else ""
    ratio = _ratio(result.ratio(ours, name)) if name != ours else ""
    return (
        f"{start} {_ms(result.ms(name))} | {ratio} | {found['size'] / 1e6:.3g} | {found.get('snr_db', '')}"
        f"{' (wrong)' if fault else ''} | {top1} | {result.cost(name) or 0:.0f} |"
    )


def _sevens(results: Sequence[Result]) -> str:
    lines = ["## What the share of 7x7 does\n"]
    lines.append("Our fp32 over plain fp32, by how many of a network's depthwise convolutions are 7x7.\n")
    lines += [
        "| 7x7 of depthwise | networks | our fp32 / plain fp32, geometric mean | lowest | highest |",
        "|---" * 5 + "|",
    ]
    bands = ((0, 0, "none"), (1e-9, 0.25, "up to a quarter"), (0.25, 0.5, "to a half"), (0.5, 1, "more"))
    for group in _GROUPS:
        for low, high, title in bands:
            values = [
                found.value
                for result in results
                if result.group == group and _within(result.sevens / result.facts["depthwise"], low, high)
                if (found := result.ratio("ours-fp32", "plain-fp32"))
            ]
            if values:
                lines.append(
                    f"| {_SHORT[group]}: {title} | {len(values)} | {geometric(values):.2f} | {min(values):.2f} "
                    f"| {max(values):.2f} |"
                )
    return "\n".join(lines) + "\n"


def _within(share: float, low: float, high: float) -> bool:
    return share == 0 if high == 0 else low < share <= high


def _instructions(results: Sequence[Result]) -> str:
    lines = ["## Instructions on emulated cores, million an inference\n", "Counted under QEMU; not a time.\n"]
    lines += [f"| network | core | {' | '.join(_TITLES[name].split(',')[0] for name in _COUNTS)} |"]
    lines.append("|---" * (2 + len(_COUNTS)) + "|")
    rows = []
    for result in results:
        for core in COUNTED_CORES:
            tvm = f"tvm-{core.removeprefix('cortex-')}"
            counts = [result.instructions(tvm if name == "tvm" else name, core) for name in _COUNTS]
            if any(counts):
                cells = " | ".join(f"{count / 1e6:.1f}" if count else "" for count in counts)
                rows.append(f"| {result.group}-{result.role} | {core} | {cells} |")
    return "\n".join([*lines, *rows]) + "\n" if rows else ""


def _faults(results: Sequence[Result]) -> str:
    """Everything that gave nothing usable, with its reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for result in results:
        for tool in TOOLS:
            fault = result.fault(tool.name)
            if fault:
                reasons.setdefault((tool.name, fault), []).append(f"{result.group}-{result.role}")
            for core, count in result.tool(tool.name).get("instructions", {}).items():
                if isinstance(count, str):
                    reasons.setdefault((tool.name, f"{core}: {count}"), []).append(f"{result.group}-{result.role}")
    if not reasons:
        return "## What failed\n\nNothing.\n"
    rows = [f"| {name} | {', '.join(nets)} | {why.replace('|', '/')} |" for (name, why), nets in reasons.items()]
    return "\n".join(["## What failed\n", "| tool | networks | reason |", "|---|---|---|", *rows]) + "\n"


def _versions(machine: dict[str, Any]) -> str:
    def named(versions: dict[str, str]) -> str:
        return ", ".join(f"{name} {version}" for name, version in versions.items())

    lines = [
        "## Versions\n",
        f"- ours, plain, ONNX Runtime, TVM: Python {machine['python']}, {named(machine['versions'])}",
    ]
    lines += [f"- {peer}: {named(versions)}" for peer, versions in machine["peers"].items()]
    lines.append(
        "\nlitert-torch takes int8 from ai-edge-quantizer (static), onnx2tf from its own option for full integer"
    )
    lines.append(
        "quantisation; both got the calibration images of ours. onnx2tf writes six files for int8, it has no option for"
    )
    lines.append(
        "fewer. Peers, plain int8, TVM's default and emulated cores take only the first networks: they are slow."
    )
    return "\n".join(lines) + "\n"


def _title(name: str) -> str:
    return _TITLES[name].replace("TFLite ", "")


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if value < 1 else f"{value:.1f}"


def _ratio(ratio: Ratio | None) -> str:
    return "" if ratio is None else f"{ratio.value:.2f} ({ratio.low:.2f}-{ratio.high:.2f})"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _span(values: Sequence[int]) -> str:
    return str(values[0]) if len(values) == 1 else f"{values[0]} to {values[-1]}"


def _median(values: Iterable[float]) -> str:
    return f"{statistics.median(values):.3g}"


def _worst(values: Sequence[float], pick: Callable[[Sequence[float]], float], form: str) -> str:
    if not values:
        return ""
    worst = form.format(pick(values))
    return f"{form.format(statistics.median(values))} ({worst})"
