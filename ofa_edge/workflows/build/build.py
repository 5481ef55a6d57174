"""A build from a supernet: the subnet is searched for, cut out, calibrated and exported; then `finish`."""

from collections.abc import Callable, Sequence

from ofa_edge.cache import StageCache
from ofa_edge.records.manifest import Manifest
from ofa_edge.records.search import SearchRecord
from ofa_edge.space import Subnet
from ofa_edge.verify.ladder import Answers
from ofa_edge.vocabulary import numbers
from ofa_edge.workflows.build import stages
from ofa_edge.workflows.build.account import Start
from ofa_edge.workflows.build.finish import check_devices, finish
from ofa_edge.workflows.build.plan import SupernetPlan
from ofa_edge.workflows.build.refine import check_refinable, refine
from ofa_edge.workflows.build.search import run_search
from ofa_edge.workflows.build.stages import OnStage, StageRunner
from ofa_edge.workflows.build.statistics import Judged, check_statistics

Find = Callable[[StageRunner, SupernetPlan], tuple[Subnet, SearchRecord | None]]


def searched(runner: StageRunner, plan: SupernetPlan) -> tuple[Subnet, SearchRecord | None]:
    """What a plan's own search finds."""
    return run_search(runner, plan.search)


def build(
    plan: SupernetPlan, cache: StageCache, command: Sequence[str], on_stage: OnStage, find: Find = searched
) -> Manifest:
    """Run a plan. Stages already in the cache are not run again, so a build that was interrupted goes on.

    Args:
        plan: what to build.
        cache: where stages' results are kept.
        command: for the manifest.
        on_stage: told of each stage.
        find: chooses the subnet.

    Returns:
        The manifest, as it was written to the output folder.

    Raises:
        OfaEdgeError: nothing is left in the output folder that was not there before.
    """
    runner = StageRunner(cache, on_stage)
    check_devices(plan)
    if plan.options.refine:
        check_refinable(plan)
    subnet, search = find(runner, plan)
    refined = None
    if plan.options.refine:
        refined = refine(runner, plan, subnet)
        plan, subnet, search = refined.plan, refined.subnet, refined.search
    package, images = plan.package, plan.data
    static = stages.extract(runner, package, subnet, images.calibration)
    network = stages.to_network(runner, package, static, subnet)
    name = "supernet slice" if package.subnet is None else "given network"
    first = Answers(name, stages.run_torch(runner, package, static, images.test, folded=False))
    folded = Answers("BN folded", stages.run_torch(runner, package, static, images.test, folded=True))
    stages.require_finite(first.logits, f"{name} {subnet.id} of '{package.name}', on {len(images.test)} test images")
    ranges, statistics, rounded = package.ranges, None, None
    if ranges is None:
        judged = Judged(package, subnet, images, plan.search.predictor)
        statistics = check_statistics(runner, judged, static, first.logits)
    elif numbers(plan.export.precision).ranges:  # its batch norms were frozen in training: they are weights
        logits = stages.run_int8_form(runner, package, static, images.test, ranges)
        rounded = Answers("int8 as trained", logits)
    start = Start(network, first, (folded,), rounded=rounded, statistics=statistics, search=search, refined=refined)
    return finish(runner, plan, start, command)
