"""The search stage: the space under the target's budget, then the best candidates measured, not predicted."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge import cost
from ofa_edge.errors import WeightsError
from ofa_edge.files import sha256_file, write_json
from ofa_edge.manifest import CandidateRecord, FrontPoint, SearchRecord
from ofa_edge.pipeline.plan import Plan, weights_digest
from ofa_edge.pipeline.stages import StageRunner
from ofa_edge.search.bound import LogCurve, SeparableAccuracy
from ofa_edge.search.evolution import SearchOptions, search_front
from ofa_edge.search.feasible import accuracy_error
from ofa_edge.search.front import Candidate, Front, NoBound
from ofa_edge.search.limits import Limit
from ofa_edge.search.load_predictor import separable_form
from ofa_edge.space import Genomes, Subnet
from ofa_edge.supernet import zoo
from ofa_edge.targets import load_target

MEASURED_CANDIDATES = 8
# Candidates that differ in several genes: measuring near-twins would tell little about the predictor's favourites.
_DISTANCE = 8
_OPTIONS = SearchOptions()
_RESULT = "search.json"


def run_search(runner: StageRunner, plan: Plan) -> tuple[Subnet, SearchRecord | None]:
    """The chosen subnet and how it was found; the only one, and None, where one network was given.

    With a predictor, the best candidates are extracted, calibrated and measured on held-out training images, and the
    winner is chosen by measurement. Without one (untrained weights) the subnet with most MACs within the budget is
    taken, since nothing is known about accuracy.

    Raises:
        BudgetError: no subnet is fast enough; names the fastest one.
    """
    if plan.package.subnet is not None:
        return plan.package.subnet, None

    def produce(folder: Path) -> None:
        result = predicted_search(plan)
        if result.interrupted:  # a build goes on from its cache; half a search would stay in it
            raise KeyboardInterrupt
        candidates = _distinct(plan, result)
        measured = _measure(plan, candidates)
        write_json(folder / _RESULT, _to_json(plan, result, candidates, measured))

    predictor_file = plan.package.file(zoo.PREDICTOR)
    inputs = {
        "space": plan.package.space.hash,
        "weights": weights_digest(plan),
        "predictor": sha256_file(predictor_file) if predictor_file else None,
        "latency": sha256_file(plan.target.latency_path),
        "runtime": plan.runtime,
        "precision": plan.precision,
        "budget_ms": plan.budget_ms,
        "relative": plan.relative_budget,
        "constraints": constraint_facts(plan),
        "seed": plan.options.seed,
        "candidates": MEASURED_CANDIDATES,
        "options": {**dataclasses.asdict(_OPTIONS), "distance": _DISTANCE},
        "calibration": plan.data.digests["calibration"],
        "validation": plan.data.digests["validation"],
    }
    entry = runner.run("search", inputs, ("numpy", *(("torch",) if plan.predictor else ())), produce)
    value = json.loads(entry.path(_RESULT).read_bytes())
    return plan.package.space.from_config(value["chosen"]), SearchRecord.model_validate_json(
        json.dumps(value["record"])
    )


def predicted_search(plan: Plan, options: SearchOptions | None = None) -> Front:
    """The search alone: everything in it is predicted. Raises BudgetError, or WeightsError for one given network."""
    if plan.package.subnet is not None:
        raise WeightsError(
            f"'{plan.package.name}' is one network, not a supernet",
            "there is nothing to search",
            f"ofa-edge build --target {plan.target.name} --supernet {plan.package.name}",
        )
    front = search_front(
        plan.package.space,
        _latency(plan),
        _score(plan),
        limits=plan.limits,
        part=plan.part,
        separable=_separable(plan),
        focus=(plan.budget_ms,),
        seed=plan.options.seed,
        options=options or _OPTIONS,
    )
    _require_accuracy(plan, front)
    return front


def constraint_facts(plan: Plan) -> dict[str, Any]:
    """All that constraints add to what a search depends on, as JSON."""
    return {
        **dataclasses.asdict(plan.options.constraints),
        "kernels": plan.part.kernels if plan.part else None,
        "latency of others": [sha256_file(load_target(name).latency_path) for name, _ in plan.options.constraints.also],
    }


def chosen_candidates(plan: Plan, front: Front, count: int) -> tuple[Candidate, ...]:
    """The best within the budget; with a minimum accuracy, the fastest that are predicted to reach it."""
    wanted = plan.options.constraints.min_accuracy
    if wanted is None:
        return front.candidates(plan.budget_ms, count, _DISTANCE)
    return tuple(point for point in front.points if point.accuracy >= wanted)[:count]


def _require_accuracy(plan: Plan, front: Front) -> None:
    """Raise BudgetError where a minimum accuracy is not reached within the budget and the limits; says why not."""
    wanted, space = plan.options.constraints.min_accuracy, plan.package.space
    if wanted is None or front.interrupted:
        return
    least = front.least(wanted)
    if least is not None and least.latency_ms <= plan.budget_ms:
        return

    def along(limit: Limit) -> Front:
        options = dataclasses.replace(_OPTIONS, evaluations=max(1, _OPTIONS.evaluations // 4))
        return search_front(
            space, limit.measure, _score(plan), part=plan.part, separable=_separable(plan), options=options
        )

    budget = Limit("latency", "--latency-ms", _latency(plan), plan.budget_ms, "ms")
    raise accuracy_error(space, wanted, (budget, *plan.limits), along)


def _separable(plan: Plan) -> SeparableAccuracy | NoBound:
    if plan.predictor is not None:
        return separable_form(plan.predictor)
    macs = _score(plan)
    return SeparableAccuracy(macs, macs, LogCurve(0.0, 0.0, 0.0))


def _latency(plan: Plan) -> Any:
    def latency(genomes: Genomes) -> NDArray[np.float64]:
        return np.asarray(plan.latency.predict_many(genomes).ms, dtype=np.float64)

    return latency


def _score(plan: Plan) -> Any:
    if plan.predictor is not None:
        return plan.predictor.predict
    table = cost.macs_table(plan.package.space)
    return lambda genomes: table(genomes)[:, 0]


def _distinct(plan: Plan, result: Front) -> list[Candidate]:
    return list(chosen_candidates(plan, result, MEASURED_CANDIDATES if plan.predictor else 1))


def _measure(plan: Plan, candidates: list[Candidate]) -> list[float | None]:
    """Top-1 of each candidate on held-out training images; None for each where accuracy means nothing."""
    if plan.predictor is None:
        return [None] * len(candidates)
    from ofa_edge.supernet.evaluate import measure_top1

    supernet = plan.package.load()
    return [
        measure_top1(
            supernet,
            candidate.subnet,
            plan.data.calibration,
            plan.data.validation,
            plan.package.preprocessing(candidate.subnet.resolution),
        )
        for candidate in candidates
    ]


def _to_json(plan: Plan, result: Front, candidates: list[Candidate], measured: list[float | None]) -> dict[str, Any]:
    best = _winner(plan, candidates, measured)
    space = plan.package.space
    record = SearchRecord(
        objective="top1" if plan.predictor else "macs",
        budget_ms=plan.budget_ms,
        budget_source="option" if plan.relative_budget is None else "relative",
        relative_budget=plan.relative_budget,
        fastest_ms=result.fastest.latency_ms,
        largest_ms=float(plan.latency.predict(space.largest()).ms),
        evaluations=result.evaluations,
        predictor_rmse=plan.predictor.rmse if plan.predictor else None,
        predictor_rmse_source=plan.predictor.rmse_source if plan.predictor else "held-out",
        measured_images=len(plan.data.validation) if plan.predictor else 0,
        front=tuple(
            FrontPoint(latency_ms=point.latency_ms, score=_clip(plan, point.accuracy), subnet=point.subnet.id)
            for point in result.points
        ),
        candidates=tuple(
            CandidateRecord(
                subnet=candidate.subnet.id,
                latency_ms=candidate.latency_ms,
                score=_clip(plan, candidate.accuracy),
                measured_top1=accuracy,
            )
            for candidate, accuracy in zip(candidates, measured, strict=True)
        ),
    )
    return {"chosen": candidates[best].subnet.config(), "record": record.model_dump(mode="json")}


def _winner(plan: Plan, candidates: list[Candidate], measured: list[float | None]) -> int:
    """The most accurate as measured; with a minimum accuracy, the fastest that reached it, if any did."""
    wanted = plan.options.constraints.min_accuracy
    for index, accuracy in enumerate(measured):
        if wanted is not None and accuracy is not None and accuracy >= wanted:
            return index
    return max(range(len(candidates)), key=lambda index: (measured[index] or 0.0, candidates[index].accuracy, -index))


def _clip(plan: Plan, score: float) -> float:
    """A regression may predict a top-1 slightly outside 0..1."""
    return min(max(float(score), 0.0), 1.0) if plan.predictor else float(score)
