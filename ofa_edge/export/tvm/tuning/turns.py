"""What is timed, and by whom: the seam between the sweep and a device."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

MAIN = "vm:main"


@dataclass(frozen=True)
class Turn:
    """One of several that take turns.

    Attributes:
        library: that holds it.
        symbol: the function's name, or `MAIN` for the whole network.
        arguments: of each call, as "float32:1,56,56,24"; the callee's last one is its result.
    """

    library: Path
    symbol: str
    arguments: tuple[str, ...]


class Timer(Protocol):
    """Something that runs turns on the device."""

    def time(self, turns: Sequence[Turn], rounds: int, limit_s: float) -> NDArray[np.float64]:
        """Let them take turns.

        Args:
            turns: one or more.
            rounds: how many turns each has.
            limit_s: seconds after which no further round begins.

        Returns:
            Nanoseconds of one call, [rounds, turns]; fewer rounds where the limit ended them.
        """


def arguments_of(func: Any) -> tuple[str, ...]:
    """The arguments of a scheduled `PrimFunc`, whose parameters are buffers of fixed shape."""
    return tuple(argument(str(each.dtype), [int(axis) for axis in each.shape]) for each in func.params)


def argument(dtype: str, shape: Sequence[int]) -> str:
    """One argument as a `Turn` writes it."""
    return f"{dtype}:{','.join(str(axis) for axis in shape)}"
