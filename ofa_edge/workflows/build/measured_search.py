"""The measured part of the search stage: candidates extracted, calibrated and measured, and the predictor corrected."""

import functools
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ofa_edge.search.archive import Floats, Score
from ofa_edge.search.correction import class_shares, margins
from ofa_edge.search.measured import MeasuredSearch, Propose, measured_search
from ofa_edge.space import Genomes, Subnet
from ofa_edge.workflows.build.plan import SearchPlan, weights_digest

WATCHED = (0.7, 0.8, 0.9, 1.0)  # shares of the budget at which the front is watched
_KEPT = 512  # answers of subnets: a search with another latency model or budget measures many of the same ones
_answers: dict[Hashable, NDArray[np.float32]] = {}  # of this process, by all that they depend on


@dataclass(frozen=True)
class Corrected:
    """The subnet that measuring chose, and everything measured on the way."""

    chosen: Subnet
    found: MeasuredSearch


def corrected_search(plan: SearchPlan, pool: Genomes, propose: Propose, latency: Score) -> Corrected:
    """Search, measure on held-out training images, correct the predictor, and so on (see `search.measured`).

    Measured is what the predictor predicts: top-1, or balanced accuracy.

    Args:
        plan: of a supernet with a predictor.
        pool: the best genomes within the budget by the predictor.
        propose: runs the plan's search with another score and returns its best genomes within the budget.
        latency: milliseconds of genomes.
    """
    from ofa_edge.supernet.evaluate import logits
    from ofa_edge.supernet.own_data import subnet_for

    assert plan.predictor is not None
    images, space = plan.data.validation, plan.package.space
    supernet = functools.cache(plan.package.load)

    @functools.cache
    def facts() -> tuple[Hashable, ...]:
        return space, weights_digest(plan.package), plan.data.calibration.digest, images.digest

    def measure(genome: Genomes) -> NDArray[np.float32]:
        subnet = space.subnet(genome)
        preprocessing = plan.package.preprocessing(subnet.resolution)
        key = (*facts(), subnet, preprocessing)
        if key not in _answers:
            net = subnet_for(plan.package, supernet(), subnet, plan.data.calibration)
            for oldest in list(_answers)[: len(_answers) - _KEPT + 1]:
                del _answers[oldest]
            _answers[key] = margins(logits(net, images, preprocessing), images.labels)
        return _answers[key]

    def heads(genomes: Genomes, scores: Floats) -> NDArray[np.intp]:
        times = latency(genomes)
        within = [np.where(times <= share * plan.budget_ms, scores, -np.inf) for share in WATCHED]
        # Where nothing in the pool is so fast, the fastest stands in, and never moves.
        fastest = int(np.argmin(times))
        return np.array([np.argmax(row) if np.isfinite(row).any() else fastest for row in within], dtype=np.intp)

    found = measured_search(
        plan.predictor.predict,
        plan.predictor.rmse,
        len(images),
        pool,
        propose,
        measure,
        heads,
        plan.measure,
        plan.seed,
        class_shares(images.labels) if plan.predictor.metric == "balanced" else None,
    )
    return Corrected(space.subnet(found.correction.answers.genomes[_winner(plan, found, latency)]), found)


def _winner(plan: SearchPlan, found: MeasuredSearch, latency: Score) -> int:
    """The highest expected top-1; with a minimum accuracy, the fastest that is expected to reach it, if any is."""
    wanted = plan.constraints.min_accuracy
    reach = np.flatnonzero(found.expected[0] >= wanted) if wanted is not None else np.empty(0, np.intp)
    if not len(reach):
        return found.chosen
    times = latency(found.correction.answers.genomes)
    return int(reach[np.argmin(times[reach])])
