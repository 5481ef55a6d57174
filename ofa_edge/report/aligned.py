"""Operators of two networks side by side: which are in both, which were added, removed, or changed their shape."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["same", "changed", "added", "removed"]


@dataclass(frozen=True)
class Operator:
    """One operator of a network.

    Attributes:
        name: of its node.
        what: its type, with what tells it from others of it: "Conv 5x5, depthwise".
        shapes: of its outputs: "1x16x28x28".
    """

    name: str
    what: str
    shapes: str


@dataclass(frozen=True)
class OperatorChange:
    """An operator of one network, of the other, or of both."""

    kind: Kind
    before: Operator | None
    after: Operator | None


def aligned(before: Sequence[Operator], after: Sequence[Operator]) -> list[OperatorChange]:
    """The two networks in the order of their operators; an operator that only moved is where both have it.

    What stands in the same place of both but is another operator of the same type ("Conv 3x3" for "Conv 5x5") is one
    change; so is one of another shape.
    """
    found: list[OperatorChange] = []
    matcher = difflib.SequenceMatcher(None, [each.what for each in before], [each.what for each in after], False)
    for tag, i, i_end, j, j_end in matcher.get_opcodes():
        if tag == "equal":
            found += [_both(first, second) for first, second in zip(before[i:i_end], after[j:j_end], strict=True)]
        else:
            found += _replaced(before[i:i_end], after[j:j_end])
    return found


def _replaced(before: Sequence[Operator], after: Sequence[Operator]) -> list[OperatorChange]:
    found = []
    matcher = difflib.SequenceMatcher(None, _types(before), _types(after), False)
    for tag, i, i_end, j, j_end in matcher.get_opcodes():
        if tag == "equal":
            found += [_both(first, second) for first, second in zip(before[i:i_end], after[j:j_end], strict=True)]
        else:
            found += [OperatorChange("removed", each, None) for each in before[i:i_end]]
            found += [OperatorChange("added", None, each) for each in after[j:j_end]]
    return found


def _types(operators: Sequence[Operator]) -> list[str]:
    return [each.what.split()[0] for each in operators]


def _both(before: Operator, after: Operator) -> OperatorChange:
    same = (before.what, before.shapes) == (after.what, after.shapes)
    return OperatorChange("same" if same else "changed", before, after)
