"""Fit analytic latency models of many devices at once, so that thin data lean on what devices have in common.

The logarithms of a setting's coefficients (a setting is a device, back end, precision and number of threads) are a sum:

    theta = ln(base) + stack + backend + precision + core + device + setting
            + ln(threads) * (threads + device's threads)

`base` is what one thread would take at the hardware's peaks; `stack` (XNNPACK, TFLite's own kernels, ncnn, ...),
`backend` (a version of a stack) and `precision` are vectors over the terms; `core` is a vector of a kind of core in one
stack, `device` one number: how far the device falls short of its peaks, whatever runs on it; `setting` is a number,
and a vector that it shares with other numbers of threads. `threads` is how a stack's terms change with the number of
threads, and a device has a share of its own in it.
Runtimes share nothing but the device. Each part has a Gaussian prior around 0 (around the mean given, for stack and
threads) whose width is learned from the data (empirical Bayes). What comes out is the maximum a posteriori with its
Laplace covariance: a setting with many measurements follows them, one with two leans on its back end's and its device's
others, and one with none is a carried-over estimate with a wide interval.

No sum over operators is right for every network, and the sizes of one family are wrong together: a stack's and a
setting's misfit of a family are numbers of their own, estimated beside the coefficients (random effects: Laird, Ware,
Biometrics 1982) and 0 for a family that was not seen. So forty sizes of one family tell much about how latency grows
with size, and about its level no more than one family can. A setting's misfits are in no other row of the normal
equations, so they are eliminated from them first (Schur complement).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from ofa_edge.latency.analytic import TERMS

Floats = NDArray[np.float64]

_NOISE = 0.10  # standard deviation of ln(measured / model) of one network, beside what its family shares
_DEGREES = 5.0  # of Student's t, which keeps single wrong measurements from bending the fit
_MAX_STEPS = 100
_HALVINGS = 20  # of a step that does not help
_TOLERANCE = 1e-2  # of the negative log posterior


@dataclass(frozen=True)
class Setting:
    """Where measurements were made, or are to be predicted."""

    name: str
    device: str
    stack: str
    backend: str
    precision: str
    base: Floats  # milliseconds per unit of each term on one thread, from hardware figures: [T]
    threads: int = 1
    core: str = ""  # what kind; cores of one kind share what their stack makes of them


@dataclass(frozen=True)
class Observation:
    """One published latency."""

    setting: str
    family: str
    network: str
    amounts: Floats  # of each term: [T]
    ms: float


@dataclass(frozen=True)
class Prior:
    """Prior of the logarithms: mean and width of a stack's vector [T], and one width for each level below.

    `loose` scales a level's width by term [T]: 1 but for terms that whole networks alone cannot tell apart. `threads`
    is the mean power of the number of threads [T]; `by_precision` scales the width of a precision's vector [T].
    """

    mean: Floats
    width: Floats
    loose: Floats = field(default_factory=lambda: np.ones(len(TERMS)))
    levels: Mapping[str, float] = field(
        default_factory=lambda: {
            "backend": 0.4,
            "backend_scale": 0.3,
            "precision": 0.4,
            "core": 0.3,
            "device": 0.3,
            "setting": 0.2,
            "setting_scale": 0.2,
            "threads": 0.2,
            "device_threads": 0.1,
            "stack_misfit": 0.1,
            "setting_misfit": 0.1,
        }
    )
    threads: Floats = field(default_factory=lambda: np.zeros(len(TERMS)))
    by_precision: Floats = field(default_factory=lambda: np.ones(len(TERMS)))


class Layout:
    """Which parameters shape which setting: theta of setting s = ln(base) + matrix(s) @ parameters.

    Behind the coefficients' parameters stand the misfits that a stack has of the observed families, which no setting's
    theta has. The misfits of single settings are numbered apart: `groups` counts them.
    """

    def __init__(self, settings: Sequence[Setting], observations: Sequence[Observation] = ()) -> None:
        self.slots: dict[tuple[str, str], slice] = {}
        self.size = 0
        self._stacks = {setting.name: setting.stack for setting in settings}
        self._groups: dict[tuple[str, str], int] = {}
        for setting in settings:
            for level, name, width, _ in self._parts(setting):
                self._add(level, name, width)
        for item in observations:
            self._add("stack_misfit", self._misfit(item), 1)
            self._groups.setdefault((item.setting, item.family), len(self._groups))

    @property
    def groups(self) -> int:
        """How many pairs of a setting and a family were observed."""
        return len(self._groups)

    def _add(self, level: str, name: str, width: int) -> None:
        if (level, name) not in self.slots:
            self.slots[level, name] = slice(self.size, self.size + width)
            self.size += width

    def _misfit(self, item: Observation) -> str:
        return f"{self._stacks[item.setting]} {item.family}"

    def misfits(self, item: Observation) -> tuple[int, int]:
        """Where the parameter lies that an observation's family adds in its stack, and the number of its group."""
        return self.slots["stack_misfit", self._misfit(item)].start, self._groups[item.setting, item.family]

    @staticmethod
    def _parts(setting: Setting) -> list[tuple[str, str, int, float]]:
        """Level, name, width and factor of what adds up to a setting's theta."""
        terms, grown = len(TERMS), float(np.log(setting.threads))
        parts = [
            ("stack", setting.stack, terms, 1.0),
            ("backend", setting.backend, terms, 1.0),
            ("backend_scale", setting.backend, 1, 1.0),
            ("core", f"{setting.stack} {setting.core or setting.device}", terms, 1.0),
            ("device", setting.device, 1, 1.0),
            ("setting", f"{setting.device} {setting.backend} {setting.precision}", terms, 1.0),
            ("setting_scale", setting.name, 1, 1.0),
        ]
        if setting.precision != "fp32":
            parts.append(("precision", f"{setting.stack} {setting.precision}", terms, 1.0))
        if setting.threads > 1:
            parts.append(("threads", setting.stack, terms, grown))
            parts.append(("device_threads", setting.device, 1, grown))
        return parts

    def matrix(self, setting: Setting) -> Floats:
        """[T, P]: an identity for vectors, a column of ones for scalars, times ln(threads) where they count."""
        result = np.zeros((len(TERMS), self.size))
        for level, name, width, factor in self._parts(setting):
            result[:, self.slots[level, name]] += factor * (np.eye(len(TERMS)) if width > 1 else 1.0)
        return result

    def carry(self, parameters: Floats, other: "Layout", values: Floats) -> Floats:
        """`parameters` [P] with the values of another layout [Q] wherever both have the slot."""
        result = parameters.copy()
        for slot in self.slots.keys() & other.slots.keys():
            result[self.slots[slot]] = values[other.slots[slot]]
        return result

    def prior(self, prior: Prior) -> tuple[Floats, Floats]:
        """Mean and standard deviation of every parameter: [P], [P]."""
        mean, width = np.zeros(self.size), np.empty(self.size)
        for (level, _), slot in self.slots.items():
            if level == "stack":
                mean[slot], width[slot] = prior.mean, prior.width
            elif level == "threads":
                mean[slot], width[slot] = prior.threads, prior.levels[level]
            elif slot.stop - slot.start > 1:
                width[slot] = prior.levels[level] * prior.loose
                if level == "precision":
                    width[slot] *= prior.by_precision
            else:
                width[slot] = prior.levels[level]
        return mean, width


@dataclass(frozen=True, eq=False)
class Estimate:
    """Log coefficients of one setting: mean [T] and covariance [T, T]."""

    log_ms: Floats
    log_covariance: Floats

    def predict(self, amounts: Floats) -> tuple[float, float]:
        """ln(milliseconds), and the standard deviation that the coefficients' errors give it."""
        spent = np.exp(self.log_ms) * amounts
        total = float(spent.sum())
        shares = spent / total
        return float(np.log(total)), float(np.sqrt(shares @ self.log_covariance @ shares))


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted hierarchy.

    Attributes:
        parameters: [P]; `covariance` is theirs, with the settings' misfits integrated out: [P, P].
        misfits: of the settings [G], and their variances [G].
    """

    layout: Layout
    parameters: Floats
    covariance: Floats
    prior: Prior
    misfits: Floats
    misfit_variances: Floats

    def estimate(self, setting: Setting) -> Estimate:
        """The coefficients of a setting of the layout, with data of its own or not."""
        matrix = self.layout.matrix(setting)
        return Estimate(np.log(setting.base) + matrix @ self.parameters, matrix @ self.covariance @ matrix.T)

    def thread_powers(self, setting: Setting) -> tuple[Floats, float]:
        """By which power of the number of threads each term changes [T], and the deviation that devices have of it."""
        slots, own = self.layout.slots, self.prior.levels["device_threads"]
        common = slots.get(("threads", setting.stack))
        powers = self.prior.threads.copy() if common is None else self.parameters[common].copy()
        if (device := slots.get(("device_threads", setting.device))) is not None:
            powers += self.parameters[device]
        return powers, float(np.hypot(own, 0.1))

    @property
    def misfit(self) -> float:
        """Standard deviation of ln(latency) by which a family that was not seen strays, as learned."""
        return float(np.hypot(self.prior.levels["stack_misfit"], self.prior.levels["setting_misfit"]))


def fit(
    settings: Sequence[Setting],
    observations: Sequence[Observation],
    prior: Prior,
    learn: int = 0,
    start: Fit | None = None,
) -> Fit:
    """Fit all settings at once.

    Args:
        settings: everything to be estimated; settings without observations are carried over from the others.
        observations: published latencies; each names one of the settings.
        prior: of the logarithms.
        learn: rounds of empirical Bayes on the widths of the levels.
        start: a fit of the same settings, which saves steps; the prior's means by default.
    """
    levels = prior.levels
    layout = Layout(settings, observations)
    design = _Design.of(layout, settings, observations)
    begin = layout.prior(prior)[0]
    if start is not None:
        begin = layout.carry(begin, start.layout, start.parameters)
    result = design.solve(layout, prior, begin, np.zeros(layout.groups))
    for _ in range(learn):
        prior = _learned(result, levels)
        result = design.solve(layout, prior, result.parameters, result.misfits)
    return result


def _learned(result: Fit, start: Mapping[str, float]) -> Prior:
    """Widths of the levels from the second moments of their parameters (one step of EM), held near their start."""
    prior = result.prior
    mean, spread = result.layout.prior(prior)
    second = ((result.parameters - mean) ** 2 + np.diag(result.covariance)) / spread**2  # 1 where the width is right
    own = (result.misfits**2 + result.misfit_variances) / prior.levels["setting_misfit"] ** 2
    levels = {}
    for level, width in start.items():
        found = [second[slot] for (name, _), slot in result.layout.slots.items() if name == level]
        values = own if level == "setting_misfit" else np.concatenate([np.empty(0), *found])
        strength = 10  # pseudo-observations of the starting width
        moment = prior.levels[level] ** 2 * values.sum()
        levels[level] = float(np.sqrt((strength * width**2 + moment) / (strength + len(values))))
    return dataclasses.replace(prior, levels=levels)


@dataclass(frozen=True, eq=False)
class _Rows:
    """The observations of one setting as arrays."""

    matrix: Floats  # the columns of its matrix that are not all 0 [T, C]
    columns: NDArray[np.intp]  # which those are, then the places of its stack's misfits [C + F]
    units: Floats  # base * amounts [N, T]
    log_ms: Floats  # [N]
    family: Floats  # one column for each family: 1 where it is an observation's [N, F]
    groups: NDArray[np.intp]  # numbers of the misfits of those families [F]

    def shares(self, parameters: Floats, misfits: Floats) -> tuple[Floats, Floats]:
        """ln(measured / predicted) [N], and the share of each term [N, T]."""
        own = parameters[self.columns]
        spent = np.exp(self.matrix @ own[: self.matrix.shape[1]]) * self.units
        total = spent.sum(axis=1)
        shift = self.family @ (own[self.matrix.shape[1] :] + misfits[self.groups])
        return self.log_ms - np.log(total) - shift, spent / total[:, None]


@dataclass(frozen=True, eq=False)
class _Normal:
    """Normal equations of a step, the settings' misfits eliminated; and what gives their steps back."""

    hessian: Floats  # [P, P]
    gradient: Floats  # [P]
    own: Floats  # [G]
    pull: Floats  # [G]
    cross: tuple[Floats, ...]  # of each setting [F, C + F]


@dataclass(frozen=True, eq=False)
class _Design:
    """All observations, setting by setting: most of the whole matrix is zeros."""

    rows: tuple[_Rows, ...]

    @classmethod
    def of(cls, layout: Layout, settings: Sequence[Setting], observations: Sequence[Observation]) -> "_Design":
        made = []
        for setting in settings:
            items = [item for item in observations if item.setting == setting.name]
            if not items:
                continue
            places = list(dict.fromkeys(layout.misfits(item) for item in items))
            matrix = layout.matrix(setting)
            used = np.flatnonzero(matrix.any(axis=0))
            own = np.array([places.index(layout.misfits(item)) for item in items])
            made.append(
                _Rows(
                    matrix[:, used],
                    np.concatenate([used, [stack for stack, _ in places]]).astype(np.intp),
                    np.array([setting.base * item.amounts for item in items]),
                    np.log([item.ms for item in items]),
                    np.eye(len(places))[own],
                    np.array([group for _, group in places], dtype=np.intp),
                )
            )
        return cls(tuple(made))

    def loss(self, parameters: Floats, misfits: Floats, mean: Floats, width: Floats, misfit: float) -> float:
        """Negative logarithm of the posterior, but for a constant: Student's t for the data, a Gaussian prior."""
        squared = np.concatenate([rows.shares(parameters, misfits)[0] for rows in self.rows]) / _NOISE
        data = (_DEGREES + 1) / 2 * np.log1p(squared**2 / _DEGREES).sum()
        priors = (((parameters - mean) / width) ** 2).sum() + ((misfits / misfit) ** 2).sum()
        return float(data + priors / 2)

    def normal(self, parameters: Floats, misfits: Floats, mean: Floats, width: Floats, misfit: float) -> _Normal:
        """Normal equations at a point, with the weights of Student's t."""
        hessian = np.diag(width**-2)
        gradient = -(parameters - mean) / width**2
        own, pull = np.full(len(misfits), misfit**-2), -misfits / misfit**2
        crosses = []
        for rows in self.rows:
            residual, shares = rows.shares(parameters, misfits)
            jacobian = np.hstack([shares @ rows.matrix, rows.family])
            robust = (_DEGREES + 1) / (_DEGREES + (residual / _NOISE) ** 2) / _NOISE**2
            weighted = jacobian * robust[:, None]
            own[rows.groups] += rows.family.T @ robust
            pull[rows.groups] += rows.family.T @ (robust * residual)
            cross = rows.family.T @ weighted
            scaled = cross / own[rows.groups, None]
            hessian[np.ix_(rows.columns, rows.columns)] += weighted.T @ jacobian - scaled.T @ cross
            gradient[rows.columns] += weighted.T @ residual - scaled.T @ pull[rows.groups]
            crosses.append(cross)
        return _Normal(hessian, gradient, own, pull, tuple(crosses))

    def solve(self, layout: Layout, prior: Prior, parameters: Floats, misfits: Floats) -> Fit:
        """Gauss-Newton; a step that does not help is halved."""
        mean, width = layout.prior(prior)
        misfit = prior.levels["setting_misfit"]
        loss = self.loss(parameters, misfits, mean, width, misfit)
        for _ in range(_MAX_STEPS):
            normal = self.normal(parameters, misfits, mean, width, misfit)
            factor = cho_factor(normal.hessian, check_finite=False)
            step = cho_solve(factor, normal.gradient, check_finite=False)
            other = normal.pull.copy()
            for rows, cross in zip(self.rows, normal.cross, strict=True):
                other[rows.groups] -= cross @ step[rows.columns]
            other /= normal.own
            share = 1.0 / max(float(np.abs(step).max()), float(np.abs(other).max()), 1.0)
            before = loss
            for _ in range(_HALVINGS):
                moved = parameters + share * step, misfits + share * other
                loss = self.loss(*moved, mean, width, misfit)
                if loss <= before:
                    break
                share /= 2
            parameters, misfits = moved
            if before - loss < _TOLERANCE:
                break
        covariance = np.asarray(cho_solve(factor, np.eye(layout.size), check_finite=False), dtype=np.float64)
        variances = 1 / normal.own
        for rows, cross in zip(self.rows, normal.cross, strict=True):
            scaled = cross / normal.own[rows.groups, None]
            within = covariance[np.ix_(rows.columns, rows.columns)]
            variances[rows.groups] += np.einsum("gp,pq,gq->g", scaled, within, scaled)
        return Fit(layout, parameters, covariance, prior, misfits, variances)
