"""An upper bound of the accuracy within any latency budget, by Lagrangian relaxation.

It holds for a latency that is a sum over blocks and an accuracy of the form

    accuracy(x) = gain(x) + g(macs(x)),      gain and macs sums over blocks,

which is what `predictor.py` fits: all its features are such sums but the logarithm of MACs and its square. For each
resolution and each interval I of MACs, any price p >= 0 of a millisecond and any slope c of MACs give

    accuracy(x) <= max over all subnets of [gain + c * macs - p * latency] + p * budget + max over M in I of [g(M) - cM]

for every subnet within the budget whose MACs lie in I. The first maximum is exact, block by block (`additive.py`), the
last one is taken on a grid and its remainder added. The least over many (p, c) is kept, then the largest over intervals
and resolutions: a true bound whatever multipliers were tried; more of them only make it tighter.
Source: M. Fisher, The Lagrangian Relaxation Method, Management Science 27 (1981).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ofa_edge.search.additive import AdditiveTable, StageSolver, tabulate
from ofa_edge.search.archive import Floats, Score
from ofa_edge.search.front import NoBound
from ofa_edge.space import Genomes, Space

_INTERVALS = 12  # of MACs, at each resolution
_PRICES, _SLOPES = 40, 16  # multipliers of the first grid
_ROUNDS = 12  # of refinement around the best multipliers
_DIRECTIONS = tuple((a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b)
_GRID = 33  # points of an interval at which g is taken
_ROUNDING = 1e-12  # relative, of sums of some twenty float64 values


@dataclass(frozen=True)
class LogCurve:
    """g(M) = linear * l + square * l**2 where l = ln(M) - offset."""

    linear: float
    square: float
    offset: float

    def __call__(self, values: Floats) -> Floats:
        """Values of g."""
        log = np.log(values) - self.offset
        return np.asarray(log * (self.linear + log * self.square))

    def slope(self, values: Floats) -> Floats:
        """First derivatives."""
        return np.asarray((self.linear + 2 * self.square * (np.log(values) - self.offset)) / values)

    def bend(self, low: Floats, high: Floats) -> Floats:
        """At least the largest absolute second derivative on each interval low..high."""
        numerators = [
            np.abs(2 * self.square - self.linear - 2 * self.square * (np.log(m) - self.offset)) for m in (low, high)
        ]
        return np.asarray(np.maximum(*numerators) / low**2)  # the numerator is linear in ln M: largest at an end


@dataclass(frozen=True)
class SeparableAccuracy:
    """An accuracy as a sum over blocks and a curve of another such sum.

    Attributes:
        gain: maps genomes to the sum over blocks: [N].
        inner: maps genomes to the positive sum that the curve is taken of: [N].
        curve: the curve.
    """

    gain: Score
    inner: Score
    curve: LogCurve


@dataclass(frozen=True, eq=False)
class LagrangianBound:
    """The bound as straight lines: within a region no accuracy exceeds any of its lines at the budget.

    Attributes:
        prices: accuracy per millisecond: [regions, lines].
        offsets: accuracy at a budget of 0 ms: [regions, lines].
        least_ms: latency below which a region has no subnet: [regions].
        subnets: genomes that reach the first maximum at some line, near the front as a rule: [N, genome_length].
    """

    prices: Floats
    offsets: Floats
    least_ms: Floats
    subnets: Genomes

    def at(self, budget_ms: float) -> float:
        """No subnet within `budget_ms` is more accurate; minus infinity where none is that fast."""
        lines = (self.prices * budget_ms + self.offsets).min(axis=1)
        return float(np.where(self.least_ms <= budget_ms, lines, -np.inf).max())


def upper_bound(
    space: Space, latency: Score, accuracy: SeparableAccuracy, budgets: Floats
) -> LagrangianBound | NoBound:
    """The bound, made tight at some budgets; it holds at all.

    Args:
        space: the space.
        latency: maps genomes to milliseconds.
        accuracy: the accuracy, in its separable form.
        budgets: where the bound should be tight, in milliseconds: [B].

    Returns:
        The bound, or `NoBound` with the reason where the latency or the accuracy is no sum over blocks.
    """
    if space.width_ratios:
        return NoBound("widths are elastic: a block's cost depends on its neighbours, so nothing is a sum over blocks")
    times, gain, inner = (tabulate(space, each) for each in (latency, accuracy.gain, accuracy.inner))
    if times is None:
        return NoBound("the latency model is not a sum over blocks")
    if gain is None or inner is None:
        return NoBound("the accuracy predictor is not a sum over blocks")
    return _Relaxation(space, times, gain, inner, accuracy.curve).bound(budgets)


class _Relaxation:
    """The Lagrangian of one space; regions are resolutions x intervals of the inner sum."""

    def __init__(
        self, space: Space, times: AdditiveTable, gain: AdditiveTable, inner: AdditiveTable, curve: LogCurve
    ) -> None:
        self.solver, self.tables, self.curve = StageSolver(space), (gain, inner, times), curve
        missing = np.isnan(gain.entries)
        self.gains = np.where(missing, -np.inf, gain.entries)
        self.inners, self.times = (np.where(missing, 0.0, each.entries) for each in (inner, times))
        resolutions = np.arange(len(space.resolutions))
        low = -self.solver.maximum(-inner.fixed, np.where(missing, -np.inf, -inner.entries))
        high = self.solver.maximum(inner.fixed, np.where(missing, -np.inf, inner.entries))
        fastest = -self.solver.maximum(-times.fixed, np.where(missing, -np.inf, -times.entries))
        edges = np.geomspace(low * (1 - 1e-9), high * (1 + 1e-9), _INTERVALS + 1)
        self.resolution = np.repeat(resolutions, _INTERVALS)
        self.low, self.high = edges[:-1].T.ravel(), edges[1:].T.ravel()
        self.least_ms = fastest[self.resolution] * (1 - _ROUNDING) - 2 * times.error
        self.points = np.linspace(self.low, self.high, _GRID, axis=1)
        self.curved = curve(self.points)
        step = (self.high - self.low) / (_GRID - 1)
        self.remainder = step**2 / 8 * curve.bend(self.low, self.high)

    def bound(self, budgets: Floats) -> LagrangianBound:
        """Refine multipliers for every region and budget, and keep the lines."""
        region, budget, price, slope, values = self._first(budgets)
        factor, step = 1.6, (self.curve.slope(self.low) - self.curve.slope(self.high)).max()
        step = abs(float(step)) / 2 + 1e-3 * float(np.abs(self.curve.slope(self.points)).max())
        rows = np.zeros(0, dtype=np.intp)
        for _ in range(_ROUNDS):
            # Only the largest region of a budget is its bound, so only that one is worth refining.
            largest = values.reshape(len(self.low), -1).argmax(axis=0)
            rows = np.union1d(np.flatnonzero(region == largest[budget]), rows)
            for a, b in _DIRECTIONS:
                tried_price, tried_slope = price[rows] * factor**a, slope[rows] + step * b
                tried = self._offset(region[rows], tried_price, tried_slope) + tried_price * budgets[budget[rows]]
                lower = tried < values[rows]
                price[rows[lower]], slope[rows[lower]] = tried_price[lower], tried_slope[lower]
                values[rows[lower]] = tried[lower]
            factor, step = factor**0.75, step * 0.75
        shape = (len(self.low), len(budgets))
        offsets = self._offset(region, price, slope).reshape(shape)
        return LagrangianBound(
            price.reshape(shape), offsets, self.least_ms, self._subnets(region[rows], price[rows], slope[rows])
        )

    def _subnets(self, region: NDArray[np.intp], price: Floats, slope: Floats) -> Genomes:
        resolution = self.resolution[region]
        return np.unique(self.solver.argmax(*self._sums(resolution, price, slope), resolution), axis=0)

    def _first(self, budgets: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats, Floats, Floats]:
        """Each (region, budget) with the best multipliers of a coarse grid, and the bound that they give."""
        finite = np.isfinite(self.gains)
        slopes = self.curve.slope(self.points)
        # A curve alone has no gains: then a block adds its part of the inner sum, at the curve's slope.
        most = float(np.abs(self.gains[finite]).max()) or float(np.abs(slopes).max() * np.abs(self.inners).max())
        scale = most / max(float(np.abs(self.times).max()), 1e-30)
        prices = np.append(scale * np.geomspace(1e-3, 1e2, _PRICES - 1), 0.0)
        price, slope = (each.ravel() for each in np.meshgrid(prices, np.linspace(slopes.min(), slopes.max(), _SLOPES)))
        regions = np.arange(len(self.low))
        offsets = np.array([self._offset(np.full(len(price), each), price, slope) for each in regions])
        values = offsets[:, None] + price * budgets[:, None]  # [regions, budgets, multipliers]
        best = values.argmin(axis=-1)
        region, budget = (each.ravel() for each in np.meshgrid(regions, np.arange(len(budgets)), indexing="ij"))
        return region, budget, price[best].ravel(), slope[best].ravel(), values.min(axis=-1).ravel()

    def _offset(self, region: NDArray[np.intp], price: Floats, slope: Floats) -> Floats:
        """The bound at a budget of 0 ms: [M], for regions [M] and multipliers [M]."""
        gain, inner, times = self.tables
        fixed, entries = self._sums(self.resolution[region], price, slope)
        most = self.solver.maximum(fixed, entries)
        rest = (self.curved[region] - slope[:, None] * self.points[region]).max(axis=1) + self.remainder[region]
        size = np.abs(fixed) + np.abs(most) + np.abs(slope) * self.high[region]
        slack = 2 * (gain.error + np.abs(slope) * inner.error + price * times.error) + _ROUNDING * size
        return np.asarray(most + rest + slack)

    def _sums(self, resolution: NDArray[np.intp], price: Floats, slope: Floats) -> tuple[Floats, Floats]:
        """Tables of gain + slope * inner - price * latency: [M], [M, blocks, pairs]."""
        gain, inner, times = self.tables
        fixed = gain.fixed[resolution] + slope * inner.fixed[resolution] - price * times.fixed[resolution]
        entries = self.gains[resolution] + slope[:, None, None] * self.inners[resolution]
        return fixed, entries - price[:, None, None] * self.times[resolution]
