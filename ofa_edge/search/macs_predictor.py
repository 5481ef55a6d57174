"""MACs in place of a predictor that does not earn its use: a line of top-1 over log MACs, fitted to the same pairs.

Its order is that of MACs. Its scale is that of top-1, with an error of its own on held-out pairs, so that measurements
can correct it like any other predictor.
"""

import functools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ofa_edge.cost import BlockTable, macs_table
from ofa_edge.metrics import Metric
from ofa_edge.search.bound import LogCurve, SeparableAccuracy
from ofa_edge.space import Genomes, Space

Floats = NDArray[np.float64]
LEAST_SLOPE = 0.001 / math.log(2)  # a tenth of a point for each doubling


@dataclass(frozen=True)
class MacsLine:
    """Top-1 as `intercept + slope * ln(MACs)`, and its error.

    Attributes:
        slope: at least `LEAST_SLOPE`: what the pairs say may be no order or the wrong one, and a search needs one.
        intercept: so that the line goes through the mean of the pairs.
        rmse: on held-out pairs, in the unit of top-1, 0..1.
    """

    slope: float
    intercept: float
    rmse: float

    @classmethod
    def fit(cls, macs: Floats, accuracy: Floats, fold: NDArray[np.intp]) -> "MacsLine":
        """Least squares on pairs [N]; `fold` [N] says which are predicted together by a line that did not see them."""
        logs = np.log(macs)
        predicted = np.empty(len(accuracy))
        for index in np.unique(fold):
            slope, intercept = _line(logs[fold != index], accuracy[fold != index])
            predicted[fold == index] = intercept + slope * logs[fold == index]
        return cls(*_line(logs, accuracy), float(np.sqrt(np.mean((predicted - accuracy) ** 2))))


def _line(logs: Floats, accuracy: Floats) -> tuple[float, float]:
    off = logs - logs.mean()
    slope = max(float(off @ accuracy) / max(float(off @ off), 1e-12), LEAST_SLOPE)
    return slope, float(accuracy.mean() - slope * logs.mean())


@dataclass(frozen=True)
class MacsPredictor:
    """The line as a predictor of top-1, 0..1 (see `search.load_predictor.Predictor`)."""

    space: Space
    line: MacsLine
    metric: Metric = "top1"  # of the pairs behind the line

    @property
    def rmse(self) -> float:
        """Expected error of one prediction, estimated on held-out pairs."""
        return self.line.rmse

    @property
    def rmse_source(self) -> Literal["held-out", "published"]:
        """It was measured."""
        return "held-out"

    @functools.cached_property
    def _table(self) -> BlockTable:
        return macs_table(self.space)

    def _macs(self, genomes: Genomes) -> Floats:
        return np.asarray(self._table(genomes)[:, 0], dtype=np.float64)

    def predict(self, genomes: Genomes) -> Floats:
        """Top-1 of canonical genomes: [N]."""
        return np.asarray(self.line.intercept + self.line.slope * np.log(self._macs(genomes)))

    @property
    def separable(self) -> SeparableAccuracy:
        """The prediction as a curve of MACs, for an upper bound of a search."""
        curve = LogCurve(self.line.slope, 0.0, -self.line.intercept / self.line.slope)
        return SeparableAccuracy(lambda genomes: np.zeros(len(genomes)), self._macs, curve)
