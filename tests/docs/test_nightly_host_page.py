"""The page of benchmarks/nightly_host.py is made from its record, and judges as it says."""

import json

import nightly_host as host
from nights import series
from places import ROOT

RECORD, PAGE = ROOT / "benchmarks" / "nightly_host.json", ROOT / "docs" / "benchmarks" / "nightly_host.md"


def made_up(*items):
    return {
        "machine": {"cpu": "made up", "cores": 2}, "load": [0.1] * len(items), "seconds": [30.0] * len(items),
        "session_seconds": 0.5, "macs": {"golden": 100, "slower": 117},
        "nights": [item.model_dump(mode="json") for item in items],
    }  # fmt: skip


def test_the_page_counts_what_the_nights_said():
    text = host.page(made_up(series(), series("RED", ratio=0.06), series(ratio=-0.01), series("RED", ratio=0.14)))
    assert "RED among the A/A nights: 1 of 3" in text
    assert "1.17 times the multiply-accumulates" in text
    assert "A/A ratios: -1.00 to +6.18 %" in text
    assert "| 4 (planted) | RED | +15.03 % | 5.0 % |" in text


def test_a_record_and_its_page_are_there_together_and_agree():
    assert RECORD.is_file() == PAGE.is_file()
    if RECORD.is_file():
        found = json.loads(RECORD.read_bytes())
        assert host.page(found) == PAGE.read_text()
        nights = found["nights"]
        assert [item["colour"] == "RED" for item in nights] == [False] * (len(nights) - 1) + [True]
