"""A given network for several targets: one build each, which share what does not depend on the target."""

from collections.abc import Sequence

from ofa_edge.cache import StageCache
from ofa_edge.records.manifest import Manifest
from ofa_edge.workflows.build.base import BuildOptions
from ofa_edge.workflows.build.fleet import options_of_each, parse_fleet
from ofa_edge.workflows.build.model_build import build_model
from ofa_edge.workflows.build.model_plan import ModelPlan, make_model_plan
from ofa_edge.workflows.build.stages import OnStage


def plan_model_fleet(options: BuildOptions, fleet: str, *, claim: bool = True) -> tuple[ModelPlan, ...]:
    """A plan for each target, its output in a folder of the target's name.

    Args:
        options: of every build; its target and budget are not used, its `model` names the file.
        fleet: as `parse_fleet` takes it; a target may do without a budget.
        claim: as in `make_model_plan`.

    Raises:
        UsageError: in one of its forms, naming the target.
    """
    return tuple(
        make_model_plan(own, claim=claim) for own in options_of_each(options, fleet, parse_fleet(fleet, budgets=False))
    )


def build_model_fleet(
    plans: Sequence[ModelPlan], cache: StageCache, command: Sequence[str], on_stage: OnStage
) -> list[Manifest]:
    """Build every target, in their order. Builds that were finished stay where a later one cannot be done."""
    return [build_model(plan, cache, command, on_stage) for plan in plans]
