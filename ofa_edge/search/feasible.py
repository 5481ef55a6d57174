"""Which limits cannot be kept: one alone, or which two contradict each other, and the least that would work."""

import itertools

import numpy as np

from ofa_edge.errors import BudgetError
from ofa_edge.search.fastest import fastest_subnets
from ofa_edge.search.front import round_up
from ofa_edge.search.limits import Limit, excess
from ofa_edge.space import Space


def require_feasible(space: Space, limits: tuple[Limit, ...]) -> None:
    """Raise BudgetError where some limit, or two of them together, cannot be kept; names them and what would work.

    The least of a quantity is found by steps from the smallest subnet (`fastest_subnets`), which is exact for sums.
    """
    for limit in limits:
        least = _least(space, limit, ())
        if not least <= limit.most:
            raise BudgetError(
                f"no subnet of space '{space.name}' has {limit}",
                f"the least is {least:.4g} {limit.unit}".rstrip(),
                f"{limit.option} {round_up(least):g}, or a smaller supernet",
            )
    for one, other in itertools.combinations(limits, 2):
        least_one, least_other = _least(space, one, (other,)), _least(space, other, (one,))
        if least_one > one.most and least_other > other.most:
            raise BudgetError(
                f"{one} and {other} contradict each other",
                f"with the second, the first is at least {_words(least_one, one)}; "
                f"with the first, the second is at least {_words(least_other, other)}",
                f"{one.option} {round_up(least_one):g}, or {other.option} {round_up(least_other):g}",
            )
    if limits and not np.isfinite(_least(space, limits[0], limits[1:])):
        raise BudgetError(
            f"no subnet of space '{space.name}' keeps all limits at once",
            "; ".join(map(str, limits)),
            "loosen one of them; each two of them can be kept together",
        )


def _least(space: Space, limit: Limit, others: tuple[Limit, ...]) -> float:
    return float(fastest_subnets(space, limit.measure, excess(others) if others else None)[1].min())


def _words(value: float, limit: Limit) -> str:
    return f"{value:.4g} {limit.unit}".rstrip() if np.isfinite(value) else "out of reach"
