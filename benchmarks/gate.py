"""What the nightly gate says over years of simulated nights: false alarms, and planted regressions.

    python benchmarks/gate.py record                 # 10,000 nights of each device, about 3 minutes on one core
    python benchmarks/gate.py table > docs/benchmarks/gate.md

The devices are the noise models of `ofa_edge.testing.noise`; the gate is the code that `ofa-edge nightly` runs, called
night by night with the history that it would have. Each device carries three series, as Holm's correction sees them.
"""

import argparse
import json
import math
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.files import write_json
from ofa_edge.testing.noise import MODELS, NoiseModel, simulate
from ofa_edge.verify.night import Decision, Night, judge_night
from ofa_edge.verify.regression import DEFAULT_RULES, Colour, Past, Sessions, in_pairs

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "benchmarks" / "gate.json"
NIGHTS, WARM = 10_000, 30
SERIES = ("planted", "second", "third")  # of each device
PLANTED = SERIES[0]
SLOW_NIGHTS, SLOW_STARTS = 15, 100
GOALS = {"stock phone": 0.5, "locked board": 0.95}


class Device:
    """One simulated device with its series, night after night."""

    def __init__(self, model: NoiseModel, nights: int, seed: int) -> None:
        """Simulate all nights ahead; each series has noise of its own on the same epochs."""
        sessions, runs = 2 * DEFAULT_RULES.pairs, 2 * (1 + DEFAULT_RULES.retries)
        self.series = {
            name: simulate(model, nights, sessions, seed + 1000 * index, runs) for index, name in enumerate(SERIES)
        }
        self.epochs = self.series[PLANTED].epochs
        self.pasts = {name: Past() for name in SERIES}

    def judge(self, night: int, slower: float = 0.0) -> Night:
        """One night, with the candidate of the first series `slower` (log ratio)."""
        runs = Counter()

        def measure(name: str) -> Sessions:
            factors = self.series[name].factors[night, runs[name]]
            runs[name] += 1
            factor = math.exp(slower) if name == PLANTED else 1.0
            sessions = in_pairs(factors.tolist())
            return replace(sessions, candidate=tuple(value * factor for value in sessions.candidate))

        return judge_night(measure, self.pasts, str(self.epochs[night]))


def false_alarms(model: NoiseModel, nights: int, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """A/A nights with their history, and beside each of them one with +10 % planted in one series."""
    device = Device(model, nights, seed)
    alarms, planted, visible, runs = Tally(), Tally(), [], 0
    for number in range(nights):
        night = device.judge(number)
        runs += night.runs
        for decision in night.decisions.values():
            alarms.add(decision)
            visible += [] if decision.visible is None else [math.expm1(decision.visible)]
        if number >= WARM:  # leaves no trace in the history
            planted.add(device.judge(number, math.log(1.10)).decisions[PLANTED])
        device.pasts = dict(night.pasts)
    factors = device.series[PLANTED].factors[:, 0]
    facts = {
        "runs_per_series": runs / nights / len(SERIES),
        "visible": [float(value) for value in np.quantile(visible, (0.1, 0.5, 0.9))],
        # What the usual gate makes of the same nights: tonight's median over 5 % above last night's.
        "usual_gate": float(np.mean(np.diff(_medians(factors)) > math.log(1.05))),
        "pair_spread": float(np.nanstd(np.log(factors[:, 1]) - np.log(factors[:, 0])) / math.sqrt(2)),
        # Of single sessions within a month, which is what published coefficients of variation are of.
        "month_spread": float(np.mean([np.nanstd(np.log(factors[at : at + 30, 0])) for at in range(0, nights, 30)])),
    }
    return {**alarms.to_json(), **facts}, planted.to_json()


def _medians(factors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of each night's median, of nights that have one."""
    whole = factors[np.isfinite(factors).any(axis=1)]
    return np.log(np.nanmedian(whole, axis=1))


class Tally:
    """How often each verdict came, and why."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.colours: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()

    def add(self, decision: Decision) -> None:
        """Count one."""
        self.colours[decision.colour.value] += 1
        self.codes[f"{decision.colour.value} {decision.code}"] += 1

    def to_json(self) -> dict[str, Any]:
        """For the record."""
        return {"total": self.colours.total(), "colours": dict(self.colours), "codes": dict(self.codes)}


def slow(model: NoiseModel, starts: int, seed: int, ramp: int) -> dict[str, Any]:
    """How many nights a lasting +4 % takes to be YELLOW or RED, reached in `ramp` equal steps after 30 quiet nights."""
    reached, before = [], 0
    for start in range(starts):
        device = Device(model, WARM + SLOW_NIGHTS, seed + start)
        for number in range(WARM + SLOW_NIGHTS):
            after = number - WARM + 1
            night = device.judge(number, math.log(1.04) * min(max(after, 0) / ramp, 1.0))
            device.pasts = dict(night.pasts)
            alarm = night.decisions[PLANTED].colour in (Colour.YELLOW, Colour.RED)
            if alarm and after >= 1:
                reached.append(after)
                break
            before += alarm
    return {
        "starts": starts, "ramp": ramp, "within": len(reached) / starts,
        "median_nights": float(np.median(reached)) if reached else None, "alarms_before": before / starts / WARM,
    }  # fmt: skip


def record(nights: int, starts: int, seed: int = 20_000) -> dict[str, Any]:
    """Everything the page shows."""
    found = {}
    for model in MODELS:
        alarms, planted = false_alarms(model, nights, seed)
        slowly = [slow(model, starts, seed + 77, ramp) for ramp in (1, 10)]
        found[model.name] = {"model": asdict(model), "aa": alarms, "planted": planted, "slow": slowly}
    return {"rules": asdict(DEFAULT_RULES), "series": SERIES, "devices": found}


def page(found: dict[str, Any]) -> str:
    """The results page."""
    lines = [
        "# The nightly gate, proved on simulated devices",
        "",
        "Printed by `python benchmarks/gate.py table` from `benchmarks/gate.json`, which the command",
        "`python benchmarks/gate.py record` makes again, byte for byte, in 3 to 6 minutes. The gate is the code that",
        "`ofa-edge nightly` runs. The devices are the noise models of `ofa_edge.testing.noise`, whose figures come",
        f"from published spreads, not from this page; each carries {len(found['series'])} series. Nothing here was",
        "measured on hardware.",
        "",
        '| device | scatter within a run | scatter within a month | nights on which "5 % over last night" cries |',
        "|---|---|---|---|",
    ]
    devices = {model.name: found["devices"][model.name] for model in MODELS}
    for name, each in devices.items():
        aa = each["aa"]
        figures = (aa["pair_spread"], aa["month_spread"], aa["usual_gate"])
        lines.append(f"| {name} | " + " | ".join(f"{value:.1%}".replace("%", " %") for value in figures) + " |")
    lines += ["", "## The same artifact on both sides", ""]
    lines += [
        "| device | series-nights | RED | at most | YELLOW | INCONCLUSIVE | GREEN | seen from (10/50/90 %) | runs |"
    ]
    lines += ["|---|---|---|---|---|---|---|---|---|"]
    for name, each in devices.items():
        aa = each["aa"]
        shares = [_share(aa, colour) for colour in ("YELLOW", "INCONCLUSIVE", "GREEN")]
        seen = " / ".join(f"{100 * value:.0f}" for value in aa["visible"])
        red = aa["colours"].get("RED", 0)
        bound = f"{100 * _upper(red, aa['total']):.3f} %"
        cells = [name, str(aa["total"]), str(red), bound, *shares, f"{seen} %", f"{aa['runs_per_series']:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "", "Goal: RED on under 0.1 % of series-nights; \"at most\" is the upper end of 95 % certainty.",
        "\"Seen from\" is what the gate itself reports each night: the smallest regression that it could have called",
        "RED. \"Runs\" counts runs of 8 pairs a series and night.",
        "", "## +10 % planted in one series, the same night", "",
        "| device | nights | RED | YELLOW | INCONCLUSIVE | GREEN | goal |", "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, each in devices.items():
        planted = each["planted"]
        shares = [_share(planted, colour) for colour in ("RED", "YELLOW", "INCONCLUSIVE", "GREEN")]
        goal = f"RED over {100 * GOALS[name]:.0f} %" if name in GOALS else "-"
        lines.append("| " + " | ".join([name, str(planted["total"]), *shares, goal]) + " |")
    lines += [
        "",
        "## A lasting +4 %",
        "",
        "| device | comes | YELLOW or RED within 15 nights | nights (median) | alarms before, a night |",
    ]
    lines += ["|---|---|---|---|---|"]
    for name, each in devices.items():
        for slowly in each["slow"]:
            comes = "at once" if slowly["ramp"] == 1 else f"over {slowly['ramp']} nights"
            cells = [name, comes, f"{slowly['within']:.1%} of {slowly['starts']}".replace("%", " %")]
            lines.append(
                "| "
                + " | ".join([*cells, f"{slowly['median_nights']:.0f}", f"{100 * slowly['alarms_before']:.1f} %"])
                + " |"
            )
    lines += ["", "## Why", "", "Reasons on nights without a regression:", ""]
    for name, each in devices.items():
        codes = sorted(each["aa"]["codes"].items(), key=lambda item: -item[1])
        words = ", ".join(f"{code} {100 * count / each['aa']['total']:.2f} %" for code, count in codes)
        lines.append(f"- {name}: {words}")
    return "\n".join(lines) + "\n"


def _share(tally: dict[str, Any], colour: str) -> str:
    return f"{100 * tally['colours'].get(colour, 0) / tally['total']:.1f} %"


def _upper(count: int, total: int) -> float:
    """One-sided 95 % Clopper-Pearson bound of a share."""
    from scipy.stats import beta

    return float(beta.ppf(0.95, count + 1, total - count))


def main() -> None:
    """Run a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("record", "table"))
    parser.add_argument("--nights", type=int, default=NIGHTS)
    parser.add_argument("--starts", type=int, default=SLOW_STARTS)
    parser.add_argument("--results", type=Path, default=RECORD)
    options = parser.parse_args()
    if options.command == "record":
        write_json(options.results, record(options.nights, options.starts))
    else:
        print(page(json.loads(options.results.read_bytes())), end="")


if __name__ == "__main__":
    main()
