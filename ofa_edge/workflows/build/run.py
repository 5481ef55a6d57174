"""The one door to a build: from options to a plan, from a plan to a manifest, wherever the network comes from."""

from collections.abc import Sequence

from ofa_edge.cache import StageCache
from ofa_edge.output import reserved
from ofa_edge.records.manifest import Manifest
from ofa_edge.workflows.build.base import BuildOptions, Plan
from ofa_edge.workflows.build.build import build
from ofa_edge.workflows.build.model_build import build_model
from ofa_edge.workflows.build.model_plan import ModelPlan, make_model_plan
from ofa_edge.workflows.build.plan import SupernetPlan, make_plan
from ofa_edge.workflows.build.stages import OnStage


def plan_build(options: BuildOptions) -> Plan:
    """Resolve options. Raises UsageError in one of its forms; nothing has been written."""
    return make_plan(options) if options.model is None else make_model_plan(options)


def run_build(plan: Plan, cache: StageCache, command: Sequence[str], on_stage: OnStage) -> Manifest:
    """Run a plan, as `build` and `build_model` do; OutputError before any work where another build has its folder."""
    with reserved(plan.out):
        if isinstance(plan, ModelPlan):
            return build_model(plan, cache, command, on_stage)
        assert isinstance(plan, SupernetPlan)
        return build(plan, cache, command, on_stage)
