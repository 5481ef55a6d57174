"""The fewest subnets for several budgets: which targets may share one, and what sharing costs.

A set of targets shares the most accurate subnet that meets all their budgets. With few targets every partition can be
looked at, so what is returned is exact over the subnets that were evaluated.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ofa_edge.search.archive import Floats

MOST_TARGETS = 8  # 4,140 partitions
Group = frozenset[int]


@dataclass(frozen=True)
class Cover:
    """One way to serve all targets.

    Attributes:
        groups: which targets share a subnet, in order of their first target.
        rows: the subnet of each group, a row of the evaluated ones.
        scores: what each target gets: [targets].
        costs: what sharing takes from each, against a subnet of its own: [targets], 0 or more.
    """

    groups: tuple[tuple[int, ...], ...]
    rows: tuple[int, ...]
    scores: Floats
    costs: Floats


def groups(count: int) -> Iterator[Group]:
    """All sets of `count` targets but the empty one, small ones first."""
    for size in range(1, count + 1):
        for members in combinations(range(count), size):
            yield frozenset(members)


def partitions(items: Sequence[int]) -> Iterator[list[list[int]]]:
    """All ways to part `items` into sets.

    Example:
        >>> list(partitions([0, 1]))
        [[[0, 1]], [[0], [1]]]
    """
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for smaller in partitions(rest):
        for place, part in enumerate(smaller):
            yield [[first, *part], *smaller[:place], *smaller[place + 1 :]]
        yield [[first], *smaller]


def best_rows(ratios: Floats, scores: Floats) -> dict[Group, int]:
    """The best subnet of every set of targets; sets that none serves are left out.

    Args:
        ratios: latency of each subnet on each target, in units of that target's budget: [N, targets].
        scores: accuracy of each subnet: [N].
    """
    order = np.lexsort((ratios.max(axis=1), -scores))  # of equals, the one that leaves most room
    found: dict[Group, int] = {}
    for group in groups(ratios.shape[1]):
        fits = (ratios[order][:, sorted(group)] <= 1).all(axis=1)
        if fits.any():
            found[group] = int(order[np.argmax(fits)])
    return found


def covers(best: Mapping[Group, int], scores: Floats, count: int) -> list[Cover]:
    """The best cover for each number of subnets, the fewest first; numbers that no cover has are left out.

    Best is the highest sum of what the targets get; of equals, the one whose worst-off target gets most.
    """
    alone = np.array([scores[best[frozenset([target])]] for target in range(count)])
    found: dict[int, Cover] = {}
    for parts in partitions(list(range(count))):
        if not all(frozenset(part) in best for part in parts):
            continue
        ordered = sorted(sorted(part) for part in parts)
        rows = tuple(best[frozenset(part)] for part in ordered)
        gets = np.empty(count)
        for part, row in zip(ordered, rows, strict=True):
            gets[part] = scores[row]
        cover = Cover(tuple(map(tuple, ordered)), rows, gets, alone - gets)
        if len(rows) not in found or _merit(cover) > _merit(found[len(rows)]):
            found[len(rows)] = cover
    return [found[models] for models in sorted(found)]


def choose(options: Sequence[Cover], tolerance: float, max_models: int | None) -> Cover:
    """The fewest subnets with which sharing costs no target more than `tolerance`; the best within `max_models`.

    Args:
        options: as `covers` gives them; those with more than `max_models` subnets are left aside.
        tolerance: in the unit of the scores.
        max_models: how many subnets there may be. None: as many as the tolerance asks for.
    """
    allowed = [cover for cover in options if max_models is None or len(cover.rows) <= max_models]
    fine = (cover for cover in allowed if cover.costs.max() <= tolerance)
    return next(fine, max(allowed, key=_merit))


def _merit(cover: Cover) -> tuple[float, float]:
    return float(cover.scores.sum()), float(cover.scores.min())
