"""What measurements say about the units of a space: a Gaussian posterior around the analytic model.

A unit measured by itself takes c, inside a whole network it takes d:

    c = sum over terms t of  ms_t exp(theta_t) amount_t  +  m g  +  m h
    d = c + m u + v . correction
    measured unit = c + call + noise,    measured network = sum of d + call + noise

`theta` moves the analytic coefficients (prior: their own error), `m` is what they then give for the unit, `g` a smooth
function of the unit's shape (like shapes are wrong alike: this is what carries over to units that were not measured),
`h` the unit's own, `u` how much the unit's surroundings change it (half of it smooth, half the unit's own), and `v`
what all networks share: a scale, a cost for each unit, weights and maps that come out of memory instead of a warm
cache. All are Gaussian; theta enters through its linearisation, repeated until it rests (an iterated Laplace
approximation: Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, chapters 2 and 3). The widths of
g, h, u and the noises maximise the marginal likelihood (chapter 5).
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ofa_edge.latency.analytic import TERMS, Coefficients, amounts
from ofa_edge.latency.units import Unit

Floats = NDArray[np.float64]
Width = Annotated[float, Field(gt=0, le=1000)]  # where a file gives it
_STEPS = 12
_LARGEST_STEP = 0.7  # of ln(coefficient) at once: the linearisation reaches no further
_REST = 1e-4
# Prior standard deviations of `v`: of the scale, of a cost per unit (in mean units), of weights, of maps.
_CORRECTION = (0.1, 0.05, 0.5, 0.3)
_JITTER = 1e-10
_TRIES = 150  # evaluations of the marginal likelihood
_PULL = 1.5  # standard deviation of ln(width) around its start: data that say nothing leave it there


@dataclass(frozen=True)
class Widths:
    """Widths of what is not known, as fractions of a latency. `reach` is a distance between shapes (`Unit.place`)."""

    shape: Width = 0.10
    own: Width = 0.05
    surroundings: Width = 0.05
    unit_noise: Width = 0.02
    network_noise: Width = 0.02
    reach: Width = 2.0

    def vector(self) -> Floats:
        """As logarithms: [6]."""
        return np.log(dataclasses.astuple(self))

    @classmethod
    def of(cls, vector: Floats) -> "Widths":
        """Inverse of `vector`."""
        return cls(*np.exp(vector).tolist())


@dataclass(frozen=True)
class Data:
    """Measurements of one space's units and networks, as arrays.

    Attributes:
        counts: how often each measurement runs each unit, the call included: [M, U].
        whole: which are whole networks: [M].
        ms, sd: medians and their standard errors, milliseconds: [M].
    """

    counts: Floats
    whole: NDArray[np.bool_]
    ms: Floats
    sd: Floats


@dataclass(frozen=True)
class Posterior:
    """What units take inside a network.

    Attributes:
        ms: means: [U].
        covariance: [U, U].
        terms: milliseconds of each unit by term, of the analytic part at its moved coefficients: [U, T].
    """

    ms: Floats
    covariance: Floats
    terms: Floats


class Units:
    """The units of a space under one analytic prior: what every fit of it shares."""

    def __init__(self, units: Sequence[Unit], prior: Coefficients) -> None:
        self.size = len(units)
        self.log_covariance = prior.log_covariance
        rows = [prior.ms * amounts(unit.operators, prior.lowering) for unit in units]
        rows[-1] = prior.ms * np.eye(len(TERMS))[-1]  # the call
        self.terms = np.array(rows)
        kinds = [unit.kind for unit in units]
        self.called = np.array([kind == "call" for kind in kinds])
        places = [np.zeros(0) if unit.kind == "call" else unit.place for unit in units]
        length = max(len(place) for place in places)
        padded = np.array([np.pad(place, (0, length - len(place))) for place in places])
        squares = np.square(padded).sum(axis=1)
        self.distances = np.maximum(squares[:, None] + squares - 2 * padded @ padded.T, 0.0)
        names = np.array(kinds)
        self.akin = (names[:, None] == names) & ~self.called

    def posterior(self, data: Data, widths: Widths) -> Posterior:
        """The posterior of all units, at given widths."""
        theta = self._rest(data, widths)
        system = _System(self, data, widths, theta)
        cross = system.cross
        covariance = system.inside - cross @ system.solve(cross.T)
        return Posterior(
            ms=system.mean + cross @ system.solve(system.residual),
            covariance=(covariance + covariance.T) / 2,
            terms=system.terms,
        )

    def alone(self, widths: Widths) -> tuple[Floats, Floats]:
        """Prior means [U] and covariance [U, U] of units by themselves."""
        nothing = Data(np.zeros((0, self.size)), np.zeros(0, dtype=bool), np.zeros(0), np.zeros(0))
        system = _System(self, nothing, widths, np.zeros(self.terms.shape[1]))
        return system.mean, system.alone

    def learn(self, data: Data, start: Widths) -> Widths:
        """The widths that make the data most likely, pulled towards `start`."""
        from scipy.optimize import minimize

        used = data.counts.any(axis=0) | self.called
        few, own = self.only(used), dataclasses.replace(data, counts=data.counts[:, used])
        found, begin = start, start.vector()
        for _ in range(2):  # theta rests where the widths put it
            theta = few._rest(own, found)

            def cost(vector: Floats, theta: Floats = theta) -> float:
                system = _System(few, own, Widths.of(vector), theta)
                return system.surprise() + 0.5 * float(np.square((vector - begin) / _PULL).sum())

            options = {"maxfev": _TRIES, "xatol": 0.02, "fatol": 0.02}
            found = Widths.of(minimize(cost, found.vector(), method="Nelder-Mead", options=options).x)
        return found

    def only(self, used: NDArray[np.bool_]) -> "Units":
        """Some of the units."""
        part = object.__new__(Units)
        part.size, part.log_covariance = int(used.sum()), self.log_covariance
        part.terms, part.called = self.terms[used], self.called[used]
        part.distances, part.akin = self.distances[np.ix_(used, used)], self.akin[np.ix_(used, used)]
        return part

    def _rest(self, data: Data, widths: Widths) -> Floats:
        """The most probable move of the logarithms of the coefficients: [T]."""
        theta = np.zeros(self.terms.shape[1])
        if not len(data.ms):
            return theta
        for _ in range(_STEPS):
            system = _System(self, data, widths, theta)
            step = self.log_covariance @ (system.terms.T @ (data.counts.T @ system.solve(system.residual))) - theta
            largest = float(np.abs(step).max())
            theta = theta + step * min(1.0, _LARGEST_STEP / max(largest, 1e-12))
            if largest < _REST:
                break
        return theta


class _System:
    """The Gaussian system at one move `theta`: prior means and covariances of units and of measurements."""

    def __init__(self, units: Units, data: Data, widths: Widths, theta: Floats) -> None:
        self.terms = units.terms * np.exp(theta)
        ms = self.terms.sum(axis=1)
        self.mean = ms - self.terms @ theta  # linear in theta, exact where it stands
        self.residual = data.ms - data.counts @ self.mean
        alike = np.exp(-0.5 * units.distances / widths.reach**2) * units.akin
        each = np.diag(np.where(units.called, 0.0, 1.0))
        self.alone = self.terms @ units.log_covariance @ self.terms.T
        self.alone += ms[:, None] * ms * (widths.shape**2 * alike + widths.own**2 * each)
        correction = _correction(self.terms, units.called)
        shared = correction @ correction.T
        self.inside = self.alone + ms[:, None] * ms * (widths.surroundings**2 * (alike + each) / 2) + shared
        single, whole = data.counts * ~data.whole[:, None], data.counts * data.whole[:, None]
        self.cross = self.alone @ single.T + self.inside @ whole.T
        covariance = single @ self.alone @ single.T + whole @ self.inside @ whole.T
        mixed = single @ self.alone @ whole.T
        covariance += mixed + mixed.T
        noise = np.where(data.whole, widths.network_noise, widths.unit_noise) * data.ms
        diagonal = np.diag(covariance) + data.sd**2 + noise**2
        np.fill_diagonal(covariance, diagonal * (1 + _JITTER))
        self._factor = np.linalg.cholesky(covariance) if len(data.ms) else None

    def solve(self, right: Floats) -> Floats:
        """Inverse covariance of the measurements, applied."""
        if self._factor is None:
            return right
        return np.asarray(np.linalg.solve(self._factor.T, np.linalg.solve(self._factor, right)))

    def surprise(self) -> float:
        """Negative log likelihood of the measurements, but for a constant."""
        if self._factor is None:
            return 0.0
        return float(0.5 * self.residual @ self.solve(self.residual) + np.log(np.diag(self._factor)).sum())


def _correction(terms: Floats, called: NDArray[np.bool_]) -> Floats:
    """What networks do to units, in prior standard deviations: [U, 4]."""
    ms = np.where(called, 0.0, terms.sum(axis=1))
    maps = terms[:, TERMS.index("activations")] + terms[:, TERMS.index("spilled")]
    per_unit = np.where(called, 0.0, ms.sum() / max(1, int((~called).sum())))
    stacked = np.stack([ms, per_unit, terms[:, TERMS.index("weights")], maps], axis=1)
    return np.asarray(stacked * np.array(_CORRECTION))
