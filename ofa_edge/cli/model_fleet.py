"""`--fleet` of `ofa-edge build --model`: one network for several targets."""

import sys
from typing import TYPE_CHECKING

import click

from ofa_edge.cli.console import StageLines, print_json
from ofa_edge.cli.fleet import built_text

if TYPE_CHECKING:
    from ofa_edge.records.manifest import Manifest
    from ofa_edge.workflows.build.base import BuildOptions


def build_model_fleet_command(
    fleet: str, max_models: int | None, as_json: bool, dry_run: bool, options: "BuildOptions"
) -> "list[Manifest]":
    """Build a network for each target; the manifests, none after a dry run. Raises ConfigError for `--max-models`."""
    from ofa_edge.cache import StageCache, default_root
    from ofa_edge.cli.build import describe
    from ofa_edge.errors import ConfigError
    from ofa_edge.workflows.build.model_fleet import build_model_fleet, plan_model_fleet

    if max_models is not None:
        raise ConfigError("--max-models with --model", "it is one network on every target", "leave out --max-models")
    plans = plan_model_fleet(options, fleet)
    click.echo("\n\n".join(describe(plan) for plan in plans), err=not dry_run)
    if dry_run:
        return []
    lines = StageLines(quiet=as_json)
    try:
        manifests = build_model_fleet(plans, StageCache(default_root()), ["ofa-edge", *sys.argv[1:]], lines)
    finally:
        lines.close()
    if as_json:
        print_json([manifest.model_dump(mode="json") for manifest in manifests])
    else:
        click.echo(built_text(manifests, [plan.out for plan in plans]))
    return manifests
