"""What a manifest says of a latency model that a build refined by measuring: candidates, predicted and measured."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from ofa_edge.records.base import Count, Finite, Fraction, NotNegative, Positive, Record


class IntervalRecord(Record):
    """A predicted latency in milliseconds: the median, and the intervals that hold half and nine tenths."""

    ms: Positive
    low50: NotNegative
    high50: Positive
    low90: NotNegative
    high90: Positive

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low90 <= self.low50 <= self.ms <= self.high50 <= self.high90:
            raise ValueError("the interval must hold low90 <= low50 <= ms <= high50 <= high90")
        return self


class GapRecord(Record):
    """How far predictions and measurements are apart.

    Attributes:
        mape: mean of |predicted / measured - 1|.
        bias: median of ln(measured / predicted): above 0 where networks are slower than predicted.
        inside50, inside90: share of the measurements inside the intervals.
    """

    mape: NotNegative
    bias: Finite
    inside50: Fraction
    inside90: Fraction


class RefinedCandidate(Record):
    """A candidate that was measured.

    Attributes:
        round: of measuring, from 1.
        measured_ms: median; low95 to high95 is its bootstrap interval over sessions.
        before: by the target's own model.
        after: by a model refined with all other candidates, never with this one; None where there was no other.
    """

    subnet: str
    round: Annotated[int, Field(ge=1)]
    measured_ms: Positive
    low95: Positive
    high95: Positive
    before: IntervalRecord
    after: IntervalRecord | None = None


class RefinementRecord(Record):
    """What measuring candidates did to the latency model and to the choice.

    Attributes:
        device: that was measured, in its own words.
        asked: candidates a round, as the user wants them.
        rounds: of measuring, refitting and searching again.
        first: the subnet that would have been chosen without.
        latency_file: the refined model, beside the manifest; target_file: a target that names it.
        notes: candidates that were left out and why, among others.
    """

    device: str
    asked: Annotated[int, Field(ge=1)]
    rounds: Annotated[int, Field(ge=1)]
    first: str
    candidates: Annotated[tuple[RefinedCandidate, ...], Field(min_length=1)]
    before: GapRecord
    after: GapRecord | None = None
    latency_file: str
    target_file: str
    seconds: NotNegative
    resumed: Count = 0  # measurements that an earlier build of the same boot left in the cache
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _honest(self) -> Self:
        if any((each.after is None) != (self.after is None) for each in self.candidates):
            raise ValueError("figures after refining need a prediction of each candidate by a model of the others")
        if max(each.round for each in self.candidates) > self.rounds:
            raise ValueError("a candidate was measured in a round that was not")
        return self
