"""The fitted latency model: the analytic model of a target, corrected by measurements of its blocks and networks.

A latency file of this kind holds the analytic prior and the measurements themselves; the model is what `posterior`
makes of them. Where nothing was measured nearby, the analytic form carries the prediction, and the interval is wide.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ofa_edge.cost import block_input_size, block_operators, head_operators, stem_operators
from ofa_edge.errors import ConfigError
from ofa_edge.latency.analytic import TERMS, AnalyticModel, Coefficients
from ofa_edge.latency.entries import LONGEST_MS, Milliseconds
from ofa_edge.latency.posterior import Data, Units, Widths
from ofa_edge.latency.protocol import Z50, Z90, Interval, Key, LatencyModel, OutsideKey, Provenance, Share
from ofa_edge.latency.units import Operators, UnitKind, UnitTable, unit_table
from ofa_edge.space import Genomes, Space, Subnet

Floats = NDArray[np.float64]

_FLOOR = 0.1  # of the analytic sum: a prediction is never below that, however odd the data
_TRUSTED = 20  # networks from which their own deviations say how long the intervals must be
_FOLDS = 5
_CHUNK = 4096  # genomes at a time


@dataclass(frozen=True)
class UnitSample:
    """One unit measured by itself, the call of the runtime included.

    Attributes:
        unit: its name in `UnitTable`.
        ms: median over turns.
        sd: standard error of that median.
    """

    unit: str
    ms: Annotated[float, Field(gt=0, le=LONGEST_MS)]  # bounds hold where a file gives the values
    sd: Milliseconds


@dataclass(frozen=True)
class NetworkSample:
    """One whole network measured: median and its standard error in milliseconds."""

    subnet: Subnet
    ms: float
    sd: float


@dataclass(frozen=True)
class Reach:
    """Half-widths of the intervals, in posterior standard deviations of ln(latency)."""

    half: float = Z50
    most: float = Z90


class FittedModel:
    """Latency of a space's subnets from measurements on one device. Implements `LatencyModel`.

    Args:
        space: the one that was measured.
        prior: the analytic model that the measurements correct.
        units, networks: the measurements; either may be empty.
        widths: of what is not known, as `fit_fitted` learned them.
        reach: of the intervals.
        key: what the measurements hold for.
        provenance: where they come from.

    Raises:
        ConfigError: a measurement of a unit that the space does not have, or an impossible latency.
    """

    kind: Literal["fitted"] = "fitted"
    outside: tuple[str, ...] = ()

    def __init__(
        self,
        space: Space,
        prior: Coefficients,
        units: Sequence[UnitSample],
        networks: Sequence[NetworkSample],
        widths: Widths,
        reach: Reach,
        key: Key,
        provenance: Provenance,
    ) -> None:
        self.space, self.prior = space, prior
        self.units, self.networks = tuple(units), tuple(networks)
        self.widths, self.reach = widths, reach
        self.key, self.provenance = key, provenance
        self._table = unit_table(space)
        self._posterior = Units(self._table.units, prior).posterior(_data(self._table, units, networks), widths)

    @cached_property
    def extrapolated(self) -> tuple[str, ...]:
        """Units that were measured neither alone nor in a network: the analytic form and like shapes speak for them."""
        seen = {sample.unit for sample in self.units} | {"call"}
        counts = self._table.counts(self.space.genome([each.subnet for each in self.networks]))
        inside = np.flatnonzero(counts.sum(axis=0)).tolist()
        named = enumerate(unit.name for unit in self._table.units)
        return tuple(name for index, name in named if index not in inside and name not in seen)

    @property
    def unit_names(self) -> tuple[str, ...]:
        """All units of the space."""
        return tuple(unit.name for unit in self._table.units)

    def predict(self, subnet: Subnet) -> Interval:
        """Latency of one subnet, in milliseconds."""
        return self.predict_many(self.space.genome([subnet])).at(0)

    def predict_many(self, genomes: Genomes) -> Interval:
        """Latency of N genomes [N, genome_length], in milliseconds: arrays [N]."""
        rows = self._table.rows(genomes)
        parts = [self._moments(rows[start : start + _CHUNK]) for start in range(0, len(rows), _CHUNK)]
        ms, deviation = (np.concatenate(each) for each in zip(*parts, strict=True)) if parts else (np.zeros(0),) * 2
        half, most = np.exp(self.reach.half * deviation), np.exp(self.reach.most * deviation)
        return Interval(ms, ms / half, ms * half, ms / most, ms * most)

    def _moments(self, rows: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Mean in milliseconds and standard deviation of ln(latency) of networks by their units' numbers."""
        ms, floor, covariance = self._padded
        variance = covariance[rows, rows].sum(axis=1)
        for first in range(rows.shape[1] - 1):
            variance += 2 * covariance[rows[:, first, None], rows[:, first + 1 :]].sum(axis=1)
        mean = np.maximum(ms[rows].sum(axis=1), _FLOOR * floor[rows].sum(axis=1))
        relative = np.maximum(variance, 0.0) / mean**2 + self.widths.network_noise**2
        return mean, np.sqrt(np.log1p(relative))

    @cached_property
    def _padded(self) -> tuple[Floats, Floats, Floats]:
        """Means, analytic sums and covariances, with zeros at the end for skipped blocks."""
        posterior = self._posterior
        sums = posterior.terms.sum(axis=1)
        return np.append(posterior.ms, 0.0), np.append(sums, 0.0), np.pad(posterior.covariance, ((0, 1), (0, 1)))

    def unit_ms(self, kind: UnitKind, operators: Operators = ()) -> float:
        """Milliseconds of one unit inside a network. Raises KeyError for one that the space does not have."""
        return float(self._posterior.ms[self._table.number(kind, operators)])

    def parts(self, subnet: Subnet) -> tuple[Share, ...]:
        """Stem, blocks, head and call, each with the analytic term that takes most of it."""
        space = self.space
        widths = space.active_widths(subnet.widths)
        named: list[tuple[str, str, UnitKind, Operators]] = [
            ("stem", "", "stem", stem_operators(space, subnet.resolution, widths))
        ]
        for block in space.active_blocks(subnet):
            size = block_input_size(space, block.spec, subnet.resolution)
            made = block_operators(block.spec, block.kernel, block.expand, size)
            name = f"stage {block.spec.stage + 1} block {block.spec.position + 1}"
            named.append((name, f"k{block.kernel} e{block.expand:g}, {size} px", "block", made))
        named += [("head", "", "head", head_operators(space, subnet.resolution, widths)), ("call", "", "call", ())]
        numbers = [self._table.number(kind, operators) for _, _, kind, operators in named]
        values = self._posterior.ms[numbers]
        values *= float(self.predict(subnet).ms) / float(values.sum())  # differs from 1 only at the floor
        bounds = [TERMS[int(row.argmax())] for row in self._posterior.terms[numbers]]
        total = float(values.sum())
        return tuple(
            Share(name, what, float(ms), float(ms) / total, bound)
            for (name, what, _, _), ms, bound in zip(named, values, bounds, strict=True)
        )


def fit_fitted(
    space: Space,
    prior: Coefficients,
    units: Sequence[UnitSample],
    networks: Sequence[NetworkSample],
    key: Key,
    provenance: Provenance,
    start: Widths | None = None,
) -> FittedModel:
    """Fit a model to measurements of one device. A pure function of its arguments.

    Whole networks alone will do, and so will units alone; with neither it is the prior. Once there are enough networks,
    the intervals' length comes from how far each lies from what a fit to the others predicts (in folds).

    Args:
        space: the one that was measured.
        prior: the analytic model of the target (see `prior_of`).
        units: measured by themselves.
        networks: measured whole.
        key: what they hold for.
        provenance: where they come from.
        start: widths to begin with and to be pulled to; the usual ones by default.

    Raises:
        ConfigError: see `FittedModel`.
    """
    table = unit_table(space)
    data = _data(table, units, networks)
    start = start or Widths()
    shared = Units(table.units, prior)
    widths = shared.learn(data, start) if len(data.ms) else start
    reach = _reach(_held_out(shared, data, start)) if len(networks) >= _TRUSTED else Reach()
    return FittedModel(space, prior, units, networks, widths, reach, key, provenance)


def _held_out(units: Units, data: Data, start: Widths) -> Floats:
    """How far each network is from what a fit without its fold predicts, in that fit's standard deviations: [N]."""
    networks = np.flatnonzero(data.whole)
    deviations = np.zeros(len(networks))
    for fold in range(_FOLDS):
        mine = np.arange(len(networks)) % _FOLDS == fold
        kept = np.ones(len(data.ms), dtype=bool)
        kept[networks[mine]] = False
        rest = Data(data.counts[kept], data.whole[kept], data.ms[kept], data.sd[kept])
        widths = units.learn(rest, start)
        posterior = units.posterior(rest, widths)
        counts, seen = data.counts[networks[mine]], data.ms[networks[mine]]
        ms = np.maximum(counts @ posterior.ms, _FLOOR * seen)
        variance = np.einsum("nu,uv,nv->n", counts, posterior.covariance, counts, optimize=True)
        relative = np.maximum(variance, 0.0) / ms**2 + widths.network_noise**2
        deviations[mine] = np.log(seen / ms) / np.sqrt(np.log1p(relative))
    return deviations


def prior_of(model: LatencyModel) -> Coefficients:
    """The analytic model inside a latency model: what a new fit for its target starts from.

    A model that is used outside its key gives its coefficients with that doubt in them, common to all.

    Raises:
        ConfigError: a table, which has none.
    """
    if isinstance(model, OutsideKey):
        inner = prior_of(model.model)
        return dataclasses.replace(inner, log_covariance=inner.log_covariance + model.doubt**2)
    if isinstance(model, AnalyticModel):
        return model.coefficients
    if isinstance(model, FittedModel):
        return model.prior
    raise ConfigError(
        "a table of latencies cannot be fitted",
        "it says nothing about blocks that it does not hold",
        "use a target with an analytic latency model",
    )


def _data(table: UnitTable, units: Sequence[UnitSample], networks: Sequence[NetworkSample]) -> Data:
    for words, ms, sd in (
        *((f"unit {sample.unit}", sample.ms, sample.sd) for sample in units),
        *((f"network {sample.subnet.id}", sample.ms, sample.sd) for sample in networks),
    ):
        if not (0 < ms < math.inf and 0 <= sd < math.inf):
            raise ConfigError("an impossible latency", f"{words}: {ms} ms, standard error {sd}", "measure it again")
    single = np.zeros((len(units), len(table.units)))
    for row, sample in enumerate(units):
        if sample.unit not in table.by_name:
            raise ConfigError(
                f"no unit '{sample.unit}' in space '{table.space.name}'",
                "the measurement is of another space",
                "measure this supernet: ofa-edge calibrate",
            )
        single[row, table.by_name[sample.unit]] += 1
        single[row, -1] = 1
    whole = table.counts(table.space.genome([table.space.check(sample.subnet) for sample in networks]))
    samples: list[UnitSample | NetworkSample] = [*units, *networks]
    return Data(
        counts=np.vstack([single, whole]),
        whole=np.arange(len(samples)) >= len(units),
        ms=np.array([sample.ms for sample in samples]),
        sd=np.array([sample.sd for sample in samples]),
    )


def _reach(deviations: Floats) -> Reach:
    """Interval half-widths that so many networks ask for (split conformal: the quantile of |deviation|, rounded up)."""
    count = len(deviations)
    ranked = np.sort(np.abs(deviations))
    half, most = (float(ranked[min(count, math.ceil((count + 1) * share)) - 1]) for share in (0.5, 0.9))
    trust = count / (count + _TRUSTED)
    half, most = (trust * seen + (1 - trust) * normal for seen, normal in ((half, Z50), (most, Z90)))
    return Reach(min(half, 0.9 * most), most)
