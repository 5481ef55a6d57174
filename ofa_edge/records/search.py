"""Records of a search: its front, what was measured on the way, and named subnets to compare with."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ofa_edge.records.base import Count, Finite, Fraction, NotNegative, Positive, Record


class FrontPoint(Record):
    """One point of the Pareto front, both values predicted."""

    latency_ms: Positive
    score: NotNegative  # of SearchRecord.objective
    subnet: str  # its id
    low90: NotNegative | None = None  # of the latency model's interval
    high90: Positive | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low90 is not None and self.high90 is not None and not self.low90 <= self.latency_ms <= self.high90:
            raise ValueError("the interval must hold the latency")
        return self


class ReferencePoint(Record):
    """A subnet that people would compare with, such as the largest; both values predicted."""

    name: str
    subnet: str  # its id
    latency_ms: Positive
    score: NotNegative


class CandidateRecord(Record):
    """One of the best candidates by prediction, and its accuracy as measured after BN calibration."""

    subnet: str  # its id
    latency_ms: Positive
    score: NotNegative  # of SearchRecord.objective, predicted
    measured_top1: Fraction | None = None
    foreseen_top1: Fraction | None = None  # by the corrected predictor, just before it was measured
    expected_top1: Fraction | None = None  # posterior mean after the last measurement: luck shrunk away
    expected_sd: NotNegative | None = None  # of that, the error that all candidates share included
    round: Annotated[int, Field(ge=1)] | None = None  # in which it was measured

    @model_validator(mode="after")
    def _whole(self) -> Self:
        parts = (self.foreseen_top1, self.expected_top1, self.expected_sd, self.round)
        if any(part is None for part in parts) != all(part is None for part in parts):
            raise ValueError("foreseen_top1, expected_top1, expected_sd and round go together")
        if self.expected_top1 is not None and self.measured_top1 is None:
            raise ValueError("an expected top-1 stands on a measured one")
        return self


class CorrectionRecord(Record):
    """How measurements corrected the predictor. The choice was by posterior mean, not by the best measurement."""

    measurements: Annotated[int, Field(ge=1)]
    rounds: Annotated[int, Field(ge=1)]
    stopped: Literal["settled", "spent"]  # the front moved less than its error, or all measurements were used
    images: Annotated[int, Field(ge=1)]
    shift: Finite  # mean of expected minus predicted top-1
    difference_sd: NotNegative  # typical error of the difference of two measurements, which are of the same images
    process_sd: NotNegative  # what the predictor is taken to be wrong by from subnet to subnet
    compared: Annotated[int, Field(ge=1)]  # candidates behind the next four: those measured after the first round
    kendall_predicted: Annotated[float, Field(ge=-1, le=1)]  # of the predictor with the measurements
    kendall_foreseen: Annotated[float, Field(ge=-1, le=1)]  # of the corrected one, each before it was measured
    rmse_predicted: NotNegative
    rmse_foreseen: NotNegative


def cold_budget(budget_ms: float | None, sustained: "SustainedRecord | None") -> float | None:
    """What a measured latency is held against, in milliseconds: devices are measured cold, whatever a budget is of."""
    return None if budget_ms is None else budget_ms / (sustained.factor if sustained else 1.0)


class SustainedRecord(Record):
    """What a target keeps of its speed once it is warm, and on whose word; the search was under the slower latency."""

    factor: Annotated[float, Field(ge=1, allow_inf_nan=False)]  # warm latency in units of the cold one
    source: Annotated[str, Field(min_length=1)]


class FleetRecord(Record):
    """The fleet that a build belongs to, and who shares its subnet."""

    targets: Annotated[int, Field(ge=2)]
    models: Annotated[int, Field(ge=1)]  # subnets for all of them
    serves: Annotated[tuple[str, ...], Field(min_length=1)]  # targets with this subnet, this one included
    cost: NotNegative  # predicted score that sharing takes from this target, against a subnet of its own


class SearchRecord(Record):
    """How the subnet was found."""

    objective: Literal["top1", "macs"]  # what was maximised under the budget; MACs where nothing predicts accuracy
    metric: Literal["top1", "balanced"] = "top1"  # what every accuracy in this record is, `measured_top1` included
    ranked_by: Literal["predictor", "macs"] | None = None  # MACs also where their line over top-1 stood in
    ranked_why: str = ""  # with the predictor's figures on held-out subnets
    budget_ms: Positive
    budget_source: Literal["option", "relative"]  # --latency-ms, or a fraction of the largest subnet's latency
    relative_budget: Positive | None = None
    fastest_ms: Positive
    largest_ms: Positive
    evaluations: Count
    predictor_rmse: NotNegative | None = None  # same unit as top-1
    predictor_rmse_source: Literal["held-out", "published"] = "held-out"  # measured on held-out subnets, or a paper's
    measured_images: Count = 0  # held-out training images behind `measured_top1`
    front: tuple[FrontPoint, ...] = ()
    candidates: tuple[CandidateRecord, ...] = ()
    correction: CorrectionRecord | None = None
    cloud: tuple[tuple[Positive, NotNegative], ...] = ()  # some of what was evaluated: milliseconds, score
    references: tuple[ReferencePoint, ...] = ()
    fleet: FleetRecord | None = None

    @model_validator(mode="after")
    def _scores(self) -> Self:
        scores = [point.score for point in self.front] + [candidate.score for candidate in self.candidates]
        scores += [point.score for point in self.references] + [score for _, score in self.cloud]
        if self.objective == "top1" and max(scores, default=0.0) > 1:
            raise ValueError("a predicted top-1 is a fraction of 1")
        if (self.budget_source == "relative") != (self.relative_budget is not None):
            raise ValueError("relative_budget must be there exactly when the budget is relative")
        return self

    @model_validator(mode="after")
    def _corrected(self) -> Self:
        measured = sum(item.expected_top1 is not None for item in self.candidates)
        if self.correction is not None and self.correction.measurements != measured:
            raise ValueError(f"{self.correction.measurements} measurements, and {measured} candidates that show them")
        return self
