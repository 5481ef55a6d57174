"""The over-parameterised network that the differentiable methods train: every choice of every block, side by side.

One candidate for each (kernel, expand) pair, and the identity for blocks that a subnet may leave out. Unlike in a
Once-For-All supernet candidates share no weights, as in DARTS, FBNet and ProxylessNAS.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ofa_edge.latency.protocol import LatencyModel
from ofa_edge.space import BlockSpec, Space, Subnet
from ofa_edge.supernet.layers import MBConv, Residual
from ofa_edge.supernet.modules import static_module
from ofa_edge.supernet.network import initialise
from ofa_edge.supernet.slicing import BlockSlice

USED = 0.9  # of a latency budget, at least, as the random subnets beside these methods use it
Weighted = Sequence[tuple[int, Tensor | None]]  # candidates to run, and what each counts; None: alone, as it is
Choose = Callable[[int], Weighted]


def mixed(weights: Sequence[Tensor]) -> Choose:
    """Every candidate of every block, each with its weight."""
    return lambda index: list(enumerate(weights[index]))


def one_path(choices: Sequence[int]) -> Choose:
    """One candidate of every block, as it is."""
    return lambda index: [(choices[index], None)]


def pairs(space: Space) -> list[tuple[int, float]]:
    """The (kernel, expand) pair of each candidate; the identity, where there is one, comes behind them."""
    return list(itertools.product(space.kernels, space.expands))


def candidates(space: Space, spec: BlockSpec) -> int:
    """How many candidates a block has."""
    return len(pairs(space)) + (spec.position >= min(space.depths))


class MixedBlock(nn.Module):
    """All candidates of one block."""

    def __init__(self, space: Space, spec: BlockSpec) -> None:
        super().__init__()
        convs = [MBConv(spec, BlockSlice.of(spec, kernel, expand)) for kernel, expand in pairs(space)]
        made: list[nn.Module] = [Residual(conv, spec.shortcut) for conv in convs]
        if candidates(space, spec) > len(made):
            made.append(nn.Identity())
        self.candidates = nn.ModuleList(made)

    def forward(self, x: Tensor, chosen: Weighted) -> Tensor:
        """[N, in, H, W] -> [N, out, H', W']: the weighted sum of the chosen candidates."""
        total: Tensor | None = None
        for index, weight in chosen:
            out = self.candidates[index](x)
            out = out if weight is None else out * weight
            total = out if total is None else total + out
        assert total is not None, "a block needs a candidate"
        return total


class Mixture(nn.Module):
    """The whole network."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        shape = space.shape
        stem, head = (
            [static_module(space.layer(place, space.widths)) for place in own]
            for own in (shape.stem_places, shape.head_places)
        )
        self.before = nn.Sequential(*stem)
        self.blocks = nn.ModuleList(MixedBlock(space, spec) for spec in space.blocks)
        self.behind = nn.Sequential(*head)
        initialise(self)

    def forward(self, x: Tensor, choose: Choose) -> Tensor:
        """Images [N, C, r, r] -> logits [N, classes]; `choose` says for each block which candidates run."""
        x = self.before(x)
        for index, block in enumerate(self.blocks):
            x = block(x, choose(index))
        return self.behind(x)


@dataclass(frozen=True)
class Latencies:
    """What each candidate adds to the latency, by a model that is a sum over blocks: milliseconds."""

    fixed: float
    blocks: tuple[NDArray[np.float64], ...]  # of each block: [candidates]

    @classmethod
    def of(cls, model: LatencyModel, space: Space) -> "Latencies":
        """Read them off the parts of the uniform subnets."""
        columns, fixed = [], 0.0
        for kernel, expand in pairs(space):
            parts = model.parts(space.uniform(kernel, expand, max(space.depths)))
            columns.append([part.ms for part in parts if part.name.startswith("stage")])
            fixed = sum(part.ms for part in parts if not part.name.startswith("stage"))
        table = np.array(columns).T
        blocks = zip(table, space.blocks, strict=True)
        return cls(fixed, tuple(np.append(row, [0.0] * (candidates(space, spec) - len(row))) for row, spec in blocks))

    def expected(self, probabilities: Sequence[Tensor]) -> Tensor:
        """Mean latency when each block draws its candidate (ProxylessNAS, eq. 5; FBNet, eq. 4)."""
        total = torch.tensor(self.fixed)
        for row, probability in zip(self.blocks, probabilities, strict=True):
            total = total + (torch.from_numpy(row).float() * probability).sum()
        return total

    def total(self, choices: Sequence[int]) -> float:
        """Of one choice for each block."""
        return self.fixed + float(sum(row[choice] for row, choice in zip(self.blocks, choices, strict=True)))


def subnet_of(space: Space, choices: Sequence[int]) -> Subnet:
    """The subnet of one choice for each block. Blocks behind a stage's first are alike, so kept ones close up."""
    stages: list[list[tuple[int, float]]] = [[] for _ in range(space.num_stages)]
    all_pairs = pairs(space)
    for spec, choice in zip(space.blocks, choices, strict=True):
        if choice < len(all_pairs):
            stages[spec.stage].append(all_pairs[choice])
    return Subnet(tuple(map(tuple, stages)), space.resolutions[-1])


def derive(scores: Sequence[NDArray[np.float64]], latencies: Latencies, budget_ms: float) -> list[int]:
    """The likeliest choices that meet the budget: within it, and not far under it.

    The papers steer to a latency by trying weights of their latency term; here the likeliest choice of each block is
    taken; while that is too slow, the change that gives up least log-probability for each millisecond saved; and while
    too little of the budget is used, the one that gives up least for each millisecond added. The same for every method.
    """
    choices = [int(row.argmax()) for row in scores]
    while latencies.total(choices) > budget_ms:
        change = _cheapest(scores, latencies, choices, -np.inf, 0.0)
        if change is None:
            raise SystemExit(f"no choice of blocks takes {budget_ms:.3g} ms or less")
        choices[change[0]] = change[1]
    while (total := latencies.total(choices)) < USED * budget_ms:
        change = _cheapest(scores, latencies, choices, 0.0, budget_ms - total)
        if change is None:
            break
        choices[change[0]] = change[1]
    return choices


def _cheapest(
    scores: Sequence[NDArray[np.float64]], latencies: Latencies, choices: Sequence[int], low: float, high: float
) -> tuple[int, int] | None:
    """The block and its other choice that give up least log-probability for each millisecond by which they differ.

    Only changes of the latency between `low` and `high` milliseconds; None where there is none.
    """
    best: tuple[float, int, int] | None = None
    for block, (row, ms) in enumerate(zip(scores, latencies.blocks, strict=True)):
        change = ms - ms[choices[block]]
        for other in np.flatnonzero((change > low) & (change < high) & (np.abs(change) > 1e-12)).tolist():
            price = float((row[choices[block]] - row[other]) / abs(change[other]))
            if best is None or price < best[0]:
                best = (price, block, other)
    return None if best is None else best[1:]
