"""The analytic latency model: each operator pays for its arithmetic, its memory traffic and its dispatch.

    t = sum over terms k of  coefficient_k * amount_k(network)

with one arithmetic term per operator kind (they reach different shares of a device's peak), one for the loops around
the channels (which make narrow layers dear), bytes of activations, bytes of weights, once more those beyond a cache, a
cost for each operator and one for each call. Arithmetic and traffic are added, not maximised as in the textbook
roofline (Williams et al., CACM 2009): small cores overlap them poorly, and a sum can be tabulated by block.

The coefficients carry an error of their own: a Gaussian over their logarithms. A network's interval follows from which
terms it leans on, so it widens by itself where a network is dominated by a term that the data did not pin down
(dispatch overheads in tiny networks, say).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ofa_edge.cost import (
    BlockTable,
    Operator,
    block_input_size,
    block_operators,
    head_operators,
    operators,
    stem_operators,
)
from ofa_edge.latency.protocol import Interval, Key, Provenance, Share
from ofa_edge.space import Genomes, Space, Subnet

Floats = NDArray[np.float64]

UNITS: Mapping[str, str] = MappingProxyType(
    {
        "conv": "million MACs of k x k convolutions over all channels",
        "pointwise": "million MACs of 1x1 convolutions",
        "depthwise": "million MACs of depthwise convolutions of at most 25 taps",
        "wide_depthwise": "million MACs of depthwise convolutions of more than 25 taps that run whole: slow kernels",
        "grouped": "million MACs of convolutions over groups of channels: kernels that few runtimes have",
        "windows": "million taps of k x k kernels over all positions, whatever the channels: the loops around them",
        "elementwise": "million elements through hard-swish, scale, add and pool",
        "activations": "million bytes of activations read and written",
        "spilled": "million bytes of activations and weights beyond what a cache holds, operator by operator",
        "weights": "million bytes of weights read",
        "operators": "operators dispatched",
        "call": "1 for a whole network, 0 for a part of one",
    }
)
TERMS = tuple(UNITS)
_ARITHMETIC = {
    "conv": "conv",
    "transposed": "conv",
    "pointwise": "pointwise",
    "dense": "pointwise",
    "product": "pointwise",
}
_WIDE_TAPS = 25
_CACHE = 1 << 19  # bytes of an operator's maps and weights that stay near a core: half a Cortex-A72's second level


@dataclass(frozen=True)
class Lowering:
    """What becomes of a network on its way to a runtime.

    Attributes:
        activation_bytes, weight_bytes: of one value while the network runs (not in the file).
        depthwise_taps: larger depthwise kernels run as sums of smaller ones of at most so many taps (the exporter's
            split for TFLite); None where they run whole, and cost `wide_depthwise`.
        hard_swish: elementwise operators that one hard-swish becomes: two for TFLite in int8, where XNNPACK has none.
    """

    activation_bytes: int
    weight_bytes: int
    depthwise_taps: int | None = None
    hard_swish: int = 1

    def parts(self, operator: Operator) -> int:
        """How many convolutions run for one depthwise convolution.

        The first takes the rows around the centre that fit, each other one two rows. Rows that only ever meet padding
        are cut off before.
        """
        kernel = min(operator.kernel, 2 * operator.in_size - 1)
        if self.depthwise_taps is None or kernel**2 <= self.depthwise_taps:
            return 1
        return 1 + kernel // 2 - (self.depthwise_taps // kernel - 1) // 2


def amounts(part: Iterable[Operator], lowering: Lowering) -> Floats:
    """How much of each term a sequence of operators takes: [len(TERMS)], with `call` at 0.

    Fully connected layers count as 1x1 convolutions: their arithmetic is the same, and `weights` bears their traffic.
    """
    total = dict.fromkeys(TERMS, 0.0)
    for operator in part:
        elements = operator.in_elements + operator.out_elements
        operators = 1
        if operator.kind in ("conv", "transposed", "depthwise"):
            total["windows"] += operator.windows
        if operator.kind == "depthwise":
            whole = lowering.depthwise_taps is None and operator.taps > _WIDE_TAPS
            total["wide_depthwise" if whole else "depthwise"] += operator.macs
            additions = lowering.parts(operator) - 1
            elements += additions * (operator.in_elements + 4 * operator.out_elements)
            total["elementwise"] += additions * operator.out_elements
            operators += 2 * additions
        elif operator.kind in _ARITHMETIC:
            total["grouped" if operator.groups > 1 else _ARITHMETIC[operator.kind]] += operator.macs
        elif operator.kind != "move":
            operators = lowering.hard_swish if operator.kind == "h_swish" else 1
            elements *= operators
            total["elementwise"] += operators * max(operator.in_elements, operator.out_elements)
        total["activations"] += elements * lowering.activation_bytes
        total["weights"] += operator.weights * lowering.weight_bytes
        touched = elements * lowering.activation_bytes + operator.weights * lowering.weight_bytes
        total["spilled"] += max(0.0, touched - _CACHE)
        total["operators"] += operators * 1e6
    return np.array(list(total.values())) * 1e-6


@dataclass(frozen=True, eq=False)
class Coefficients:
    """Cost of one unit of each term, and how sure that is.

    Attributes:
        ms: milliseconds per unit of each of TERMS, not negative: [T].
        log_covariance: of the logarithms of `ms`: [T, T].
        log_scatter: standard deviation by which networks that were not fitted stray beyond the coefficients' errors.
        reach50, reach90: half-widths of the intervals of ln(latency), in standard deviations: those of a Gaussian, or
            more where cross-validation asked for more.
        lowering: how the runtime gets the network.
    """

    ms: Floats
    log_covariance: Floats
    log_scatter: float
    reach50: float
    reach90: float
    lowering: Lowering

    def interval(self, contributions: Floats, doubt: float = 0.0) -> Interval:
        """From milliseconds spent in each term, [..., T], to an interval over [...].

        `doubt` is a standard deviation of ln(latency) for what the terms do not know.
        """
        total = contributions.sum(axis=-1)
        some = total[..., None] > 0  # nothing where every rate is 0: what takes no time has no shares
        shares = np.divide(
            contributions, total[..., None], out=np.zeros_like(contributions), where=some
        )  # the derivative of ln(total) by each log coefficient
        variance = (shares @ self.log_covariance * shares).sum(axis=-1) + self.log_scatter**2 + doubt**2
        deviation = np.sqrt(variance)
        factor50, factor90 = np.exp(self.reach50 * deviation), np.exp(self.reach90 * deviation)
        return Interval(total, total / factor50, total * factor50, total / factor90, total * factor90)

    def predict(self, network: Iterable[Operator], *, whole: bool = True) -> Interval:
        """Latency of any operators, of a space or not: an interval of floats; `whole` adds the cost of a call."""
        taken = amounts(network, self.lowering)
        taken[-1] = float(whole)
        return self.interval((self.ms * taken)[None]).at(0)


class AnalyticModel:
    """The analytic model of one target, bound to one space. Implements `LatencyModel`.

    Args:
        space: the search space whose genomes it predicts.
        coefficients: the target's, which no space shapes.
        key: what they hold for.
        provenance: where they come from.
    """

    kind: Literal["analytic"] = "analytic"
    outside: tuple[str, ...] = ()

    def __init__(self, space: Space, coefficients: Coefficients, key: Key, provenance: Provenance) -> None:
        self.space = space
        self.coefficients = coefficients
        self.key = key
        self.provenance = provenance

    @cached_property
    def _table(self) -> BlockTable:
        coefficients = self.coefficients
        return BlockTable(self.space, lambda part: coefficients.ms * amounts(part, coefficients.lowering))

    def predict(self, subnet: Subnet) -> Interval:
        """Latency of one subnet, in milliseconds."""
        return self.coefficients.predict(operators(self.space, subnet))

    def predict_many(self, genomes: Genomes) -> Interval:
        """Latency of N genomes [N, genome_length], in milliseconds: arrays [N]."""
        contributions = self._table(genomes)
        contributions[:, -1] += self.coefficients.ms[-1]
        return self.coefficients.interval(contributions)

    def parts(self, subnet: Subnet) -> tuple[Share, ...]:
        """Stem, blocks, head and call, each with the term that takes most of it."""
        space, coefficients = self.space, self.coefficients
        widths = space.active_widths(subnet.widths)
        named = [("stem", "", stem_operators(space, subnet.resolution, widths))]
        for block in space.active_blocks(subnet):
            size = block_input_size(space, block.spec, subnet.resolution)
            made = block_operators(block.spec, block.kernel, block.expand, size)
            words = f"k{block.kernel} e{block.expand:g}, {size} px"
            named.append((f"stage {block.spec.stage + 1} block {block.spec.position + 1}", words, made))
        named.append(("head", "", head_operators(space, subnet.resolution, widths)))
        rows = [coefficients.ms * amounts(part, coefficients.lowering) for _, _, part in named]
        rows.append(coefficients.ms * np.eye(len(TERMS))[-1])
        names = [*((name, words) for name, words, _ in named), ("call", "")]
        return shares(names, np.array(rows))


def shares(names: Iterable[tuple[str, str]], rows: Floats) -> tuple[Share, ...]:
    """Milliseconds by term, [parts, T], as lines: each part by (name, what it is)."""
    total = float(rows.sum())
    return tuple(
        Share(name, op, float(row.sum()), float(row.sum()) / total, TERMS[int(row.argmax())])
        for (name, op), row in zip(names, rows, strict=True)
    )
