"""Predict, measure, correct: the search and measurements in turn, until the front stands still.

Each round searches with the corrected predictor, lets draws from its posterior name the subnets to measure (they lie
near the front, and where the model is unsure), measures them, and corrects again. The choice is by posterior mean among
what was measured: the best raw value would mostly be the luckiest one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ofa_edge.search.archive import Floats, Score
from ofa_edge.search.correction import Answers, Correction
from ofa_edge.space import Genomes

BATCH = 4  # measurements of a round, at least
ROUNDS = 5  # at most
STILL = 3  # rounds in which the front must not move: one is soon still by luck
Propose = Callable[[Score], Genomes]  # the best genomes within the budget by a score, the best first
Measure = Callable[[Genomes], NDArray[np.float32]]  # margins of the subnet of one genome, image by image
Heads = Callable[[Genomes, Floats], NDArray[np.intp]]  # rows that lead the front below the budget, by their scores


@dataclass(frozen=True)
class MeasuredSearch:
    """What was measured, in the order of measuring, and what follows from it.

    Attributes:
        correction: the model after the last measurement.
        predicted: top-1 by the predictor: [M].
        foreseen: top-1 as the correction had it just before each was measured: [M].
        rounds: the round in which each was measured, from 1: [M].
        chosen: the one with the highest posterior mean.
        stopped: whether the front stood still, or all measurements were used.
    """

    correction: Correction
    predicted: Floats
    foreseen: Floats
    rounds: tuple[int, ...]
    chosen: int
    stopped: Literal["settled", "spent"]

    @property
    def expected(self) -> tuple[Floats, Floats]:
        """Posterior mean and standard deviation of each: [M], [M]. Errors that all share are in the latter."""
        mean, covariance = self.correction.joint(self.correction.answers.genomes)
        return mean, np.sqrt(np.maximum(np.diag(covariance), 0.0))


def measured_search(
    predict: Score,
    rmse: float,
    images: int,
    pool: Genomes,
    propose: Propose,
    measure: Measure,
    heads: Heads,
    count: int,
    seed: int,
    weights: Floats | None = None,
) -> MeasuredSearch:
    """Alternate between search and measurement.

    Args:
        predict: the predictor, genomes [N, genome_length] to top-1 [N].
        rmse: its expected error.
        images: behind each measurement.
        pool: the best genomes within the budget by the predictor.
        propose: runs a search with a corrected score.
        measure: measures one genome [genome_length].
        heads: leaders of the front below the budget, whose movement is watched.
        count: measurements, at most; fewer where the front stands still.
        seed: of the draws.
        weights: of the images behind each measurement, sum 1; all alike by default.
    """
    rng = np.random.default_rng(seed)
    answers = Answers.none(pool.shape[1], images, weights)
    correction = Correction.fit(predict, rmse, answers)
    leaders, still = pool[heads(pool, correction.mean(pool))], 0
    foreseen, rounds = list[float](), list[int]()
    batch = max(BATCH, -(-count // ROUNDS))
    while len(rounds) < count and still < STILL:
        picked = pool[correction.thompson(pool, min(batch, count - len(rounds)), rng)]
        if not len(picked):  # a space nearly measured out
            break
        foreseen += correction.mean(picked).tolist()
        rounds += [rounds[-1] + 1 if rounds else 1] * len(picked)
        for genome in picked:
            answers = answers.with_one(genome, measure(genome))
        correction = Correction.fit(predict, rmse, answers)
        if len(rounds) < count:
            # What was measured stays in the pool: the front may well be made of it.
            pool = _distinct(np.concatenate([answers.genomes, propose(correction.mean)]))
            new = pool[heads(pool, correction.mean(pool))]
            still = 0 if _moved(correction, leaders, new) else still + 1
            leaders = new
    return MeasuredSearch(
        correction=correction,
        predicted=np.asarray(predict(answers.genomes), dtype=np.float64),
        foreseen=np.array(foreseen),
        rounds=tuple(rounds),
        chosen=int(np.argmax(correction.mean(answers.genomes))),
        stopped="spent" if len(rounds) == count else "settled",
    )


def _distinct(genomes: Genomes) -> Genomes:
    _, first = np.unique(genomes, axis=0, return_index=True)
    return np.asarray(genomes[np.sort(first)])


def _moved(correction: Correction, before: Genomes, after: Genomes) -> bool:
    """Whether any leader of the front gives way to one that is better by more than the error of that difference."""
    for old, new in zip(before, after, strict=True):
        gain, error = correction.difference(new, old)
        if gain > error:
            return True
    return False
