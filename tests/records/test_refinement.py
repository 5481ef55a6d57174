"""Records of a refined latency model: frozen, strict and honest."""

import pytest
from pydantic import ValidationError

from ofa_edge.records.refinement import GapRecord, IntervalRecord, RefinedCandidate, RefinementRecord

INTERVAL = IntervalRecord(ms=10, low50=9, high50=11, low90=8, high90=12)
GAP = GapRecord(mape=0.1, bias=0.0, inside50=0.5, inside90=1.0)


def candidate(**changes):
    common = {"subnet": "a" * 12, "round": 1, "measured_ms": 10.0, "low95": 9.9, "high95": 10.1, "before": INTERVAL}
    return RefinedCandidate(**{**common, **changes})


def record(**changes):
    common = {"device": "board", "asked": 1, "rounds": 1, "first": "a" * 12, "before": GAP, "seconds": 1.0}
    files = {"latency_file": "a.latency.json", "target_file": "a.toml", "candidates": (candidate(),)}
    return RefinementRecord(**{**common, **files, **changes})


def test_a_record_survives_its_file():
    whole = record(candidates=(candidate(after=INTERVAL),), after=GAP, notes=("hot",))
    assert RefinementRecord.model_validate_json(whole.model_dump_json()) == whole


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"after": GAP}, "model of the others"),
        ({"candidates": (candidate(after=INTERVAL),)}, "model of the others"),
        ({"candidates": (candidate(round=2),)}, "round that was not"),
        ({"candidates": ()}, "at least 1"),
    ],
)
def test_what_was_not_done_cannot_be_told(changes, words):
    with pytest.raises(ValidationError, match=words):
        record(**changes)


def test_intervals_nest():
    with pytest.raises(ValidationError, match="low90 <= low50"):
        IntervalRecord(ms=10, low50=7, high50=11, low90=8, high90=12)
