"""`--fleet` of `ofa-edge build --model`: one network for several targets."""

from functools import partial
from typing import TYPE_CHECKING

from ofa_edge.cli.answer import Answer
from ofa_edge.cli.fleet import build_all

if TYPE_CHECKING:
    from ofa_edge.workflows.build.base import BuildOptions


def build_model_fleet_command(fleet: str, max_models: int | None, dry_run: bool, options: "BuildOptions") -> Answer:
    """Build a network for each target. Raises ConfigError for `--max-models`."""
    from ofa_edge.cli.build_plan import describe, plan_facts
    from ofa_edge.errors import ConfigError
    from ofa_edge.workflows.build.model_fleet import build_model_fleet, plan_model_fleet

    if max_models is not None:
        raise ConfigError("--max-models with --model", "it is one network on every target", "leave out --max-models")
    plans = plan_model_fleet(options, fleet)
    words = "\n\n".join(describe(plan) for plan in plans)
    if dry_run:
        return Answer({"dry_run": True, "builds": [plan_facts(plan) for plan in plans]}, words)
    return build_all(words, plans, partial(build_model_fleet, plans))
