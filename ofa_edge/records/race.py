"""What a manifest says of `--runtime fastest`: which runtimes ran the network in turn, and how long each took."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from ofa_edge.records.base import Count, Fraction, Positive, Record


class RatioRecord(Record):
    """A runtime's time over the fastest one's, in the same rounds.

    Attributes:
        ratio: median over the rounds.
        low95, high95: bootstrap interval of that median.
        p: probability of ranks this far up by chance, one-sided signed-rank, adjusted for all comparisons (Holm).
    """

    ratio: Positive
    low95: Positive
    high95: Positive
    p: Fraction


class ContenderRecord(Record):
    """One runtime's artifact of the network.

    Attributes:
        runtime: by name.
        size: of the artifact in bytes.
        p50_ms: median over rounds of each session's median; `low95`, `high95`: bootstrap interval of it.
        rounds: in which it could be measured.
        beside: it against the fastest; None for the fastest.
        rejected: the gate that it failed, in words; None where it passed, or was not asked.
    """

    runtime: str
    size: Count
    p50_ms: Positive
    low95: Positive
    high95: Positive
    rounds: Annotated[int, Field(ge=1)]
    beside: RatioRecord | None = None
    rejected: str | None = None


class RaceRecord(Record):
    """All runtimes in turn on one device.

    Attributes:
        device: where.
        rounds: each runs every artifact once, in a process of its own; every other round goes backwards.
        searched_for: the runtime whose latency model the subnet was searched with, if it was searched for.
        contenders: the fastest first.
        left_out: runtimes that were not measured, with the reason.
    """

    device: str
    rounds: Annotated[int, Field(ge=1)]
    searched_for: str | None
    contenders: tuple[ContenderRecord, ...] = Field(min_length=1)
    left_out: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        first, *others = self.contenders
        if first.beside is not None or any(each.beside is None for each in others):
            raise ValueError("every contender but the fastest has a ratio to it")
        return self
