"""What a manifest keeps of a search, seen from one target."""

from dataclasses import replace

import numpy as np

from ofa_edge.metrics import kendall
from ofa_edge.records.search import CandidateRecord, CorrectionRecord, FrontPoint, ReferencePoint, SearchRecord
from ofa_edge.search.archive import Floats, Score
from ofa_edge.search.front import Front
from ofa_edge.search.measured import MeasuredSearch
from ofa_edge.space import Space, Subnet
from ofa_edge.workflows.build.measured_search import Corrected
from ofa_edge.workflows.build.plan import SearchPlan

CLOUD = 500  # points kept of the subnets evaluated


def search_record(
    plan: SearchPlan, latency: Score, score: Score, front: Front, corrected: Corrected | None
) -> SearchRecord:
    """The record of a search for one plan.

    Args:
        plan: whose target's milliseconds are shown.
        latency: milliseconds of genomes on that target.
        score: predicted top-1 or MACs of genomes.
        front: what was evaluated, perhaps for several targets together.
        corrected: what was measured.
    """
    own = replace(front, latency=np.asarray(latency(front.genomes)))
    points = own.space.genome([point.subnet for point in own.points])
    interval = plan.latency.predict_many(points)
    low, high = np.atleast_1d(interval.low90), np.atleast_1d(interval.high90)
    images = len(plan.data.validation) if corrected else 0
    return SearchRecord(
        objective="top1" if plan.predictor else "macs",
        metric=plan.predictor.metric if plan.predictor else "top1",
        ranked_by=plan.ranked.by,
        ranked_why=plan.ranked.why,
        budget_ms=plan.budget_ms,
        budget_source="option" if plan.relative_budget is None else "relative",
        relative_budget=plan.relative_budget,
        fastest_ms=float(own.latency.min()),
        largest_ms=float(plan.latency.predict(own.space.largest()).ms),
        evaluations=front.evaluations,
        predictor_rmse=plan.predictor.rmse if plan.predictor else None,
        predictor_rmse_source=plan.predictor.rmse_source if plan.predictor else "held-out",
        measured_images=images,
        front=tuple(
            FrontPoint(
                latency_ms=point.latency_ms,
                score=_clip(plan, point.accuracy),
                subnet=point.subnet.id,
                low90=float(low[index]),
                high90=float(high[index]),
            )
            for index, point in enumerate(own.points)
        ),
        candidates=_candidates(plan, latency, corrected.found) if corrected else _predicted(plan, own),
        correction=_correction(corrected.found) if corrected else None,
        cloud=_cloud(plan, own),
        references=references(plan, latency, score),
    )


def named_subnets(space: Space) -> dict[str, Subnet]:
    """Subnets that people would compare with, by name: the ends of the space, and uniform ones made by hand."""
    middle = [choices[len(choices) // 2] for choices in (space.kernels, space.expands, space.depths)]
    kernel, expand, depth = int(middle[0]), middle[1], int(middle[2])
    ratio = space.width_ratios[len(space.width_ratios) // 2] if space.width_ratios else None
    resolution = space.resolutions[len(space.resolutions) // 2]
    found = {
        "largest": space.largest(),
        f"smallest, {space.resolutions[-1]} px": space.smallest(space.resolutions[-1]),
        "smallest": space.smallest(),
        f"k{kernel} e{expand:g} d{depth}": space.uniform(kernel, expand, depth, None, ratio),
        f"k{kernel} e{expand:g} d{depth}, {resolution} px": space.uniform(kernel, expand, depth, resolution, ratio),
        f"largest with k{space.kernels[0]}": space.uniform(space.kernels[0], space.expands[-1], space.depths[-1]),
    }
    distinct = {subnet: name for name, subnet in reversed(found.items())}
    return {name: subnet for name, subnet in found.items() if distinct[subnet] == name}


def references(plan: SearchPlan, latency: Score, score: Score) -> tuple[ReferencePoint, ...]:
    """`named_subnets` with their predictions."""
    named = named_subnets(plan.package.space)
    genomes = plan.package.space.genome(list(named.values()))
    rows = zip(named.items(), latency(genomes), score(genomes), strict=True)
    return tuple(
        ReferencePoint(name=name, subnet=subnet.id, latency_ms=float(ms), score=_clip(plan, value))
        for (name, subnet), ms, value in rows
    )


def _predicted(plan: SearchPlan, front: Front) -> tuple[CandidateRecord, ...]:
    best = front.best(plan.budget_ms)
    return (CandidateRecord(subnet=best.subnet.id, latency_ms=best.latency_ms, score=_clip(plan, best.accuracy)),)


def _candidates(plan: SearchPlan, latency: Score, found: MeasuredSearch) -> tuple[CandidateRecord, ...]:
    """Every measured subnet, the best first by what is expected of it."""
    answers, space = found.correction.answers, plan.package.space
    expected, errors = found.expected
    times = latency(answers.genomes)
    return tuple(
        CandidateRecord(
            subnet=space.subnet(answers.genomes[index]).id,
            latency_ms=float(times[index]),
            score=_clip(plan, found.predicted[index]),
            measured_top1=float(answers.top1[index]),
            foreseen_top1=_clip(plan, found.foreseen[index]),
            expected_top1=_clip(plan, expected[index]),
            expected_sd=float(errors[index]),
            round=found.rounds[index],
        )
        for index in np.argsort(-expected, kind="stable").tolist()
    )


def _correction(found: MeasuredSearch) -> CorrectionRecord:
    answers = found.correction.answers
    measured, noise = answers.top1, answers.top1_noise
    one, other = np.triu_indices(len(measured), 1)
    apart = noise[one, one] + noise[other, other] - 2 * noise[one, other]
    later = np.array(found.rounds) > 1  # before the first round there is nothing to correct by
    later = later if later.sum() > 1 else np.ones_like(later)
    predicted, foreseen, truth = found.predicted[later], found.foreseen[later], measured[later]
    return CorrectionRecord(
        measurements=len(measured),
        rounds=found.rounds[-1],
        stopped=found.stopped,
        images=answers.margins.shape[1],
        shift=float(np.mean(found.expected[0] - found.predicted)),
        difference_sd=float(np.sqrt(max(apart.mean(), 0.0))) if len(apart) else 0.0,
        process_sd=found.correction.scale,
        compared=len(truth),
        kendall_predicted=kendall(predicted, truth),
        kendall_foreseen=kendall(foreseen, truth),
        rmse_predicted=_rmse(predicted, truth),
        rmse_foreseen=_rmse(foreseen, truth),
    )


def _cloud(plan: SearchPlan, front: Front) -> tuple[tuple[float, float], ...]:
    """Every n-th of the subnets evaluated, in the order of evaluation."""
    step = max(1, -(-len(front.latency) // CLOUD))
    return tuple(
        (float(ms), _clip(plan, score)) for ms, score in zip(front.latency[::step], front.accuracy[::step], strict=True)
    )


def _rmse(one: Floats, other: Floats) -> float:
    return float(np.sqrt(np.mean((one - other) ** 2)))


def _clip(plan: SearchPlan, score: float) -> float:
    """A regression may predict a top-1 slightly outside 0..1."""
    return min(max(float(score), 0.0), 1.0) if plan.predictor else float(score)
