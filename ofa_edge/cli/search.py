"""`ofa-edge search`: the search alone, nothing measured."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ofa_edge.cli.answer import Answer, command, wants_json
from ofa_edge.cli.console import Finite, same_options, table
from ofa_edge.cli.constraint_options import constraint_options, take_constraints
from ofa_edge.cli.options import (
    outside_key_option,
    precision_option,
    runtime_option,
    supernet_option,
    target_option,
)

if TYPE_CHECKING:
    from ofa_edge.search.front import Candidate, Front
    from ofa_edge.workflows.build.plan import SearchPlan

ROWS = 16  # of the front that are printed
ALTERNATIVES, DISTANCE = 8, 8
INTERRUPTED = 130


@command("search")
@target_option(required=False)
@click.option("--fleet", metavar="NAME=20ms,...", help="Several targets with their budgets, in place of --target.")
@click.option("--max-models", type=click.IntRange(min=1), help="Subnets for the fleet, at most.")
@click.option("--sustained", is_flag=True, help="Search on the target's speed when it is warm (where that is known).")
@click.option("--latency-ms", type=float, help="Budget. Default: the target's share of the largest subnet's latency.")
@precision_option
@runtime_option
@supernet_option()
@outside_key_option
@click.option("--untrained", is_flag=True, help="Random weights for a published supernet; MACs are maximised.")
@constraint_options
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--evaluations", type=click.IntRange(min=1), default=20_000, show_default=True, help="Predictor calls, at most."
)
@click.option("--seconds", type=Finite(0, min_open=True), help="Stop after so long, with the front so far.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw the front, as .svg or .png.")
def search_command(
    evaluations: int,
    seconds: float | None,
    fleet: str | None,
    max_models: int | None,
    plot: Path | None,
    **options: Any,
) -> Answer:
    """Find the front of accuracy against latency on a target, and pick from it. Accuracy is predicted; build measures.

    Ctrl-C ends the search with the front so far.
    """
    from ofa_edge.cli.bars import Bars
    from ofa_edge.cli.build import build_command
    from ofa_edge.cli.fleet import fleet_json, fleet_text, require_one, search_fleet_command
    from ofa_edge.errors import ConfigError
    from ofa_edge.search.evolution import SearchOptions
    from ofa_edge.workflows.build.base import BuildOptions
    from ofa_edge.workflows.build.plan import make_plan
    from ofa_edge.workflows.build.search import chosen_candidates, predicted_search

    constraints = take_constraints(options)
    require_one(options["target"], fleet, max_models, options["latency_ms"])
    _require_plot(plot, fleet)
    following = f"next: ofa-edge build {same_options(click.get_current_context(), build_command)}"
    if fleet is not None:
        if seconds is not None:
            raise ConfigError("--seconds with --fleet", "a fleet has many searches", "--evaluations N, of each")
        del options["target"]
        found = search_fleet_command(fleet, max_models, evaluations, {**options, "constraints": constraints})
        code = INTERRUPTED if found.interrupted else 0
        return Answer(fleet_json(found), f"{fleet_text(found)}\n{following}", code)
    plan = make_plan(BuildOptions(device="none", constraints=constraints, **options), claim=False, images=False).search
    with Bars(quiet=wants_json() or not sys.stderr.isatty()) as bars:

        def told(done: int) -> None:
            bars.update("search", min(done / evaluations, 1.0), f"{done:,} of {evaluations:,} subnets evaluated")

        front = predicted_search(plan, SearchOptions(evaluations=evaluations, seconds=seconds), told)
    best = chosen_candidates(plan, front, ALTERNATIVES)
    if plot is not None:
        _plot(plan, front, plot)
    leads_on = best and plan.runtime.why_not_made(plan.target) is None
    text = _words(plan, front, best) + (f"\n{following}" if leads_on else "")
    return Answer(_facts(plan, front, best), text, INTERRUPTED if front.interrupted == "interrupted" else 0)


def _rows(plan: "SearchPlan", items: "tuple[Candidate, ...]") -> list[dict[str, Any]]:
    """Subnets with their predictions and further quantities, as JSON."""
    from ofa_edge.workflows.build.constraints import quantities

    if not items:
        return []
    genomes = plan.package.space.genome([item.subnet for item in items])
    further = {
        name: measure(genomes).tolist()
        for name, measure in quantities(plan.package.space, plan.runtime, plan.precision).items()
    }
    return [
        {
            "id": item.subnet.id,
            "subnet": item.subnet.config(),
            "latency_ms": item.latency_ms,
            "score": item.accuracy,
            **{name: values[index] for name, values in further.items()},
        }
        for index, item in enumerate(items)
    ]


def _facts(plan: "SearchPlan", front: "Front", best: "tuple[Candidate, ...]") -> dict[str, Any]:
    from ofa_edge.search.front import NoBound

    bound = front.bound
    known = not isinstance(bound, NoBound)
    points = _rows(plan, front.points)
    for row in points:
        row["bound"] = bound.at(row["latency_ms"]) if known else None
    return {
        "budget_ms": plan.budget_ms,
        "objective": "top1" if plan.predictor else "macs",
        "ranked_by": plan.ranked.by,
        "ranked_why": plan.ranked.why,
        "best": _rows(plan, best),
        "bound": bound.at(plan.budget_ms) if known else None,
        "no_bound": bound.reason if isinstance(bound, NoBound) else None,
        "front": points,
        "evaluations": front.evaluations,
        "interrupted": front.interrupted or None,
    }


def _words(plan: "SearchPlan", front: "Front", best: "tuple[Candidate, ...]") -> str:
    from ofa_edge.search.front import NoBound

    points = front.points
    step = max(1, -(-len(points) // ROWS))
    shown = tuple(reversed(points[::-1][::step]))
    bound = None if isinstance(front.bound, NoBound) else front.bound
    parts = [
        f"front of {len(points)} subnets, {len(shown)} of them:",
        _table(plan, shown, [bound.at(item.latency_ms) for item in shown] if bound else None),
        f"\nwithin {plan.budget_ms:.3g} ms:" if plan.constraints.min_accuracy is None else "\nfastest:",
        _table(plan, best, None) if best else "  none of that accuracy yet",
        "",
        f"budget {plan.budget_ms:.3g} ms, {front.evaluations} subnets evaluated",
        f"the search {plan.ranked}",
    ]
    if plan.ranked.measures_more:
        parts.append(f"the choice is left to build, which measures up to {plan.measure} candidates")
    if isinstance(front.bound, NoBound):
        parts.append(f"no bound: {front.bound.reason}")
    elif plan.constraints.min_accuracy is None:
        gap = front.gap(plan.budget_ms)
        words = f"{100 * gap:.3f} points" if plan.predictor else f"{1e-6 * gap:.3f} M MACs"
        limits = ", the other limits left out" if plan.limits else ""
        parts.append(f"no subnet within the budget is predicted more than {words} better (upper bound{limits})")
    if front.interrupted:
        parts.append(f"INCOMPLETE: {front.interrupted}; this is the best front so far")
    return "\n".join(parts)


def _table(plan: "SearchPlan", items: "tuple[Candidate, ...]", bounds: list[float] | None) -> str:
    from ofa_edge.metrics import METRIC_NAMES

    scale, unit = 1e-6, "M MACs"
    if plan.predictor:
        name = METRIC_NAMES[plan.predictor.metric]
        scale, unit = 100.0, f"{name} by MACs" if plan.ranked.measures_more else f"predicted {name}"
    rows = _rows(plan, items)
    sized = "size_bytes" in rows[0]
    head = ["subnet", "d", "r", "predicted ms", unit, *(["bound"] if bounds else []), "M MACs"]
    lines = [[*head, *(["kB"] if sized else []), "maps kB"]]
    for index, (item, row) in enumerate(zip(items, rows, strict=True)):
        lines.append(
            [
                item.subnet.id,
                ",".join(str(depth) for depth in item.subnet.depths),
                str(item.subnet.resolution),
                f"{item.latency_ms:.3g}",
                f"{scale * item.accuracy:.2f}",
                *([f"{scale * bounds[index]:.2f}"] if bounds else []),
                f"{1e-6 * row['macs']:.2f}",
                *([f"{1e-3 * row['size_bytes']:.0f}"] if sized else []),
                f"{1e-3 * row['memory_bytes']:.0f}",
            ]
        )
    if not plan.predictor:  # MACs are the score: one column of them is enough
        drop = len(head) - 1
        lines = [line[:drop] + line[drop + 1 :] for line in lines]
    return table(lines, right=tuple(range(2, len(lines[0]))))


def _require_plot(plot: Path | None, fleet: str | None) -> None:
    """Refuse, before the search, what cannot be drawn."""
    from ofa_edge.errors import ConfigError
    from ofa_edge.report.picture import require_picture

    if plot is None:
        return
    require_picture(plot)
    if fleet is not None:
        raise ConfigError("--plot with --fleet", "a picture is of one target", "--target NAME --plot FILE")


def _plot(plan: "SearchPlan", front: "Front", file: Path) -> None:
    from ofa_edge.report.picture import write_picture
    from ofa_edge.workflows.build.search_picture import search_picture

    write_picture(file, search_picture(plan, front))
    click.echo(f"wrote {file}", err=True)
