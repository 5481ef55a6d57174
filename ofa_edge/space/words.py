"""Choices as a message says them."""

import itertools
from collections.abc import Sequence

_LONGEST = 6  # choices that are all named


def one_of(values: Sequence[float]) -> str:
    """Choices in rising order in words; many in equal steps by their ends.

    Example:
        >>> one_of((3, 5, 7)), one_of(range(128, 225, 4))
        ('one of 3, 5, 7', 'one of 128 .. 224 in steps of 4')
    """
    steps = {after - before for before, after in itertools.pairwise(values)}
    if len(values) > _LONGEST and len(steps) == 1:
        return f"one of {values[0]:g} .. {values[-1]:g} in steps of {steps.pop():g}"
    return f"one of {', '.join(f'{value:g}' for value in values)}"
