"""Fit analytic latency models of many devices at once, so that thin data lean on what devices have in common.

The logarithms of a setting's coefficients (a setting is a device, back end, precision and number of threads) are a sum:

    theta = ln(base) + stack + backend + precision + device + setting

`base` is what the hardware's peaks alone would give; `stack` (XNNPACK, TFLite's own kernels, ncnn, ...), `backend` (a
variant of a stack) and `precision` are vectors over the terms; `device` is one number: how far the device falls short
of its peaks, whatever runs on it; `setting` is a number and a vector. Runtimes share nothing but the device. Each part
has a Gaussian prior around 0 whose width is learned from the data (empirical Bayes). What comes out is the maximum a
posteriori with its Laplace covariance: a setting with many measurements follows them, one with two leans on its back
end's and its device's others, and one with none is a carried-over estimate with a wide interval.

No sum over operators is right for every network, and the sizes of one family are wrong together: a stack's and a
setting's misfit of a family are numbers of their own, estimated beside the coefficients (random effects: Laird, Ware,
Biometrics 1982) and 0 for a family that was not seen. So forty sizes of one family tell much about how latency grows
with size, and about its level no more than one family can.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ofa_edge.latency.analytic import TERMS

Floats = NDArray[np.float64]

_NOISE = 0.10  # standard deviation of ln(measured / model) of one network, beside what its family shares
_DEGREES = 5.0  # of Student's t, which keeps single wrong measurements from bending the fit
_MAX_STEPS = 100
_HALVINGS = 20  # of a step that does not help
_TOLERANCE = 1e-4  # of the negative log posterior


@dataclass(frozen=True)
class Setting:
    """Where measurements were made, or are to be predicted."""

    name: str
    device: str
    stack: str
    backend: str
    precision: str
    base: Floats  # milliseconds per unit of each term, from hardware figures: [T]


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

    `loose` scales a level's width by term [T]: 1 but for terms that whole networks alone cannot tell apart.
    """

    mean: Floats
    width: Floats
    loose: Floats = field(default_factory=lambda: np.ones(len(TERMS)))
    levels: Mapping[str, float] = field(
        default_factory=lambda: {
            "backend": 0.4,
            "backend_scale": 0.3,
            "precision": 0.4,
            "device": 0.3,
            "setting": 0.2,
            "setting_scale": 0.2,
            "stack_misfit": 0.1,
            "setting_misfit": 0.1,
        }
    )


class Layout:
    """Which parameters shape which setting: theta of setting s = ln(base) + matrix(s) @ parameters.

    Behind the coefficients' parameters stand the misfits of the observed families, which no setting's theta has.
    """

    def __init__(self, settings: Sequence[Setting], observations: Sequence[Observation] = ()) -> None:
        self.slots: dict[tuple[str, str], slice] = {}
        self.size = 0
        self._stacks = {setting.name: setting.stack for setting in settings}
        for setting in settings:
            self._add(self._parts(setting))
        for item in observations:
            self._add([(level, name, 1) for level, name in self._misfits(item)])

    def _add(self, parts: Sequence[tuple[str, str, int]]) -> None:
        for level, name, width in parts:
            if (level, name) not in self.slots:
                self.slots[level, name] = slice(self.size, self.size + width)
                self.size += width

    def _misfits(self, item: Observation) -> tuple[tuple[str, str], ...]:
        stack = self._stacks[item.setting]
        return ("stack_misfit", f"{stack} {item.family}"), ("setting_misfit", f"{item.setting} {item.family}")

    def misfits(self, item: Observation) -> list[int]:
        """Where the parameters lie that an observation's family adds to ln(predicted)."""
        return [self.slots[slot].start for slot in self._misfits(item)]

    @staticmethod
    def _parts(setting: Setting) -> list[tuple[str, str, int]]:
        terms = len(TERMS)
        parts = [
            ("stack", setting.stack, terms),
            ("backend", setting.backend, terms),
            ("backend_scale", setting.backend, 1),
            ("device", setting.device, 1),
            ("setting", setting.name, terms),
            ("setting_scale", setting.name, 1),
        ]
        if setting.precision != "fp32":
            parts.append(("precision", f"{setting.stack} {setting.precision}", terms))
        return parts

    def matrix(self, setting: Setting) -> Floats:
        """[T, P]: an identity for vectors, a column of ones for scalars."""
        result = np.zeros((len(TERMS), self.size))
        for level, name, width in self._parts(setting):
            result[:, self.slots[level, name]] += np.eye(len(TERMS)) if width > 1 else 1.0
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
            elif slot.stop - slot.start > 1:
                width[slot] = prior.levels[level] * prior.loose
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
    """A fitted hierarchy."""

    layout: Layout
    parameters: Floats  # [P]
    covariance: Floats  # [P, P]
    prior: Prior

    def estimate(self, setting: Setting) -> Estimate:
        """The coefficients of a setting of the layout, with data of its own or not."""
        matrix = self.layout.matrix(setting)
        return Estimate(np.log(setting.base) + matrix @ self.parameters, matrix @ self.covariance @ matrix.T)


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
    result = design.solve(layout, prior, begin)
    for _ in range(learn):
        prior = _learned(result, levels)
        result = design.solve(layout, prior, result.parameters)
    return result


def _learned(result: Fit, start: Mapping[str, float]) -> Prior:
    """Widths of the levels from the second moments of their parameters (one step of EM), held near their start."""
    prior = result.prior
    spread = result.layout.prior(prior)[1]
    second = (result.parameters**2 + np.diag(result.covariance)) / spread**2  # 1 where the width is right
    levels = {}
    for level, width in start.items():
        found = [second[slot] for (name, _), slot in result.layout.slots.items() if name == level]
        values = np.concatenate([np.empty(0), *found])
        strength = 10  # pseudo-observations of the starting width
        moment = prior.levels[level] ** 2 * values.sum()
        levels[level] = float(np.sqrt((strength * width**2 + moment) / (strength + len(values))))
    return dataclasses.replace(prior, levels=levels)


@dataclass(frozen=True, eq=False)
class _Design:
    """The observations as arrays."""

    matrices: Floats  # [S, T, P]
    index: NDArray[np.intp]  # setting of each observation [N]
    units: Floats  # base * amounts [N, T]
    log_ms: Floats  # [N]
    misfits: NDArray[np.intp]  # places of its family's parameters [N, 2]

    @classmethod
    def of(cls, layout: Layout, settings: Sequence[Setting], observations: Sequence[Observation]) -> "_Design":
        order = {setting.name: index for index, setting in enumerate(settings)}
        index = np.array([order[item.setting] for item in observations], dtype=np.intp)
        return cls(
            matrices=np.array([layout.matrix(setting) for setting in settings]),
            index=index,
            units=np.array([settings[order[item.setting]].base * item.amounts for item in observations]),
            log_ms=np.log([item.ms for item in observations]),
            misfits=np.array([layout.misfits(item) for item in observations], dtype=np.intp),
        )

    def shares(self, parameters: Floats) -> tuple[Floats, Floats]:
        """ln(predicted) [N], and the share of each term [N, T]."""
        spent = np.exp(self.matrices @ parameters)[self.index] * self.units
        total = spent.sum(axis=1)
        return np.log(total) + parameters[self.misfits].sum(axis=1), spent / total[:, None]

    def jacobian(self, shares: Floats) -> Floats:
        """Derivatives of ln(predicted) by the parameters [N, P], setting by setting: most of a matrix is zeros."""
        result = np.zeros((len(shares), self.matrices.shape[2]))
        for setting, matrix in enumerate(self.matrices):
            rows = np.flatnonzero(self.index == setting)
            used = np.flatnonzero(matrix.any(axis=0))
            result[np.ix_(rows, used)] = shares[rows] @ matrix[:, used]
        np.put_along_axis(result, self.misfits, 1.0, axis=1)
        return result

    def loss(self, parameters: Floats, mean: Floats, width: Floats) -> float:
        """Negative logarithm of the posterior, but for a constant: Student's t for the data, a Gaussian prior."""
        squared = ((self.log_ms - self.shares(parameters)[0]) / _NOISE) ** 2
        data = (_DEGREES + 1) / 2 * np.log1p(squared / _DEGREES).sum()
        return float(data + (((parameters - mean) / width) ** 2).sum() / 2)

    def solve(self, layout: Layout, prior: Prior, start: Floats) -> Fit:
        """Gauss-Newton with the weights of Student's t; a step that does not help is halved."""
        mean, width = layout.prior(prior)
        precision = np.diag(width**-2)
        parameters, loss = start, self.loss(start, mean, width)
        for _ in range(_MAX_STEPS):
            predicted, shares = self.shares(parameters)
            residual = self.log_ms - predicted
            jacobian = self.jacobian(shares)
            robust = (_DEGREES + 1) / (_DEGREES + (residual / _NOISE) ** 2)
            weighted = jacobian * (robust / _NOISE**2)[:, None]
            hessian = weighted.T @ jacobian + precision
            step = np.linalg.solve(hessian, weighted.T @ residual - precision @ (parameters - mean))
            step = np.asarray(step * min(1.0, 1.0 / max(float(np.abs(step).max()), 1e-12)))
            before = loss
            for _ in range(_HALVINGS):
                loss = self.loss(parameters + step, mean, width)
                if loss <= before:
                    break
                step /= 2
            parameters = parameters + step
            if before - loss < _TOLERANCE:
                break
        return Fit(layout, parameters, np.asarray(np.linalg.inv(hessian), dtype=np.float64), prior)
