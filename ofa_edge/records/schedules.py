"""What a manifest says of a compiled library: CUDA kernels, schedules of functions, and what tuning did to them."""

from typing import Annotated, Literal

from pydantic import Field

from ofa_edge.records.base import Count, Fraction, Record


class KernelRecord(Record):
    """A CUDA kernel of the artifact: how it is launched and what it takes. Nothing here was timed.

    Attributes:
        rule: what scheduled it; `own_rule` is false where that was TVM's default.
        useful: share of the threads' turns that compute something wanted.
        registers: a thread; shared: bytes a block; stack: bytes a thread, of spilled registers.
    """

    name: str
    arch: str
    rule: str
    own_rule: bool = True
    grid: tuple[Count, Count, Count]
    block: tuple[Count, Count, Count]
    useful: Fraction
    registers: Count
    shared: Count
    stack: Count


class FallbackRecord(Record):
    """A compiled function that none of our schedule rules took: it has TVM's default."""

    function: str
    why: str
    calls: Count  # in one inference
    share: Fraction


class TunedFunctionRecord(Record):
    """A compiled function whose schedule tuning chose: microseconds of one call when it was tuned."""

    key: str  # digest of what it computes
    default_us: float
    best_us: float
    ratio: float  # best / default, paired


class TuningRecord(Record):
    """What tuning had to do with a TVM library.

    Attributes:
        device: where times were measured.
        functions: distinct ones of the network that a rule takes; known: of those, in the database.
        tuned: those that have knobs of their own in this library.
        choices: digest of functions and knobs.
        kept: false where the tuned library was not faster as a whole, and the untuned one was taken.
        ratio: tuned / untuned time of the whole network, paired; None where they were not compared.
        budget_s: of this build; seconds: that the sweep took.
    """

    device: str
    functions: Count
    known: Count
    tuned: tuple[TunedFunctionRecord, ...] = ()
    choices: str
    kept: bool
    ratio: float | None = None
    budget_s: float = 0.0
    seconds: float = 0.0
    notes: tuple[str, ...] = ()


class SchedulesRecord(Record):
    """How the functions of a TVM library for a CPU were scheduled."""

    isa: str
    threads: Annotated[int, Field(ge=1)]
    layout: str  # "NHWC", or why the network stayed as it was
    rules: dict[str, Count]  # functions by rule
    share_of: Literal["time", "work"]  # measured on this machine; or multiply-adds, where the library does not run here
    fallbacks: tuple[FallbackRecord, ...] = ()
    tuning: TuningRecord | None = None
