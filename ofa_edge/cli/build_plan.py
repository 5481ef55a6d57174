"""What a build will do, said before it begins."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ofa_edge.cli.console import duration

if TYPE_CHECKING:
    from ofa_edge.workflows.build.base import Plan
    from ofa_edge.workflows.build.plan import SupernetPlan


def describe(plan: "Plan") -> str:
    """What a build will do, said before it begins."""
    from ofa_edge.workflows.build.model_plan import ModelPlan
    from ofa_edge.workflows.build.plan import SupernetPlan

    tuning, ranges, contenders = plan.export.tuning, plan.export.ranges, plan.export.contenders
    where = plan.device.name if plan.device.name != "none" else f"none ({plan.device.why or 'not asked for'})"
    runtime = plan.export.runtime.name
    if contenders is not None:
        runtime = f"the fastest of {', '.join(each.name for each in contenders.runtimes)};"
    source, share, search = "", "", list[str]()
    if isinstance(plan, ModelPlan):
        source = f"network {plan.given.path.name}"
        search = [f"assumed: {words}" for words in plan.assumed]
    elif isinstance(plan, SupernetPlan):
        source = f"supernet {plan.package.name}" + ("" if plan.package.trained else "  UNTRAINED: random weights")
        search = _searching(plan)
        if plan.search.relative_budget is not None:
            share = f" ({100 * plan.search.relative_budget:.0f} % of the largest subnet's latency)"
    budget = "no budget" if plan.budget_ms is None else f"budget {plan.budget_ms:.3g} ms{share}"
    lines = [
        f"build for {plan.target.name}: {runtime} {plan.export.precision}, {budget}",
        f"{source}, {'images' if plan.data.judged else 'inputs'}: {plan.data.source}",
        f"device {where}; output {plan.out}",
        *search,
        *([f"tuning for {tuning.seconds:.0f} s"] if tuning.seconds else []),
        *(f"{name} left out: {why}" for name, why in (contenders.left_out if contenders else {}).items()),
        *(f"note: {words}" for words in plan.data.notes),
        *(f"warning: {words}" for words in (ranges.warnings if ranges else ())),
    ]
    return "\n  ".join(lines)


def _searching(plan: "SupernetPlan") -> list[str]:
    """What the search goes by, and what it keeps."""
    from ofa_edge.workflows.build.search import constraint_words

    search = plan.search
    return [
        *([] if plan.package.subnet else [f"the search {search.ranked}"]),
        *([f"measuring up to {search.measure} candidates"] if search.ranked.measures_more else []),
        *(f"keeping {words}" for words in constraint_words(search)),
        *([f"refining the latency model with {plan.options.refine} candidates a round"] if plan.options.refine else []),
    ]


def plan_facts(plan: "Plan") -> dict[str, Any]:
    """The same for programs."""
    from ofa_edge.workflows.build.plan import SupernetPlan

    contenders, ranges = plan.export.contenders, plan.export.ranges
    facts: dict[str, Any] = {
        "target": plan.target.name,
        "runtime": plan.export.runtime.name,
        "contenders": None if contenders is None else [each.name for each in contenders.runtimes],
        "precision": plan.export.precision,
        "budget_ms": plan.budget_ms,
        "device": plan.device.name,
        "why_no_device": plan.device.why or None,
        "images": plan.data.source,
        "notes": list(plan.data.notes),
        "warnings": list(ranges.warnings) if ranges else [],
        "out": str(plan.out),
    }
    if isinstance(plan, SupernetPlan):
        package = plan.package
        facts |= {"supernet": package.name, "trained": package.trained, "search": _searching(plan)}
    return facts


def usual_stages(plan: "Plan", usual: Mapping[str, float]) -> dict[str, float]:
    """The stages of earlier builds that such a build has too.

    Args:
        plan: of the build.
        usual: what stages took before, on this machine: seconds.

    Returns:
        Stage -> seconds. Stages that are never served from the cache (`timed`) are not in it.
    """
    from ofa_edge.runtimes.registry import runtimes
    from ofa_edge.workflows.build.plan import SupernetPlan

    contenders = plan.export.contenders
    ours = {each.name for each in (contenders.runtimes if contenders else (plan.export.runtime,))}
    others = {name for name in runtimes() if name not in ours}
    of_supernets, of_files = {"search", "extract", "statistics", "run-torch", "run-folded"}, {"prepare", "run-given"}
    left_out = of_files if isinstance(plan, SupernetPlan) else of_supernets
    left_out |= set() if plan.options.refine else {"candidates", "time"}
    left_out |= set() if plan.device.name != "none" else {"device"}

    def has(stage: str) -> bool:
        whose = stage.removeprefix("run-")
        return stage not in left_out and not any(whose == name or whose.startswith(f"{name}-") for name in others)

    return {stage: seconds for stage, seconds in usual.items() if has(stage)}


def time_words(usual: Mapping[str, float]) -> str:
    """How long it will take, as far as earlier builds tell."""
    if not usual:
        return "time: not known; no build was made on this machine yet"
    longest = sorted(usual.items(), key=lambda item: -item[1])[:3]
    words = ", ".join(f"{stage} {duration(seconds)}" for stage, seconds in longest)
    return (
        f"time: about {duration(sum(usual.values()))} (estimated from earlier builds on this machine: {words}); "
        "less where the cache has results"
    )
