"""Which limits cannot be kept: one alone, or which two contradict each other, and the least that would work."""

import itertools
from collections.abc import Callable

import numpy as np

from ofa_edge.errors import BudgetError
from ofa_edge.search.fastest import fastest_subnets
from ofa_edge.search.front import Front, round_up
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
                f"no subnet of space '{space.name}' keeps {limit}",
                f"the least is {limit.words(least)}",
                f"{_hint(limit, least)}, or a smaller supernet",
            )
    for one, other in itertools.combinations(limits, 2):
        least_one, least_other = _least(space, one, (other,)), _least(space, other, (one,))
        if least_one > one.most and least_other > other.most:
            raise BudgetError(
                f"{one} and {other} contradict each other",
                f"with the second, the first is at least {_words(least_one, one)}; "
                f"with the first, the second is at least {_words(least_other, other)}",
                f"{_hint(one, least_one)}, or {_hint(other, least_other)}",
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
    return limit.words(value) if np.isfinite(value) else "out of reach"


def _hint(limit: Limit, least: float) -> str:
    """The option with a value that works: "--max-size 1.57MB", "--also pixel-4=3.2ms"."""
    option = limit.option.removesuffix("MS:")
    if not np.isfinite(least):
        return f"a higher {option}"
    value = limit.words(round_up(least)).replace(" ", "") if limit.scaled else f"{round_up(least):g}"
    return f"{option}{value}ms" if option.endswith("=") else f"{option} {value}"


def accuracy_error(
    space: Space, wanted: float, limits: tuple[Limit, ...], searched: Callable[[Limit], Front]
) -> BudgetError:
    """The error of an accuracy that no subnet found reaches within the limits; names the limit that stands in its way.

    Args:
        space: the space.
        wanted: the accuracy that was asked for.
        limits: everything that had to be kept, the latency too.
        searched: searches the front of accuracy along one limit's quantity, with no limits.
    """
    best = 0.0
    for limit in limits:
        front = searched(limit)
        best, least = max(best, float(front.accuracy.max())), front.least(wanted)
        if least is not None and least.latency_ms > limit.most:
            return BudgetError(
                f"an accuracy of at least {wanted:g} and {limit} contradict each other",
                f"the least found for that accuracy is {limit.words(least.latency_ms)}",
                f"{_hint(limit, least.latency_ms)}, or a lower --min-accuracy",
            )
        if least is None:
            return BudgetError(
                f"no subnet of space '{space.name}' has an accuracy of {wanted:g}",
                f"the most accurate one found is predicted at {best:.4g}",
                f"--min-accuracy {np.floor(1e4 * best) / 1e4:g}, or a larger supernet",
            )
    return BudgetError(
        f"no subnet found has an accuracy of {wanted:g} and keeps all limits",
        "; ".join(map(str, limits)),
        "a lower --min-accuracy, or loosen a limit; each of them alone allows that accuracy",
    )
