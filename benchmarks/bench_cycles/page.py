"""The page of benchmarks/modelled_cycles.py, out of its results."""

from collections.abc import Mapping
from typing import Any

_RIVALS = ("instructions", "the latency model")
_GROUPS = ("all", "fp32", "int8", "v1 fp32", "v1 int8", "v2 fp32", "v2 int8")
_HEAD = """# Modelled cycles

Printed by `python benchmarks/modelled_cycles.py table` from `benchmarks/modelled_cycles_results.json`, which `run` and
`fit` wrote ({llvm}; {emulator}; LiteRT {litert}). No figure of this page was measured on a board by us: the
times that ranks are held against are published ones.

**What they are.** LLVM's scheduling model of a Cortex-A72 says what each block of code takes when all it loads is in
the nearest cache; a simulation of its two caches (32 KiB in 2 ways, 1 MiB in 16, lines of 64 bytes) says how many lines
come from memory. How much each weighs was fitted to published times of {networks} networks on a Raspberry Pi 4:
MobileNet V1 and V2 in fp32 and int8, TFLite 2.4.1, MLPerf Inference v1.0; threads not recorded, most likely four, so
memory weighs what it does beside four busy cores. Each network was run with random weights, one thread, in TFLite's own
kernels, as those were.

## Families held out

V1 is predicted by coefficients fitted to V2, and V2 by those fitted to V1, both precisions at once. The latency model
is the shipped one, fitted to everything else on all devices. Spearman's rank correlation with the published
times, then the mean absolute error.

"""


def page(results: Mapping[str, Any]) -> str:
    """The whole page."""
    fits = results["fits"]
    head = _HEAD.format(**{key: results[key] for key in ("llvm", "emulator", "litert")}, networks=fits["networks"])
    lines = [head.rstrip(), "", *_held_out(fits), "", *_decision(fits), "", *_weights(fits), "", *_elsewhere(fits)]
    return "\n".join(lines) + "\n"


def _held_out(fits: Mapping[str, Any]) -> list[str]:
    lines = [f"| predicted by | {' | '.join(_GROUPS)} |", f"|---|{'---|' * len(_GROUPS)}"]
    for name, merits in fits["held_out"].items():
        cells = [f"{merits[group][0]:.3f}, {100 * merits[group][1]:.0f} %" for group in _GROUPS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _decision(fits: Mapping[str, Any]) -> list[str]:
    ours = fits["held_out"]["modelled cycles"]
    beaten = [all(ours[g][0] > fits["held_out"][name][g][0] for g in ("all", "fp32", "int8")) for name in _RIVALS]
    words = "They ship" if all(beaten) else "They do not ship"
    lines = [
        "They were to ship if they rank held-out families better than both instructions and the latency model, "
        f"over all and in each precision. **{words}**, for a Cortex-A72 alone. By how much they rank better over all, "
        "95 % when whole widths of a family are drawn again:",
        "",
    ]
    for name in _RIVALS:
        low, high = fits["lead"][name]
        sure = "" if low > 0 else ": chance may explain it"
        lines.append(f"- than {name}: {low:+.3f} to {high:+.3f}{sure};")
    lines[-1] = lines[-1].rstrip(";") + "."
    worse = [
        f"{group} ({ours[group][0]:.3f}; {name} {fits['held_out'][name][group][0]:.3f})"
        for group in _GROUPS[3:]
        for name in _RIVALS
        if ours[group][0] < fits["held_out"][name][group][0]
    ]
    if worse:
        lines += ["", f"Within one family and precision they rank worse in: {', '.join(worse)}."]
    return lines


def _weights(fits: Mapping[str, Any]) -> list[str]:
    core, near, far, constant = fits["coefficients"]["modelled cycles"]
    return [
        "## Coefficients",
        "",
        f"Fitted to all {fits['networks']}, in cycles of the core: a line that misses both caches "
        f"{far / core:.0f}, one that hits the second {near / core:.0f}, a constant {constant / core / 1e6:.1f} "
        "million. The constant is the same for every network and changes no ranks; it would hide what changed in a "
        "small one, and is left out of what ships.",
    ]


def _elsewhere(fits: Mapping[str, Any]) -> list[str]:
    cells, lines = fits["cells"], ["## Where they may fail", ""]
    ranks = ", ".join(f"{name} {cells[name]:.3f}" for name in ("modelled cycles", *_RIVALS))
    best = cells["modelled cycles"] > max(cells[name] for name in _RIVALS)
    lines += [
        f"Another family, fitted to nowhere: {cells['networks']} networks of NAS-Bench-201 on a Raspberry Pi 4 "
        f"(HW-NAS-Bench, fp32, another version of TFLite, most likely one thread). Spearman: {ranks}. "
        f"So they rank {'better' if best else 'no better'} there, where all networks are of one precision.",
        "",
        "Another runtime: MobileNets 1.0 at 224 px by XNNPACK, which the files that are built here run in. The "
        "coefficients are those of TFLite's own kernels. What the fit makes of the counts, over the published time:",
        "",
        "| network | fit / published |",
        "|---|---|",
    ]
    lines += [f"| {name.removeprefix('xnnpack-')} | {said / ms:.2f} |" for name, (ms, said) in fits["xnnpack"].items()]
    return [
        *lines,
        "",
        "One thread is counted: how work is shared among cores is not seen. LLVM takes a block of code as a loop of "
        "itself, and its model of a Cortex-A72 is that of a Cortex-A57. Prefetching is in the weights alone. Of "
        "other cores no published times are at hand that would tell whether any of this holds, and they get none.",
    ]
