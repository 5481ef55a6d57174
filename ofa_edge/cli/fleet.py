"""`--fleet` of `ofa-edge search` and `ofa-edge build`: several targets at once."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ofa_edge.cli.answer import Answer, wants_json
from ofa_edge.cli.console import StageLines, next_step, outcome, table

if TYPE_CHECKING:
    from ofa_edge.cache import StageCache
    from ofa_edge.records.manifest import Manifest
    from ofa_edge.search.cover import Cover
    from ofa_edge.workflows.build.base import Plan
    from ofa_edge.workflows.build.fleet import Fleet
    from ofa_edge.workflows.build.plan import SupernetPlan
    from ofa_edge.workflows.build.stages import OnStage

    BuildAll = Callable[[StageCache, Sequence[str], OnStage], list[Manifest]]


def require_one(target: str | None, fleet: str | None, max_models: int | None, latency_ms: float | None) -> None:
    """Refuse options that contradict each other. Raises ConfigError."""
    from ofa_edge.errors import ConfigError

    if (target is None) == (fleet is None):
        raise ConfigError(
            "one of --target and --fleet is wanted",
            "both were given" if target else "neither was given",
            "--target raspberry-pi-4, or --fleet pixel-4=20ms,raspberry-pi-4=40ms",
        )
    if fleet is None and max_models is not None:
        raise ConfigError("--max-models without --fleet", f"--target {target} is one model", "leave it out")
    if fleet is not None and latency_ms is not None:
        raise ConfigError("--latency-ms with --fleet", "each target of a fleet has its own budget", "NAME=20ms")


def search_fleet_command(fleet: str, max_models: int | None, evaluations: int, options: dict[str, Any]) -> "Fleet":
    """How a fleet can be served."""
    from ofa_edge.workflows.build.base import BuildOptions
    from ofa_edge.workflows.build.fleet import plan_fleet

    plans = plan_fleet(BuildOptions(target="", device="none", **options), fleet, claim=False, images=False)
    return _watched(plans, max_models, evaluations)


def _watched(plans: "Sequence[SupernetPlan]", max_models: int | None, evaluations: int | None) -> "Fleet":
    from ofa_edge.cli.bars import Bars
    from ofa_edge.workflows.build.fleet import search_fleet

    with Bars(quiet=wants_json() or not sys.stderr.isatty()) as bars:

        def told(done: int, total: int) -> None:
            bars.update("search", done / total, f"{done} of {total} sets of targets searched for")

        return search_fleet(plans, max_models, evaluations, told)


def build_fleet_command(fleet: str, max_models: int | None, dry_run: bool, options: dict[str, Any]) -> Answer:
    """Search and build a fleet."""
    from ofa_edge.workflows.build.base import BuildOptions
    from ofa_edge.workflows.build.fleet import build_fleet, plan_fleet

    plans = plan_fleet(BuildOptions(target="", **options), fleet)
    found = _watched(plans, max_models, None)
    if found.interrupted:
        raise KeyboardInterrupt
    if dry_run:
        return Answer({"dry_run": True, **fleet_json(found)}, fleet_text(found))
    return build_all(fleet_text(found), plans, partial(build_fleet, found))


def build_all(words: str, plans: "Sequence[Plan]", build: "BuildAll") -> Answer:
    """Build what is planned, for several targets.

    Args:
        words: what will be done.
        plans: of the targets.
        build: does it.
    """
    from ofa_edge.cache import StageCache, default_root
    from ofa_edge.cli.build import exit_code

    cache = StageCache(default_root())
    if not wants_json():
        click.echo(words, err=True)
    lines = StageLines(quiet=wants_json())
    try:
        manifests = build(cache, ["ofa-edge", *sys.argv[1:]], lines)
    finally:
        lines.close()
    facts = {"builds": [manifest.model_dump(mode="json") for manifest in manifests]}
    return Answer(facts, built_text(manifests, [plan.out for plan in plans]), exit_code(manifests))


def fleet_text(fleet: "Fleet") -> str:
    """What each number of subnets costs, then the chosen ones, target by target."""
    from ofa_edge.metrics import METRIC_NAMES

    predictor = fleet.plans[0].search.predictor
    unit = METRIC_NAMES[predictor.metric] if predictor else "M MACs"
    rows = [["subnets", *(plan.target.name for plan in fleet.plans), f"most lost, {_unit(fleet)}", ""]]
    for cover in fleet.options:
        marks = {index: chr(ord("A") + place) for place, members in enumerate(cover.groups) for index in members}
        cells = [f"{marks[index]} {_scaled(fleet, cover.scores[index])}" for index in range(len(fleet.plans))]
        lost = _scaled(fleet, max(float(cover.costs.max()), 0.0))
        rows.append([str(len(cover.rows)), *cells, lost, "<- taken" if cover is fleet.chosen else ""])
    lines = [
        f"predicted {unit} of each target, by number of subnets (equal letters share one)",
        table(rows, right=(0,)),
    ]
    members = [["target", "subnet", "d", "r", "predicted ms", "budget ms", unit, "lost"]]
    members += _members(fleet, fleet.chosen)
    lines += ["", table(members, right=(3, 4, 5, 6, 7)), ""]
    evaluated = f"{len(fleet.scores)} subnets compared"
    lines.append(
        f"{evaluated}; sharing is taken to cost nothing below {_scaled(fleet, fleet.tolerance)} {_unit(fleet)}"
    )
    lines.append(f"the search {fleet.plans[0].search.ranked}")
    if fleet.interrupted:
        lines.append("INCOMPLETE: interrupted; these are the best subnets so far")
    return "\n".join(lines)


def _members(fleet: "Fleet", cover: "Cover") -> list[list[str]]:
    rows = {}
    for members, row in zip(cover.groups, cover.rows, strict=True):
        subnet = fleet.subnet(row)
        for index in members:
            plan = fleet.plans[index]
            rows[index] = [
                plan.target.name,
                subnet.id,
                ",".join(str(depth) for depth in subnet.depths),
                str(subnet.resolution),
                f"{fleet.latency[row, index]:.3g}",
                f"{plan.search.budget_ms:.3g}",
                _scaled(fleet, cover.scores[index]),
                _scaled(fleet, max(float(cover.costs[index]), 0.0)),
            ]
    return [rows[index] for index in sorted(rows)]


def _unit(fleet: "Fleet") -> str:
    return "points" if fleet.plans[0].search.predictor else "M MACs"


def _scaled(fleet: "Fleet", score: float) -> str:
    return f"{score * (100 if fleet.plans[0].search.predictor else 1e-6):.2f}"


def fleet_json(fleet: "Fleet") -> dict[str, Any]:
    """The same for programs."""

    def members(cover: "Cover") -> list[dict[str, Any]]:
        return [
            {
                "subnet": fleet.subnet(row).config(),
                "targets": [
                    {
                        "target": fleet.plans[index].target.name,
                        "budget_ms": fleet.plans[index].search.budget_ms,
                        "latency_ms": float(fleet.latency[row, index]),
                        "score": float(cover.scores[index]),
                        "lost": max(float(cover.costs[index]), 0.0),
                    }
                    for index in group
                ],
            }
            for group, row in zip(cover.groups, cover.rows, strict=True)
        ]

    return {
        "tolerance": fleet.tolerance,
        "chosen": members(fleet.chosen),
        "options": [members(cover) for cover in fleet.options],
        "interrupted": fleet.interrupted,
    }


def built_text(manifests: "list[Manifest]", folders: list[Path]) -> str:
    """What was built for each target, and where it is."""
    metric = manifests[0].ladder[0].metric
    rows = [["target", "network", "predicted ms", metric, "", "from cache", "folder"]]
    for manifest, folder in zip(manifests, folders, strict=True):
        accuracy = next((rung.accuracy for rung in reversed(manifest.ladder) if rung.accuracy is not None), None)
        cached = sum(stage.cached for stage in manifest.stages)
        rows.append(
            [
                manifest.target.name,
                manifest.network_id,
                "-" if manifest.prediction is None else f"{manifest.prediction.ms:.3g}",
                "-" if accuracy is None else f"{100 * accuracy:.2f}",
                outcome(manifest.outcome),
                f"{cached} of {len(manifest.stages)} stages",
                f"{folder}/",
            ]
        )
    models = len({manifest.network_id for manifest in manifests})
    what = "network" if manifests[0].subnet is None else "subnet"
    return (
        f"{table(rows, right=(2, 3))}\n\n{len(manifests)} targets, {models} {what}{'' if models == 1 else 's'}\n"
        f"{next_step('verify', folders[0], '--device', 'NAME')}, and so on"
    )
