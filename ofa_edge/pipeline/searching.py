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
from ofa_edge.search.evolution import SearchOptions, search_front
from ofa_edge.search.front import Candidate, Front
from ofa_edge.space import Genomes, Subnet
from ofa_edge.supernet import zoo

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
        candidates = _distinct(plan, result)
        measured = _measure(plan, candidates)
        write_json(folder / _RESULT, _to_json(plan, result, candidates, measured))

    entry = runner.run("search", search_inputs(plan), search_packages(plan), produce)
    value = json.loads(entry.path(_RESULT).read_bytes())
    return plan.package.space.from_config(value["chosen"]), SearchRecord.model_validate_json(
        json.dumps(value["record"])
    )


def best_candidates(plan: Plan, count: int) -> tuple[Subnet, ...]:
    """The best subnets within the budget by prediction, best first, no two alike: `count` or as many as there are."""
    return tuple(each.subnet for each in predicted_search(plan).candidates(plan.budget_ms, count, _DISTANCE))


def search_packages(plan: Plan) -> tuple[str, ...]:
    """Packages that a search's result depends on."""
    return ("numpy", *(("torch",) if plan.predictor else ()))


def search_inputs(plan: Plan) -> dict[str, Any]:
    """Everything that a search's result depends on."""
    predictor_file = plan.package.file(zoo.PREDICTOR)
    return {
        "space": plan.package.space.hash,
        "weights": weights_digest(plan),
        "predictor": sha256_file(predictor_file) if predictor_file else None,
        "latency": plan.latency_digest,
        "runtime": plan.runtime,
        "precision": plan.precision,
        "budget_ms": plan.budget_ms,
        "relative": plan.relative_budget,
        "seed": plan.options.seed,
        "candidates": MEASURED_CANDIDATES,
        "options": {**dataclasses.asdict(_OPTIONS), "distance": _DISTANCE},
        "calibration": plan.data.digests["calibration"],
        "validation": plan.data.digests["validation"],
    }


def predicted_search(plan: Plan) -> Front:
    """The search alone: everything in it is predicted. Raises BudgetError, or WeightsError for one given network."""
    if plan.package.subnet is not None:
        raise WeightsError(
            f"'{plan.package.name}' is one network, not a supernet",
            "there is nothing to search",
            f"ofa-edge build --target {plan.target.name} --supernet {plan.package.name}",
        )
    return search_front(
        plan.package.space,
        _latency(plan),
        _score(plan),
        focus=(plan.budget_ms,),
        seed=plan.options.seed,
        options=_OPTIONS,
    )


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
    return list(result.candidates(plan.budget_ms, MEASURED_CANDIDATES if plan.predictor else 1, _DISTANCE))


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
    best = max(range(len(candidates)), key=lambda index: (measured[index] or 0.0, candidates[index].accuracy, -index))
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


def _clip(plan: Plan, score: float) -> float:
    """A regression may predict a top-1 slightly outside 0..1."""
    return min(max(float(score), 0.0), 1.0) if plan.predictor else float(score)
