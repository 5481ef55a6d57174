"""The words that files, options and reports have in common: precisions, outcomes of gates, labels of builds.

A precision is a word of this grammar, and everything about it follows from the word (`numbers`):

    PRECISION = "fp32" | "fp16" | "fp16-acc16" | "dynamic" | "int8" | "w" BITS "a" BITS

`fp32`, `fp16` and `int8` name the type of weights and of activations alike. `-acc16` allows sums in half precision.
`dynamic` stores weights in int8 and finds the scales of activations while running. `w8a16` would be int8 weights
with int16 activations. The short words are the field's; every one of them stands for a pair of bits.
"""

import re
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Precision = Literal["fp32", "fp16", "fp16-acc16", "dynamic", "int8"]
PRECISIONS: tuple[Precision, ...] = typing.get_args(Precision)
Type = Literal["fp32", "fp16", "int8", "int16"]

Outcome = Literal["pass", "fail", "unverified", "inconclusive"]
OUTCOMES_BY_WEIGHT: tuple[Outcome, ...] = ("fail", "inconclusive", "unverified", "pass")
# `analytic`: the latency model was not measured on this target; `outside-key`: it holds for something else.
Label = Literal["untrained", "emulated", "analytic", "outside-key"]

_MIXED = re.compile(r"w(8|16)a(8|16)")
_BYTES = {"fp32": 4, "fp16": 2, "int8": 1, "int16": 2}


@dataclass(frozen=True)
class Numbers:
    """What a precision means.

    Attributes:
        precision: its word.
        weights: how weights are stored.
        activations: how activations are stored between operators.
        ranges: whether the ranges of activations are fixed by calibration images.
        half_sums: whether products may be added in half precision.
    """

    precision: str
    weights: Type
    activations: Type
    ranges: bool = False
    half_sums: bool = False

    @property
    def base(self) -> str:
        """The precision without its variant: what latency and size models are fitted to."""
        return self.precision.removesuffix("-acc16")

    @property
    def exact(self) -> bool:
        """Whether the artifact computes what the fp32 network does, so that no accuracy is given up."""
        return self.weights == self.activations == "fp32"

    @property
    def arithmetic(self) -> Type:
        """The type whose arithmetic sets the pace, where a core has it; else the runtime computes in fp32."""
        return "fp32" if self.exact else self.weights

    @property
    def weight_bytes(self) -> int:
        """Bytes of a stored weight."""
        return _BYTES[self.weights]

    @property
    def map_bytes(self) -> int:
        """Bytes of a value of a map at run time."""
        return _BYTES[self.activations]

    @property
    def words(self) -> str:
        """In words, for people."""
        return self.base + (", fp16 sums" if self.half_sums else "")


def numbers(precision: str) -> Numbers:
    """What a precision means.

    fp16 files hold half-size weights; a runtime widens them, so its maps are fp32 at run time.

    Raises:
        ValueError: it is no word of the grammar.
    """
    if precision in ("fp16", "fp16-acc16"):
        return Numbers(precision, "fp16", "fp32", half_sums=precision != "fp16")
    if precision == "fp32":
        return Numbers(precision, "fp32", "fp32")
    if precision == "dynamic":
        return Numbers(precision, "int8", "fp32")
    if precision == "int8":
        return Numbers(precision, "int8", "int8", ranges=True)
    if found := _MIXED.fullmatch(precision):
        weights, activations = (typing.cast(Type, f"int{bits}") for bits in found.groups())
        return Numbers(precision, weights, activations, ranges=True)
    raise ValueError(f"{precision!r} is no precision")


def weightiest(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcome that decides over several: fail before inconclusive before unverified before pass."""
    return min(outcomes, key=OUTCOMES_BY_WEIGHT.index, default="unverified")
