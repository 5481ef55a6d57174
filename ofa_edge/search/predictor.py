"""The accuracy predictor: from (subnet, measured top-1) pairs to the top-1 of any subnet of the space.

Once-For-All fits an MLP to 16,000 pairs (ICLR 2020, section 4). A few hundred noisy pairs of a small supernet do not
carry that: in cross-validation on such pairs, linear regression on one-hots and a few summaries with priors of
different widths had the lowest error, below MLPs and Gaussian processes (benchmarks/predictor.py).
"""

import functools
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import DataError, WeightsError
from ofa_edge.files import canonical_json, write_bytes
from ofa_edge.metrics import METRICS, Metric, kendall, spearman
from ofa_edge.search.bound import LogCurve, SeparableAccuracy
from ofa_edge.search.features import LOG_MACS_OFFSET, Features, LinearFeatures
from ofa_edge.search.macs_predictor import MacsLine, MacsPredictor
from ofa_edge.search.predictor_file import HINT, read_predictor_file, require_space
from ofa_edge.search.ranking import Ranking, rank
from ofa_edge.search.regression import LinearModel, fit_linear
from ofa_edge.space import Genomes, Space

Floats = NDArray[np.float64]
FORMAT = "ofa-edge accuracy predictor 1"
FOLDS = 8
MIN_PAIRS = 3 * FOLDS
_SLOPE_SD = 0.5  # of the share of a prior's differences that new pairs show, about 1 before they are seen


@dataclass(frozen=True)
class HeldOut:
    """How well pairs are predicted by fits that did not see them (K-fold cross-validation)."""

    rmse: float  # in the unit of top-1, 0..1; holds the noise of the measured accuracies too
    kendall: float
    spearman: float
    pairs: int
    folds: int
    ranking: Ranking | None = None  # None: the file was written before this was looked at
    macs: MacsLine | None = None  # what MACs alone say of the same pairs; None likewise
    images: int | None = None  # behind each measured accuracy; None: nobody said
    prior_kendall: float | None = None  # of a prior that is part of the fit, on its own pairs, where it earned its use

    @property
    def numbers(self) -> list[float]:
        """All figures that must be finite."""
        nested = [asdict(part).values() for part in (self.ranking, self.macs) if part is not None]
        own = [self.rmse, self.kendall, self.spearman, self.prior_kendall or 0.0]
        return [*own, *(value for part in nested for value in part)]

    @classmethod
    def of_facts(cls, facts: dict[str, Any]) -> "HeldOut":
        """Out of JSON. Raises KeyError, TypeError or ValueError for what is none."""
        facts = dict(facts)  # a list is refused here
        ranking, macs = facts.get("ranking"), facts.get("macs")
        found = cls(
            **{
                **facts,
                "ranking": None if ranking is None else Ranking(**ranking),
                "macs": None if macs is None else MacsLine(**macs),
            }
        )
        if not (0 <= found.rmse <= 1 and -1 <= found.kendall <= 1 and -1 <= found.spearman <= 1 and found.pairs >= 1):
            raise ValueError(f"held-out figures that cannot be: rmse {found.rmse!r:.40}, {found.pairs!r:.40} pairs")
        return found


@dataclass(frozen=True)
class FittedTo:
    """What the pairs behind a predictor were measured with."""

    weights_sha256: str  # of the supernet's file
    images_sha256: str  # of pixels and labels (`Images.digest`) that accuracy was measured on


@dataclass(frozen=True)
class AccuracyPredictor:
    """Predicts top-1 as a fraction of 1. NumPy only; 10,000 genomes take a few milliseconds.

    Example:
        predictor = AccuracyPredictor.fit(space, genomes, top1)
        predictor.predict(genomes)  # [N], give or take predictor.rmse
    """

    space: Space
    weights: Floats
    bias: float
    held_out: HeldOut
    metric: Metric = "top1"  # what it predicts
    fitted_to: FittedTo | None = None  # None: nobody said

    @property
    def rmse(self) -> float:
        """Expected error of one prediction, estimated on held-out pairs."""
        return self.held_out.rmse

    @property
    def rmse_source(self) -> Literal["held-out", "published"]:
        """It was measured."""
        return "held-out"

    @functools.cached_property
    def _function(self) -> LinearFeatures:
        return Features(self.space).linear(self.weights, self.bias)

    def predict(self, genomes: Genomes) -> Floats:
        """Top-1 of canonical genomes: [N]. Not clipped: a regression may leave 0..1."""
        return self._function(genomes)

    @functools.cached_property
    def separable(self) -> SeparableAccuracy:
        """The prediction as a sum over blocks and a curve of MACs, for an upper bound of a search."""
        function = self._function
        linear, square = (float(weight) for weight in function.log_macs)
        return SeparableAccuracy(function.gains, function.features.macs, LogCurve(linear, square, LOG_MACS_OFFSET))

    @property
    def macs(self) -> MacsPredictor | None:
        """MACs in this predictor's place, fitted to the same pairs; None where an older file does not have them."""
        return None if self.held_out.macs is None else MacsPredictor(self.space, self.held_out.macs, self.metric)

    def summary(self) -> dict[str, Any]:
        """The held-out figures as JSON, without those that nobody knows."""
        return {name: value for name, value in asdict(self.held_out).items() if value is not None}

    def of(self, fitted_to: FittedTo) -> "AccuracyPredictor":
        """The same, with what its pairs were measured with."""
        return replace(self, fitted_to=fitted_to)

    @classmethod
    def fit(
        cls,
        space: Space,
        genomes: Genomes,
        accuracy: Floats,
        seed: int = 0,
        prior: "AccuracyPredictor | None" = None,
        images: int | None = None,
    ) -> "AccuracyPredictor":
        """Fit to measured pairs.

        A prior is a predictor of the same space before its weights were trained for other classes. Its prediction is
        scaled to the new pairs, by as much as their noise allows: pairs of a few images leave it as it is. What that
        leaves is regressed, and then the prior dropped, only where the pairs say so: where held-out ones are predicted
        better by more than the standard error of that.

        Args:
            space: the search space.
            genomes: [N, genome_length], canonical.
            accuracy: measured top-1 of each, fractions of 1: [N].
            seed: of the split into folds. It moves the error estimate a little, and the predictions not at all.
            prior: what was known before.
            images: behind each accuracy; None: so many that it is exact.

        Raises:
            DataError: too few pairs, or accuracies that are not fractions.
        """
        accuracy = np.asarray(accuracy, dtype=np.float64)
        _check_pairs(space, genomes, accuracy)
        features = Features(space)
        values = features(genomes)
        fold = np.random.default_rng(seed).permutation(len(accuracy)) % FOLDS
        known = None if prior is None or len(prior.weights) != values.shape[1] else prior.weights
        noise = float((accuracy * (1 - accuracy)).mean()) / images if images else 0.0
        alone: _Fit = functools.partial(fit_linear, first_group=features.detailed)
        tried = [alone]
        if known is not None:
            scaled: _Fit = functools.partial(_scaled, prior=known, noise=noise)
            tried = [scaled, functools.partial(_corrected, scaled=scaled, rest=alone), alone]
        chosen = tried[0]
        predicted, model = _cross_validated(chosen, values, accuracy, fold)
        for fit in tried[1:]:
            other = _cross_validated(fit, values, accuracy, fold)
            gained = (predicted - accuracy) ** 2 - (other[0] - accuracy) ** 2
            if gained.mean() > gained.std(ddof=1) / np.sqrt(len(gained)):
                chosen, (predicted, model) = fit, other
        ranked = None if prior is None or chosen is alone else prior.held_out.ranking
        macs = features.macs(genomes).astype(np.float64)
        held_out = HeldOut(
            rmse=float(np.sqrt(np.mean((predicted - accuracy) ** 2))),
            kendall=kendall(predicted, accuracy),
            spearman=spearman(predicted, accuracy),
            pairs=len(accuracy),
            folds=FOLDS,
            ranking=rank(predicted, macs, accuracy),
            macs=MacsLine.fit(macs, accuracy, fold),
            images=images,
            prior_kendall=prior.held_out.kendall
            if prior is not None and ranked is not None and ranked.earned
            else None,
        )
        return cls(space, model.weights, model.bias, held_out)

    # -- files ----------------------------------------------------------------------------------------------------

    def save(self, path: Path) -> str:
        """Write as safetensors with the space's hash, the held-out figures and `fitted_to`; return the SHA-256."""
        from safetensors.numpy import save

        # One key: safetensors writes several in no fixed order, and the file's digest must not change.
        facts = {"space_hash": self.space.hash, "space": self.space.name, "held_out": self.summary()}
        facts["metric"] = self.metric
        if self.fitted_to is not None:
            facts["fitted_to"] = asdict(self.fitted_to)
        tensors = {"weights": self.weights, "bias": np.array([self.bias])}
        return write_bytes(path, save(tensors, {FORMAT: canonical_json(facts).decode()}))

    @classmethod
    def load(cls, path: Path, space: Space) -> "AccuracyPredictor":
        """Read a predictor of `space`.

        Raises:
            SpaceMismatchError: it was fitted to another search space.
            WeightsError: it is missing, damaged, or no accuracy predictor.
        """
        facts, tensors = read_predictor_file(path, FORMAT)
        try:
            held_out = HeldOut.of_facts(facts["held_out"])
            fitted_to = FittedTo(**facts["fitted_to"]) if "fitted_to" in facts else None
            require_space(path, facts, space)
            metric: Metric = facts.get("metric", "top1")
            if metric not in METRICS:
                raise ValueError(f"metric {metric!s:.40}")
            weights, bias = tensors["weights"], tensors["bias"]
            if weights.shape != (Features(space).width,) or bias.shape != (1,):
                raise ValueError(f"weights of shape {weights.shape}, bias of shape {bias.shape}")
            if weights.dtype != np.float64 or not np.isfinite([*weights, *bias, *held_out.numbers]).all():
                raise ValueError("values that are not finite numbers")
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError("damaged accuracy predictor", f"{path}: {error}", HINT) from error
        return cls(space, weights, float(bias[0]), held_out, metric, fitted_to)


_Fit = Callable[[Floats, Floats], LinearModel]  # features [N, F], accuracy [N]


def _cross_validated(
    fit: _Fit, values: Floats, accuracy: Floats, fold: NDArray[np.integer]
) -> tuple[Floats, LinearModel]:
    """What fits say of the pairs that they did not see, and the fit to all of them."""
    predicted = np.empty(len(accuracy))
    for index in range(FOLDS):
        part = fit(values[fold != index], accuracy[fold != index])
        predicted[fold == index] = values[fold == index] @ part.weights + part.bias
    return predicted, fit(values, accuracy)


def _scaled(values: Floats, accuracy: Floats, prior: Floats, noise: float) -> LinearModel:
    """A prior's prediction, scaled to pairs whose accuracies have a noise of that variance."""
    said = values @ prior
    spread, held = float(((said - said.mean()) ** 2).sum()), noise / _SLOPE_SD**2
    # The mean of the slope's posterior. Ranks may not turn round: below 0 the prior knows nothing of these pairs.
    slope = max((float(((said - said.mean()) * accuracy).sum()) + held) / (spread + held), 0.0) if spread else 0.0
    return LinearModel(slope * prior, float(accuracy.mean() - slope * said.mean()))


def _corrected(values: Floats, accuracy: Floats, scaled: _Fit, rest: _Fit) -> LinearModel:
    """Likewise, and a fit of what that leaves."""
    first = scaled(values, accuracy)
    left = rest(values, accuracy - values @ first.weights)
    return LinearModel(left.weights + first.weights, left.bias)


def _check_pairs(space: Space, genomes: Genomes, accuracy: Floats) -> None:
    wrong = None
    if genomes.shape != (len(accuracy), space.genome_length):
        wrong = f"genomes of shape {genomes.shape} for {len(accuracy)} accuracies"
    elif len(accuracy) < MIN_PAIRS:
        wrong = f"{len(accuracy)} pairs, at least {MIN_PAIRS} are needed"
    elif not ((accuracy >= 0) & (accuracy <= 1)).all():
        wrong = "accuracies must be fractions of 1 (0.91, not 91)"
    if wrong:
        raise DataError("cannot fit an accuracy predictor", wrong, "measure more subnets with ofa-edge train --pairs")
