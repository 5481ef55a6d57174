"""The search stage: the space under the target's budget, then candidates measured, and the predictor corrected by them.

Targets of a fleet that share a subnet are searched for together: a subnet's time is then the one on the target whose
budget it strains most.
"""

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ofa_edge import cost
from ofa_edge.cache import CacheEntry, Produce
from ofa_edge.errors import WeightsError
from ofa_edge.files import sha256_file, write_json
from ofa_edge.pipeline.correcting import Corrected, corrected_search
from ofa_edge.pipeline.plan import Plan, weights_digest
from ofa_edge.pipeline.search_record import search_record
from ofa_edge.pipeline.stages import StageRunner
from ofa_edge.search.archive import Floats, Score
from ofa_edge.search.evolution import SearchOptions, search_front
from ofa_edge.search.front import Front
from ofa_edge.searched import SearchRecord
from ofa_edge.space import Genomes, Subnet
from ofa_edge.supernet import zoo

POOL = 400  # candidates that measurements are chosen from
DISTANCE = 4  # genes in which they differ, at least: measuring near-twins would tell little
_OPTIONS = SearchOptions()
_RESULT = "search.json"


def run_search(runner: StageRunner, plan: Plan) -> tuple[Subnet, SearchRecord | None]:
    """The chosen subnet and how it was found; the only one, and None, where one network was given.

    With a predictor, candidates are extracted, calibrated and measured on held-out training images, the predictor is
    corrected by them, and the winner is the one that is expected to be best after that. Without one (untrained weights)
    the subnet with most MACs within the budget is taken, since nothing is known about accuracy.

    Raises:
        BudgetError: no subnet is fast enough; names the fastest one.
    """
    if plan.package.subnet is not None:
        return plan.package.subnet, None
    subnet, (record,) = search_together(runner, (plan,))
    return subnet, record


def search_together(runner: StageRunner, plans: Sequence[Plan]) -> tuple[Subnet, tuple[SearchRecord, ...]]:
    """One subnet for all plans, which are of one supernet and its images, and each plan's record of the search.

    Raises:
        BudgetError: no subnet meets the budgets.
    """

    def produce(folder: Path) -> None:
        front = search_plans(plans)
        corrected = correct(plans, front)
        records = [search_record(plan, latency_of(plan), score_of(plan), front, corrected) for plan in plans]
        chosen = corrected.chosen if corrected else front.best(plans[0].budget_ms).subnet
        write_json(
            folder / _RESULT,
            {"chosen": chosen.config(), "records": [record.model_dump(mode="json") for record in records]},
        )

    entry = _cached(runner, plans, produce)
    value = json.loads(entry.path(_RESULT).read_bytes())
    records = tuple(SearchRecord.model_validate_json(json.dumps(record)) for record in value["records"])
    return plans[0].package.space.from_config(value["chosen"]), records


def _cached(runner: StageRunner, plans: Sequence[Plan], produce: Produce) -> CacheEntry:
    plan = plans[0]
    predictor_file = plan.package.file(zoo.PREDICTOR)
    inputs = {
        "space": plan.package.space.hash,
        "weights": weights_digest(plan),
        "predictor": sha256_file(predictor_file) if predictor_file else None,
        "targets": [
            {
                "latency": sha256_file(each.target.latency_path),
                "runtime": each.runtime,
                "precision": each.precision,
                "budget_ms": each.budget_ms,
                "relative": each.relative_budget,
                "sustained": each.sustained and each.sustained.factor,
            }
            for each in plans
        ],
        "seed": plan.options.seed,
        "measure": plan.measure,
        "options": _options_of_the_key(),
        "calibration": plan.data.digests["calibration"],
        "validation": plan.data.digests["validation"],
    }
    packages = ("numpy", *(("scipy", "torch") if plan.predictor else ()))
    return runner.run("search", inputs, packages, produce)


def _options_of_the_key() -> dict[str, object]:
    """Without the limit of time, where there is none: infinity is not JSON."""
    options = {**dataclasses.asdict(_OPTIONS), "pool": POOL, "distance": DISTANCE}
    return {name: value for name, value in options.items() if value != math.inf}


def predicted_search(plan: Plan) -> Front:
    """The search alone, for one plan: everything in it is predicted. Raises as `search_plans` does."""
    return search_plans((plan,))


def search_plans(
    plans: Sequence[Plan],
    score: Score | None = None,
    start: Genomes | None = None,
    options: SearchOptions | None = None,
) -> Front:
    """One search for all plans together, everything in it predicted. The front's latencies are those of `together`.

    Args:
        plans: of one supernet.
        score: what to maximise in place of the predictor.
        start: genomes to begin with.
        options: how much to evaluate.

    Raises:
        BudgetError: no subnet meets the budgets.
        WeightsError: one network was given, no supernet.
    """
    plan = plans[0]
    if plan.package.subnet is not None:
        raise WeightsError(
            f"'{plan.package.name}' is one network, not a supernet",
            "there is nothing to search",
            f"ofa-edge build --target {plan.target.name} --supernet {plan.package.name}",
        )
    return search_front(
        plan.package.space,
        together(plans),
        score or score_of(plan),
        focus=(plan.budget_ms,),
        start=start,
        seed=plan.options.seed,
        options=options or _OPTIONS,
    )


def together(plans: Sequence[Plan]) -> Score:
    """Milliseconds of genomes on the plan's target; of several plans, on the most strained, in the first's budget."""
    first, *others = plans
    latency = latency_of(first)
    if not others:
        return latency
    scores = [(latency_of(plan), first.budget_ms / plan.budget_ms) for plan in others]

    def worst(genomes: Genomes) -> Floats:
        times = [latency(genomes), *(own(genomes) * unit for own, unit in scores)]
        return np.asarray(np.max(times, axis=0), dtype=np.float64)

    return worst


def latency_of(plan: Plan) -> Score:
    """Milliseconds of genomes on the plan's target."""
    return lambda genomes: np.asarray(plan.latency.predict_many(genomes).ms, dtype=np.float64)


def score_of(plan: Plan) -> Score:
    """What the search maximises: predicted top-1, or MACs where nothing predicts it."""
    if plan.predictor is not None:
        return plan.predictor.predict
    table = cost.macs_table(plan.package.space)
    return lambda genomes: table(genomes)[:, 0]


def correct(plans: Sequence[Plan], front: Front) -> Corrected | None:
    """Measure candidates and correct the predictor; None without one."""
    plan = plans[0]
    if plan.predictor is None:
        return None
    space, budget_ms = plan.package.space, plan.budget_ms
    again = dataclasses.replace(_OPTIONS, evaluations=max(1, _OPTIONS.evaluations // 4))

    def pool(found: Front) -> Genomes:
        return space.genome([item.subnet for item in found.candidates(budget_ms, POOL, DISTANCE)])

    first = pool(front)

    def propose(score: Score) -> Genomes:
        return pool(search_plans(plans, score, first, again))

    return corrected_search(plan, first, propose, together(plans), plan.measure)
