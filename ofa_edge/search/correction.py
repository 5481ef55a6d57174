"""A predictor corrected by a few measured subnets: where it is off, how sure that is, and what to measure next.

The subnets that a search likes best are those that the predictor overrates, and of several measured ones the best is
one that measuring overrated too. Both are mended by one model: accuracy is the prediction, plus an offset, plus a share
of the prediction's deviation from its mean, plus a Gaussian process over genes; measured values add a noise whose
covariance is known, since all subnets answer the same images. Its posterior mean shrinks lucky values. Measured is not
top-1 itself but a smooth form of it with less noise (`Answers.value`).
Source: C. Rasmussen, C. Williams, Gaussian Processes for Machine Learning, sections 2.2, 2.7 and 5.4.
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ofa_edge.search.archive import Floats, Score
from ofa_edge.space import Genomes

OFFSET_SD = 0.02  # of top-1, 0..1: predictor and measurements may be of different images
SLOPE_SD = 0.5  # a predictor may be right about the order and wrong about the size of differences
SCALES = (0.25, 0.5, 1.0, 2.0)  # the process's standard deviation in units of the predictor's RMSE
LENGTHS = (0.05, 0.15, 0.5)  # share of genes over which it forgets
_JITTER = 1e-12


@dataclass(frozen=True)
class Answers:
    """How measured subnets answer images; all saw the same ones.

    Attributes:
        genomes: canonical, [M, genome_length].
        margins: logit of the right class less the largest other one: [M, images].
        weights: of each image, sum 1: [images]; None: all alike. With `class_shares` "top-1" is balanced accuracy.
    """

    genomes: Genomes
    margins: NDArray[np.float32]
    weights: Floats | None = None

    def _mean(self, scores: NDArray[np.float64]) -> Floats:
        return np.asarray(scores.mean(axis=1) if self.weights is None else scores @ self.weights)

    @property
    def top1(self) -> Floats:
        """Measured top-1 of each: [M]."""
        return self._mean((self.margins > 0).astype(np.float64))

    @functools.cached_property
    def _sure(self) -> NDArray[np.float64]:
        """Probability that the right class beats the best other one, by the subnet itself: [M, images]."""
        return np.asarray(0.5 + 0.5 * np.tanh(0.5 * self.margins.astype(np.float64)))

    @functools.cached_property
    def value(self) -> Floats:
        """What the correction learns from: mean probability of being right, shifted to the mean top-1: [M].

        An image that is right by a hair in one subnet and wrong by a hair in another tells next to nothing of them, and
        is most of what top-1 differs by. Here it counts as next to nothing.
        """
        sure = self._mean(self._sure)
        return np.asarray(sure + (self.top1.mean() - sure.mean() if len(sure) else 0.0))

    @functools.cached_property
    def noise(self) -> Floats:
        """Covariance of the errors of `value`: [M, M]; an easy image is easy for all."""
        return _error_covariance(self._sure, self.weights)

    @property
    def top1_noise(self) -> Floats:
        """Covariance of the errors of `top1`: [M, M]."""
        return _error_covariance((self.margins > 0).astype(np.float64), self.weights)

    def with_one(self, genome: Genomes, margins: NDArray[np.float32]) -> "Answers":
        """These and one more subnet's."""
        margins = np.concatenate([self.margins, margins[None]])
        return Answers(np.concatenate([self.genomes, genome[None]]), margins, self.weights)

    @classmethod
    def none(cls, genome_length: int, images: int, weights: Floats | None = None) -> "Answers":
        """No subnet yet."""
        return cls(np.empty((0, genome_length), np.int8), np.empty((0, images), np.float32), weights)


def class_shares(labels: NDArray[np.int64]) -> Floats:
    """Weights of images, sum 1, under which all classes that they show weigh alike: [images]."""
    _, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / (len(counts) * counts[place]))


def _error_covariance(scores: NDArray[np.float64], weights: Floats | None) -> Floats:
    """Covariance of the errors of the means of scores [M, images], 0..1, over images drawn at random: [M, M]."""
    count: float = scores.shape[1]
    if weights is None:
        off = scores - scores.mean(axis=1, keepdims=True)
    else:
        count = 1 / float(weights @ weights)  # images of equal weight that would say as much
        off = (scores - (scores @ weights)[:, None]) * weights * count
    # A subnet with every answer right still has an error: as if one image more were wrong and one right.
    return np.asarray((off @ off.T / count + np.eye(len(off)) / (count + 2)) / count)


def margins(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """Logit of the right class less the largest other one, of logits [images, classes]: [images]."""
    rows = np.arange(len(labels))
    others = logits.astype(np.float32)
    others[rows, labels] = -np.inf
    return np.asarray(logits[rows, labels] - others.max(axis=1), dtype=np.float32)


@dataclass(frozen=True)
class Correction:
    """A predictor with what measurements say about it.

    Attributes:
        prior: maps genomes [N, genome_length] to predicted top-1 [N].
        answers: what was measured.
        centre: the prediction from which the slope counts.
        scale: standard deviation of the Gaussian process.
        length: share of genes over which it forgets.
    """

    prior: Score
    answers: Answers
    centre: float
    scale: float
    length: float

    @classmethod
    def fit(cls, prior: Score, rmse: float, answers: Answers) -> "Correction":
        """The scale and length with most evidence, of a half-normal prior on the scale with deviation `rmse`.

        Args:
            prior: the predictor.
            rmse: its expected error, in the unit of top-1.
            answers: measured subnets; none leaves the predictor as it is.
        """
        if not len(answers.genomes):
            return cls(prior, answers, 0.0, rmse, LENGTHS[1])
        centre = float(np.mean(prior(answers.genomes)))
        fits = [cls(prior, answers, centre, scale * rmse, length) for scale in SCALES for length in LENGTHS]
        return max(fits, key=lambda fit: fit._evidence - 0.5 * (fit.scale / max(rmse, _JITTER)) ** 2)

    def mean(self, genomes: Genomes) -> Floats:
        """Expected top-1 of genomes: [N]; the predictor's where nothing was measured."""
        predicted = np.asarray(self.prior(genomes), dtype=np.float64)
        if not len(self.answers.genomes):
            return predicted
        return np.asarray(predicted + self._covariance(genomes, predicted, *self._measured) @ self._solved)

    def joint(self, genomes: Genomes) -> tuple[Floats, Floats]:
        """Expected top-1 [N] and its covariance [N, N]."""
        predicted = np.asarray(self.prior(genomes), dtype=np.float64)
        own = self._covariance(genomes, predicted, genomes, predicted)
        if not len(self.answers.genomes):
            return predicted, own
        across = self._covariance(genomes, predicted, *self._measured)
        known = np.linalg.solve(self._factor, across.T)
        return predicted + across @ self._solved, own - known.T @ known

    def difference(self, genome: Genomes, other: Genomes) -> tuple[float, float]:
        """By how much `genome` is expected above `other`, and the standard deviation of that."""
        mean, covariance = self.joint(np.stack([genome, other]))
        variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
        return float(mean[0] - mean[1]), float(np.sqrt(max(variance, 0.0)))

    def thompson(self, pool: Genomes, count: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """Up to `count` distinct rows of `pool` [N, genome_length], each the best of one draw from the posterior.

        Source: W. Thompson, Biometrika 25 (1933). Draws differ where the model is unsure, so a batch explores by
        itself. Rows that were measured already are not drawn.
        """
        mean, covariance = self.joint(pool)
        values, vectors = np.linalg.eigh(covariance)
        # The symmetric root: eigenvectors of close eigenvalues turn with the last bit, which depends on the machine.
        root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        seen = {genome.tobytes() for genome in self.answers.genomes}
        free = np.array([genome.tobytes() not in seen for genome in pool])
        chosen: list[int] = []
        for _ in range(min(count, int(free.sum()))):
            draw = mean + root @ rng.standard_normal(len(pool))
            chosen.append(int(np.argmax(np.where(free, draw, -np.inf))))
            free[chosen[-1]] = False
        return np.array(chosen, dtype=np.intp)

    # -- linear algebra -------------------------------------------------------------------------------------------

    def _covariance(self, genomes: Genomes, predicted: Floats, others: Genomes, their_predicted: Floats) -> Floats:
        """Prior covariance of the correction between two sets: [N, M]."""
        different = np.zeros((len(genomes), len(others)))
        for column in range(genomes.shape[1]):
            different += genomes[:, column, None] != others[:, column]
        process = self.scale**2 * np.exp(-different / genomes.shape[1] / self.length)
        slopes = (predicted - self.centre)[:, None] * (their_predicted - self.centre)
        return np.asarray(process + SLOPE_SD**2 * slopes + OFFSET_SD**2)

    @functools.cached_property
    def _measured(self) -> tuple[Genomes, Floats]:
        return self.answers.genomes, np.asarray(self.prior(self.answers.genomes), dtype=np.float64)

    @functools.cached_property
    def _factor(self) -> Floats:
        inside = self._covariance(*self._measured, *self._measured) + self.answers.noise
        return np.asarray(np.linalg.cholesky(inside + _JITTER * np.eye(len(inside))), dtype=np.float64)

    @functools.cached_property
    def _whitened(self) -> Floats:
        return np.asarray(np.linalg.solve(self._factor, self.answers.value - self._measured[1]))

    @functools.cached_property
    def _solved(self) -> Floats:
        return np.asarray(np.linalg.solve(self._factor.T, self._whitened))

    @property
    def _evidence(self) -> float:
        return float(-0.5 * self._whitened @ self._whitened - np.log(np.diag(self._factor)).sum())
