"""`ofa-edge search`: the search alone, nothing measured."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ofa_edge.cli.console import print_json, table

if TYPE_CHECKING:
    from ofa_edge.pipeline.plan import Plan
    from ofa_edge.search.front import Front


@click.command("search")
@click.option("--target", metavar="NAME", help="Target name or TOML file.")
@click.option("--fleet", metavar="NAME=20ms,...", help="Several targets with their budgets, in place of --target.")
@click.option("--max-models", type=click.IntRange(min=1), help="Subnets for the fleet, at most.")
@click.option("--sustained", is_flag=True, help="Search on the target's speed when it is warm (where that is known).")
@click.option("--latency-ms", type=float, help="Budget. Default: the target's share of the largest subnet's latency.")
@click.option("--precision", type=click.Choice(["fp32", "fp16", "dynamic", "int8"]), help="Default: the target's.")
@click.option("--runtime", type=click.Choice(["tflite", "tvm"]), help="Default: the target's.")
@click.option("--supernet", default="fashion-mnist", show_default=True, metavar="NAME|DIR")
@click.option("--outside-key", is_flag=True, help="Where no latency model holds, take the nearest, widened.")
@click.option("--untrained", is_flag=True, help="Random weights for a published supernet; MACs are maximised.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw the front, as .svg or .png.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON, with the whole front.")
def search_command(as_json: bool, fleet: str | None, max_models: int | None, plot: Path | None, **options: Any) -> None:
    """Find subnets under a target's latency budget. Accuracy here is predicted; `build` measures it."""
    from ofa_edge.cli.fleet import require_one, search_fleet_command

    require_one(options["target"], fleet, max_models, options["latency_ms"])
    if plot is not None:
        _require_plot(plot, fleet)
    if fleet is not None:
        del options["target"]
        search_fleet_command(fleet, max_models, as_json, options)
        return
    from ofa_edge.pipeline.plan import BuildOptions, make_plan
    from ofa_edge.pipeline.searching import predicted_search

    plan = make_plan(BuildOptions(device="none", **options), claim=False, images=False)
    result = predicted_search(plan)
    if plot is not None:
        _plot(plan, result, plot)
    best = result.candidates(plan.budget_ms, 8, 8)
    if as_json:
        rows = [
            {"subnet": item.subnet.config(), "latency_ms": item.latency_ms, "score": item.accuracy}
            for item in (*best, *result.points)
        ]
        print_json({"budget_ms": plan.budget_ms, "best": rows[: len(best)], "front": rows[len(best) :]})
        return
    unit = "predicted top-1" if plan.predictor else "M MACs"
    scale = 100.0 if plan.predictor else 1e-6
    lines = [["subnet", "d", "r", "predicted ms", unit]]
    for item in best:
        lines.append(
            [
                item.subnet.id,
                ",".join(str(depth) for depth in item.subnet.depths),
                str(item.subnet.resolution),
                f"{item.latency_ms:.3g}",
                f"{scale * item.accuracy:.2f}",
            ]
        )
    click.echo(table(lines, right=(2, 3, 4)))
    click.echo(f"\nbudget {plan.budget_ms:.3g} ms, {result.evaluations} subnets evaluated")
    supernet = "" if options["supernet"] == "fashion-mnist" else f" --supernet {options['supernet']}"
    untrained = " --untrained" if options["untrained"] else ""
    click.echo(f"next: ofa-edge build --target {options['target']}{supernet}{untrained}")


def _require_plot(plot: Path, fleet: str | None) -> None:
    """Refuse, before the search, what cannot be drawn."""
    from ofa_edge.errors import ConfigError
    from ofa_edge.report.picture import require_picture

    require_picture(plot)
    if fleet is not None:
        raise ConfigError("--plot with --fleet", "a picture is of one target", "--target NAME --plot FILE")


def _plot(plan: "Plan", front: "Front", file: Path) -> None:
    from ofa_edge.pipeline.picturing import search_picture
    from ofa_edge.report.picture import write_picture

    write_picture(file, search_picture(plan, front))
    click.echo(f"wrote {file}", err=True)
