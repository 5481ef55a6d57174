"""The page of benchmarks/search.py, out of its results."""

from typing import Any

import numpy as np

_NAMES = {
    "front": "ofa-edge, whole front in one run",
    "focused": "ofa-edge, the five budgets in focus",
    "single": "ofa-edge, a run for each budget",
    "nsga2": "pymoo NSGA-II, one run",
    "reference": "reference evolution, a run for each budget",
}
_ROUNDING = 1e-4  # points: float32 sums in another order
_HEAD = """# Search

Printed by `python benchmarks/search.py table` from `benchmarks/search_results.json`, which `python benchmarks/search.py
run` wrote. Predicted top-1 in percent; every method sees the same predictor and the same latency table, in one process
and one thread, the methods in turn for each seed. The reference is the published package's own code (PyPI `ofa`,
`tutorial/evolution_finder.py`), 100 subnets and 500 generations; it answers one budget a run, so that
five budgets cost it five times the calls.

"""


def page(results: dict[str, Any], default_fractions: tuple[float, ...]) -> str:
    """The whole page."""
    runs = results["runs"]
    lines = [
        _HEAD + f"Ground: {results['source']}. {results['machine']}; load {results['load']} at the end.",
        "",
        f"## At {results['calls']:,} predictor calls a run, {results['seeds']} seeds",
        "",
        *_found(runs, results),
        "",
        "## After equal time",
        "",
        "Mean of the best predicted top-1, that many seconds after the start of a run.",
        "",
        *_after(runs, results),
        "",
        "## Time to the reference's final value",
        "",
        "Wall time of the reference's whole run (it has no stopping rule) over the time until another method had found "
        "as good a subnet: same budget, same seed. `never`: runs that did not.",
        "",
        *_reached(runs, results, "seconds"),
        "",
        "The same, over the time at which the reference itself first found the subnet that it ended with:",
        "",
        *_reached(runs, results, "reached_s"),
        "",
        "## Goals",
        "",
        *_goals(runs, results),
        "",
        "## The embedded default on a Raspberry Pi 4",
        "",
        f"Whole front, {results['default'][0]['calls']:,} predictor calls, fitted predictor, the target's latency "
        "model. By how much any subnet within the budget may be predicted better, in points of top-1, the largest over "
        "seeds: the upper bound (Lagrangian relaxation) less what was found.",
        "",
        *_default(results, default_fractions),
        "",
    ]
    return "\n".join(lines)


def _of(runs: list[dict[str, Any]], method: str, budget: float) -> tuple[list[dict[str, Any]], list[int]]:
    """Runs of a method that answer a budget, and where in them it stands."""
    own = [each for each in runs if each["method"] == method and budget in each["budgets_ms"]]
    return own, [each["budgets_ms"].index(budget) for each in own]


def _values(runs: list[dict[str, Any]], method: str, budget: float) -> np.ndarray:
    own, places = _of(runs, method, budget)
    return np.array([100 * each["found"][place] for each, place in zip(own, places, strict=True)])


def _head(results: dict[str, Any], first: str, last: str = "") -> list[str]:
    budgets = [
        f"{ms:.1f} ms ({fraction:.0%})"
        for ms, fraction in zip(results["budgets_ms"], results["fractions"], strict=True)
    ]
    cells = [first, *budgets, *([last] if last else [])]
    return ["| " + " | ".join(cells) + " |", "|" + "---|" * len(cells)]


def _found(runs: list[dict[str, Any]], results: dict[str, Any]) -> list[str]:
    lines = _head(results, "best seed (spread over seeds)", "s for all five")
    for method, name in _NAMES.items():
        values = [_values(runs, method, budget) for budget in results["budgets_ms"]]
        cells = [f"{each.max():.3f} ({np.ptp(each):.3f})" for each in values]
        total = sum(each["seconds"] for each in runs if each["method"] == method) / results["seeds"]
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {total:.1f} |")
    return lines


def _after(runs: list[dict[str, Any]], results: dict[str, Any]) -> list[str]:
    lines = _head(results, "method, seconds")
    for method, name in _NAMES.items():
        for limit in runs[0]["after_s"]:
            cells = []
            for budget in results["budgets_ms"]:
                own, places = _of(runs, method, budget)
                values = [each["after_s"][limit][place] for each, place in zip(own, places, strict=True)]
                cells.append(f"{100 * np.mean(values):.3f}" if min(values) > 0 else "-")
            lines.append(f"| {name}, {limit} s | " + " | ".join(cells) + " |")
    return lines


def _ratios(runs: list[dict[str, Any]], method: str, budget: float, clock: str) -> tuple[list[float], int]:
    """How many times sooner each run reached the reference's final value, and how many never did.

    `clock` is what of the reference is compared: its whole time ("seconds") or that of its last gain ("reached_s").
    """
    own, places = _of(runs, method, budget)
    theirs = _of(runs, "reference", budget)[0]
    whole = {each["seed"]: each[clock] if clock == "seconds" else each[clock][0] for each in theirs}
    reached = [(each["seed"], each["reached_s"][place]) for each, place in zip(own, places, strict=True)]
    return [whole[seed] / seconds for seed, seconds in reached if seconds], sum(not s for _, s in reached)


def _reached(runs: list[dict[str, Any]], results: dict[str, Any], clock: str) -> list[str]:
    lines = _head(results, "median, least .. most")
    for method, name in _NAMES.items():
        if method == "reference":
            continue
        cells = []
        for budget in results["budgets_ms"]:
            ratios, never = _ratios(runs, method, budget, clock)
            words = f"{np.median(ratios):.0f}x, {min(ratios):.0f} .. {max(ratios):.0f}" if ratios else ""
            cells.append(words + (f"{words and '; '}never: {never}" if never else ""))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def _goals(runs: list[dict[str, Any]], results: dict[str, Any]) -> list[str]:
    """The goals: quality at equal calls for each budget, and in the whole front's run with a fifth of them; time."""
    budgets = results["budgets_ms"]
    pairs = [_ratios(runs, "single", b, "seconds") for b in budgets]
    ratios, never = [ratio for found, _ in pairs for ratio in found], sum(missed for _, missed in pairs)
    median = float(np.median(ratios)) if ratios else 0.0
    slowest = min(float(np.median([*found, *[0.0] * missed])) for found, missed in pairs)
    kept = sum(ratio >= 50 for ratio in ratios)
    sooner = [ratio for b in budgets for ratio in _ratios(runs, "single", b, "reached_s")[0]]
    return [
        *_quality(runs, budgets, "single", "at equal calls, a run for each budget"),
        *_quality(runs, budgets, "front", "the whole front's run, a fifth of the calls"),
        f"- time to the reference's final value, a run for each budget: {median:.0f} times less than its run takes "
        f"in the median, {slowest:.0f} in the median of the worst budget (goal: 50): {_verdict(slowest >= 50)}; "
        f"{min(ratios, default=0):.0f} in the worst run, 50 or more in {kept} of {len(ratios) + never} runs, "
        f"{never} never; counted from its own last gain, {np.median(sooner) if sooner else 0:.0f} in the median",
    ]


def _quality(runs: list[dict[str, Any]], budgets: list[float], method: str, words: str) -> list[str]:
    worst = [_values(runs, method, b).min() - _values(runs, "reference", b).max() for b in budgets]
    spread = max(float(np.ptp(_values(runs, method, b))) for b in budgets)
    kept = sum(each >= -_ROUNDING for each in worst)
    return [
        f"- {words}: worst seed less the reference's best seed {min(worst):+.3f} points on the worst budget, 0 or more "
        f"on {kept} of {len(worst)} (goal: all): {_verdict(kept == len(worst))}; largest spread over seeds "
        f"{spread:.3f} points (goal: under 0.1): {_verdict(spread < 0.1)}",
    ]


def _verdict(met: bool) -> str:
    return "met" if met else "not met"


def _default(results: dict[str, Any], fractions: tuple[float, ...]) -> list[str]:
    rows = results["default"]
    cells = [f"{100 * max(row['gaps'][i] for row in rows):.4f}" for i in range(len(fractions))]
    seconds = np.median([row["seconds"] for row in rows])
    return [
        "| share of the largest's latency | " + " | ".join(f"{each:.0%}" for each in fractions) + " | s |",
        "|" + "---|" * (len(fractions) + 2),
        "| gap, points | " + " | ".join(cells) + f" | {seconds:.1f} |",
    ]
