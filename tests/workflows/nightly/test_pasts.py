import datetime

from ofa_edge.records.night import NightRecord, SeriesRecord
from ofa_edge.verify.regression import Past
from ofa_edge.workflows.nightly.past_nights import past_of

ONE, TWO = "1" * 64, "2" * 64
HERE, THERE = "a" * 64, "b" * 64


def night(golden=ONE, fingerprint=HERE, colour="GREEN", pairs=8, **figures):
    figures = {"ratio": 0.01, "aa_ratio": 0.002, "golden_ms": 2.0, **figures}
    series = SeriesRecord(
        device="pi", artifact="net", gate="latency", colour=colour, code="x", reason="", pairs=pairs,
        golden_sha256=golden, fingerprint=fingerprint, **figures,
    )  # fmt: skip
    at = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    return NightRecord(at=at, version="0", fleet="f", devices=(), series=(series,))


def test_only_its_own_series():
    assert past_of([night()], "pi", "other", ONE) == Past()
    assert past_of([night(), night()], "pi", "net", ONE) == Past(HERE, (0.002,) * 2, (2.0,) * 2, (0.01,) * 2)


def test_a_new_golden_keeps_the_scatter_and_drops_the_rest():
    assert past_of([night()], "pi", "net", TWO) == Past(HERE, (0.002,))
    assert past_of([night(), night(TWO, golden_ms=3.0)], "pi", "net", TWO) == Past(HERE, (0.002,) * 2, (3.0,), (0.01,))


def test_a_new_device_drops_all():
    assert past_of([night(), night(fingerprint=THERE, colour="INCONCLUSIVE")], "pi", "net", ONE) == Past(
        THERE, (), (2.0,), ()
    )


def test_too_few_pairs_say_nothing_of_the_golden():
    assert past_of([night(colour="INCONCLUSIVE", pairs=3, ratio=None)], "pi", "net", ONE).golden_ms == ()
