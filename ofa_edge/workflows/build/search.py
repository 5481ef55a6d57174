"""The search stage: the space under the target's budget, then candidates measured, and the predictor corrected by them.

Targets of a fleet that share a subnet are searched for together: along the first one's latency, with the budgets of the
others as limits.
"""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ofa_edge import cost
from ofa_edge.errors import BudgetError, WeightsError
from ofa_edge.files import sha256_file, write_json
from ofa_edge.records.search import SearchRecord
from ofa_edge.search.archive import Score
from ofa_edge.search.bound import LogCurve, SeparableAccuracy
from ofa_edge.search.evolution import SearchOptions, search_front
from ofa_edge.search.feasible import accuracy_error
from ofa_edge.search.front import Candidate, Front, NoBound
from ofa_edge.search.limits import Limit
from ofa_edge.search.load_predictor import separable_form
from ofa_edge.shown import pasteable
from ofa_edge.space import Genomes, Space, Subnet
from ofa_edge.supernet import zoo
from ofa_edge.targets import load_target
from ofa_edge.workflows.build.measured_search import Corrected, corrected_search
from ofa_edge.workflows.build.plan import SearchPlan, weights_digest
from ofa_edge.workflows.build.search_record import search_record
from ofa_edge.workflows.build.stages import StageRunner

POOL = 400  # candidates that measurements are chosen from
DISTANCE = 4  # genes in which they differ, at least: measuring near-twins would tell little
OPTIONS = SearchOptions()  # of every search that is given none
_RESULT = "search.json"


def run_search(runner: StageRunner, plan: SearchPlan) -> tuple[Subnet, SearchRecord | None]:
    """The chosen subnet and how it was found; the only one, and None, where one network was given.

    With a predictor, or MACs in its place (`plan.ranked`), candidates are extracted, calibrated and measured on
    held-out training images, the predictor is corrected by them, and the winner is the one that is expected to be best
    after that. Without one (untrained weights) the subnet with most MACs within the budget is taken, since nothing is
    known about accuracy.

    Raises:
        BudgetError: no subnet is fast enough; names the fastest one.
    """
    if plan.package.subnet is not None:
        return plan.package.subnet, None
    subnet, (record,) = search_together(runner, (plan,))
    return subnet, record


def search_together(runner: StageRunner, plans: Sequence[SearchPlan]) -> tuple[Subnet, tuple[SearchRecord, ...]]:
    """One subnet for all plans, which are of one supernet and its images, and each plan's record of the search.

    Raises:
        BudgetError: no subnet meets the budgets.
    """

    def produce(folder: Path) -> None:
        front = _whole(predicted_search(plans[0]) if len(plans) == 1 else search_plans(plans))
        corrected = correct(plans, front)
        records = [search_record(plan, latency_of(plan), score_of(plan), front, corrected) for plan in plans]
        chosen = corrected.chosen if corrected else chosen_candidates(plans[0], front, 1)[0].subnet
        write_json(
            folder / _RESULT,
            {"chosen": chosen.config(), "records": [record.model_dump(mode="json") for record in records]},
        )

    entry = runner.run("search", search_inputs(plans), search_packages(plans[0]), produce)
    value = json.loads(entry.path(_RESULT).read_bytes())
    records = tuple(SearchRecord.model_validate_json(json.dumps(record)) for record in value["records"])
    return plans[0].package.space.from_config(value["chosen"]), records


def _whole(front: Front) -> Front:
    """A build goes on from its cache; half a search would stay in it."""
    if front.interrupted:
        raise KeyboardInterrupt
    return front


def best_candidates(plan: SearchPlan, count: int) -> tuple[Subnet, ...]:
    """The best subnets within the budget by prediction, best first, no two alike: `count` or as many as there are."""
    front = _whole(predicted_search(plan))
    return tuple(each.subnet for each in chosen_candidates(plan, front, count, DISTANCE))


def search_packages(plan: SearchPlan) -> tuple[str, ...]:
    """Packages that a search's result depends on."""
    return ("numpy", *(("scipy", "torch") if plan.predictor else ()))


def search_inputs(plans: Sequence[SearchPlan]) -> dict[str, Any]:
    """Everything that a search's result depends on."""
    plan = plans[0]
    predictor_file = plan.package.file(zoo.PREDICTOR)
    return {
        "space": plan.package.space.hash,
        "weights": weights_digest(plan.package),
        "predictor": sha256_file(predictor_file) if predictor_file else None,
        "ranked_by": [plan.ranked.by, plan.ranked.why],
        "targets": [
            {
                "latency": each.latency_digest,
                "runtime": each.runtime.name,
                "precision": each.precision,
                "threads": each.target.runtime.threads,  # a latency file may hold models of several
                "outside": each.latency.outside,
                "budget_ms": each.budget_ms,
                "relative": each.relative_budget,
                "sustained": each.sustained and each.sustained.factor,
                "constraints": constraint_facts(each),
            }
            for each in plans
        ],
        "seed": plan.seed,
        "measure": plan.measure,
        "options": {**dataclasses.asdict(OPTIONS), "pool": POOL, "distance": DISTANCE},
        "calibration": plan.data.digests["calibration"],
        "validation": plan.data.digests["validation"],
    }


def predicted_search(
    plan: SearchPlan, options: SearchOptions | None = None, on_evaluated: Callable[[int], None] | None = None
) -> Front:
    """The search alone: everything in it is predicted. Raises BudgetError, or WeightsError for one given network."""
    front = search_plans((plan,), options=options, on_evaluated=on_evaluated)
    _require_accuracy(plan, front)
    return front


def search_plans(
    plans: Sequence[SearchPlan],
    score: Score | None = None,
    start: Genomes | None = None,
    options: SearchOptions | None = None,
    on_evaluated: Callable[[int], None] | None = None,
) -> Front:
    """One search for all plans together: along the first one's latency, with the others' budgets as limits.

    Args:
        plans: of one supernet.
        score: what to maximise in place of the predictor.
        start: genomes to begin with.
        options: how much to evaluate.
        on_evaluated: told how many subnets were evaluated so far.

    Raises:
        BudgetError: no subnet meets the budgets.
        WeightsError: one network was given, no supernet.
    """
    plan = plans[0]
    if plan.package.subnet is not None:
        raise WeightsError(
            f"'{plan.package.name}' is one network, not a supernet",
            "there is nothing to search",
            pasteable("ofa-edge", "build", "--target", plan.target.name, "--supernet", plan.package.name),
        )
    return search_front(
        plan.package.space,
        latency_of(plan),
        score or score_of(plan),
        limits=_limits(plans),
        part=_part(plans),
        separable=_separable(plan) if score is None else NoBound("the predictor was corrected"),
        focus=(plan.budget_ms,),
        start=start,
        seed=plan.seed,
        options=options or OPTIONS,
        on_evaluated=on_evaluated,
    )


def _limits(plans: Sequence[SearchPlan]) -> tuple[Limit, ...]:
    """What all plans ask for, the budgets of all but the first among it."""
    first, *others = plans
    limits = list(first.limits)
    for plan in others:
        name = plan.target.name
        limits.append(Limit(f"latency on {name}", f"--fleet {name}=MS:", latency_of(plan), plan.budget_ms, "ms"))
        limits += plan.limits
    return tuple(limits)


def _part(plans: Sequence[SearchPlan]) -> Space | None:
    """The part of the space that all plans allow. Raises BudgetError where they have no kernel in common."""
    space = plans[0].package.space
    left = tuple(
        kernel for kernel in space.kernels if all(plan.part is None or kernel in plan.part.kernels for plan in plans)
    )
    if not left:
        names = ", ".join(plan.target.name for plan in plans)
        raise BudgetError(
            f"no kernel size for {names} together", "their [search] tables exclude each other", "more models"
        )
    return None if left == space.kernels else space.restricted(kernels=left)


def constraint_facts(plan: SearchPlan) -> dict[str, Any]:
    """All that constraints add to what a search depends on, as JSON."""
    others = [load_target(name) for name, _ in plan.constraints.also]
    return {
        **dataclasses.asdict(plan.constraints),
        "kernels": plan.part.kernels if plan.part else None,
        "others": [[sha256_file(path) for path in (other.path, other.latency_path)] for other in others],
    }


def constraint_words(plan: SearchPlan) -> tuple[str, ...]:
    """What a search has to keep besides its budget, in words."""
    wanted = plan.constraints.min_accuracy
    kernels = (f"kernels of {', '.join(map(str, plan.part.kernels))}",) if plan.part else ()
    accuracy = (f"a predicted top-1 of {wanted:g} or more, as fast as can be",) if wanted is not None else ()
    return (*map(str, plan.limits), *kernels, *accuracy)


def chosen_candidates(plan: SearchPlan, front: Front, count: int, distance: int = 8) -> tuple[Candidate, ...]:
    """The best within the budget; with a minimum accuracy, the fastest that are predicted to reach it."""
    wanted = plan.constraints.min_accuracy
    if wanted is None:
        return front.candidates(plan.budget_ms, count, distance)
    return tuple(point for point in front.points if point.accuracy >= wanted)[:count]


def _require_accuracy(plan: SearchPlan, front: Front) -> None:
    """Raise BudgetError where a minimum accuracy is not reached within the budget and the limits; says why not."""
    wanted, space = plan.constraints.min_accuracy, plan.package.space
    if wanted is None or front.interrupted:
        return
    least = front.least(wanted)
    if least is not None and least.latency_ms <= plan.budget_ms:
        return

    def along(limit: Limit) -> Front:
        options = dataclasses.replace(OPTIONS, evaluations=max(1, OPTIONS.evaluations // 4))
        return search_front(
            space, limit.measure, score_of(plan), part=plan.part, separable=_separable(plan), options=options
        )

    budget = Limit("latency", "--latency-ms", latency_of(plan), plan.budget_ms, "ms")
    raise accuracy_error(space, wanted, (budget, *plan.limits), along)


def _separable(plan: SearchPlan) -> SeparableAccuracy | NoBound:
    if plan.predictor is not None:
        return separable_form(plan.predictor)
    macs = score_of(plan)
    return SeparableAccuracy(macs, macs, LogCurve(0.0, 0.0, 0.0))


def latency_of(plan: SearchPlan) -> Score:
    """Milliseconds of genomes on the plan's target."""
    return lambda genomes: np.asarray(plan.latency.predict_many(genomes).ms, dtype=np.float64)


def score_of(plan: SearchPlan) -> Score:
    """What the search maximises: predicted top-1, or MACs where nothing predicts it."""
    if plan.predictor is not None:
        return plan.predictor.predict
    table = cost.macs_table(plan.package.space)
    return lambda genomes: np.asarray(table(genomes)[:, 0], dtype=np.float64)


def correct(plans: Sequence[SearchPlan], front: Front) -> Corrected | None:
    """Measure candidates and correct the predictor; None without one.

    With a minimum accuracy the pool holds the fastest subnets that are predicted to reach it.
    """
    plan = plans[0]
    if plan.predictor is None:
        return None
    space, count = plan.package.space, POOL
    if plan.constraints.min_accuracy is not None:
        count = 2 * plan.measure
    again = dataclasses.replace(OPTIONS, evaluations=max(1, OPTIONS.evaluations // 4))

    def pool(found: Front) -> Genomes:
        best = chosen_candidates(plan, found, count, DISTANCE) or found.candidates(plan.budget_ms, count, DISTANCE)
        return space.genome([item.subnet for item in best if item.latency_ms <= plan.budget_ms])

    first = pool(front)

    def propose(score: Score) -> Genomes:
        return pool(_whole(search_plans(plans, score, first, again)))

    return corrected_search(plan, first, propose, latency_of(plan))
