"""What the history says of each series, in the form that the statistics take."""

from collections.abc import Sequence

from ofa_edge.records.night import NightRecord, SeriesRecord
from ofa_edge.verify.night import advance
from ofa_edge.verify.regression import DEFAULT_RULES, Colour, Past, Rules


def past_of(
    nights: Sequence[NightRecord], device: str, artifact: str, golden_sha256: str, rules: Rules = DEFAULT_RULES
) -> Past:
    """A latency series' past under the golden of this digest.

    A new golden begins a new series of ratios and levels; how much the device scatters is its own affair and stays.
    """
    past, golden = Past(), None
    for night in nights:
        for item in night.series:
            if (item.device, item.artifact, item.gate) != (device, artifact, "latency") or item.fingerprint is None:
                continue
            if item.golden_sha256 != golden:
                past, golden = _new_golden(past), item.golden_sha256
            past = _after(past, item, rules)
    return past if golden == golden_sha256 else _new_golden(past)


def _new_golden(past: Past) -> Past:
    return Past(past.fingerprint, past.aa_ratios)


def _after(past: Past, item: SeriesRecord, rules: Rules) -> Past:
    assert item.fingerprint is not None
    return advance(
        past,
        item.fingerprint,
        Colour(item.colour),
        ratio=item.ratio,
        golden_ms=item.golden_ms if item.pairs >= rules.least_pairs else None,
        aa_ratio=item.aa_ratio,
        rules=rules,
    )
