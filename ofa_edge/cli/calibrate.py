"""`ofa-edge calibrate`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ofa_edge.cli.answer import Answer, command, wants_json
from ofa_edge.cli.completion import DEVICE
from ofa_edge.cli.console import next_step, table
from ofa_edge.cli.options import (
    precision_option,
    runtime_option,
    supernet_option,
    target_option,
)

if TYPE_CHECKING:
    from ofa_edge.workflows.calibrate.result import MeasuredModel


@command("calibrate")
@target_option(text="Target whose latency model is the prior.")
@click.option(
    "--device",
    type=DEVICE,
    default="none",
    metavar="NAME",
    help="The board: local, or one of: devices list. None where the target's compiler tells cycles itself.",
)
@click.option("--budget", default="5m", show_default=True, metavar="DURATION", help="Time on the device: 90s, 5m, 1h.")
@supernet_option(text="Whose subnets.")
@precision_option
@runtime_option
@click.option("--threads", type=click.IntRange(min=1), help="Default: the target's.")
@click.option("--networks", type=click.IntRange(min=3), default=40, show_default=True, help="Subnets to fit with.")
@click.option("--held-out", type=click.IntRange(min=3), default=30, show_default=True, help="Subnets to judge by.")
@click.option("--name", metavar="NAME", help="Of the new target. Default: TARGET-RUNTIME-PRECISION-THREADS.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("targets"), show_default=True, help="Folder for the target."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the subnets that are drawn.")
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted calibration (samples are always reused).")
def calibrate_command(dry_run: bool, resume: bool, **options: Any) -> Answer:
    """Measure a device and fit a latency model to it: a new target that every other command takes.

    Blocks that tell most about the supernet's networks are measured by themselves, random subnets whole; others are
    held out and say how good the model is. Files go to --out: NAME.toml (give it as --target), NAME.latency.json,
    NAME.calibration.json (the report), NAME.calibration.svg (its chart) and NAME.samples.jsonl (the raw samples).
    """
    del resume  # samples are always gone on with; the option exists so that the hint of an interrupt can be pasted
    from ofa_edge.workflows.calibrate.plan import CalibrationOptions, make_calibration_plan

    plan = make_calibration_plan(CalibrationOptions(**options))
    if dry_run:
        return Answer(
            {"dry_run": True, "name": plan.name, "estimated_s": plan.estimated_s, **plan.facts()}, plan.describe()
        )
    click.echo(plan.describe(), err=wants_json())
    from ofa_edge.cache import StageCache, default_root
    from ofa_edge.workflows.calibrate.compiled import calibrate_compiled
    from ofa_edge.workflows.calibrate.measure import calibrate

    def say(words: str) -> None:
        click.echo(f"  {words}", err=True)

    find = calibrate if plan.account is None else calibrate_compiled
    result = find(plan, StageCache(default_root()), ["ofa-edge", *sys.argv[1:]], say)
    words = ("--target", result.target, "--supernet", plan.options.supernet)
    built = plan.runtime.why_not_made(plan.target) is None
    following = next_step("build", *words, "--device", plan.options.device) if built else next_step("search", *words)
    report = json.loads((plan.options.out / f"{plan.name}.calibration.json").read_text())
    return Answer(report, f"{summary(result)}\n{following}")


def summary(result: "MeasuredModel") -> str:
    """What the end of a calibration prints."""
    checks, model = result.checks, result.model
    rows = [
        ["held-out subnets", str(checks.networks)],
        ["mean error", f"{100 * checks.mape:.1f} %"],
        ["within 5 %", f"{100 * result.within5:.0f} %"],
        ["within 10 %", f"{100 * result.within10:.0f} %"],
        ["Spearman", "-" if checks.spearman is None else f"{checks.spearman:.3f}"],
        ["inside 50 % intervals", f"{100 * checks.coverage50:.0f} %"],
        ["inside 90 % intervals", f"{100 * checks.coverage90:.0f} %"],
    ]
    measured = len(model.units)
    units = len(model.unit_names) - 1
    lines = [
        table(rows),
        f"{measured} of {units} units measured by themselves, {len(model.networks)} subnets whole; "
        f"{len(model.extrapolated)} units extrapolated",
        *(f"    {name}" for name in model.extrapolated[:5]),
        f"{result.device_s:.0f} s {result.effort}, {result.export_s:.0f} s of export",
    ]
    if result.dropped:
        lines.append(click.style(f"{len(result.dropped)} runs dropped, the rest kept:", fg="yellow"))
        lines += [f"    {why}" for why in result.dropped[:10]]
    return "\n".join(
        [*lines, f"wrote {result.target}", f"chart {result.chart}: each held-out subnet, predicted and measured"]
    )
