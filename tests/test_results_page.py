"""docs/results.md is what its command prints from the recorded results."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_page_is_printed_from_the_records(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / "benchmarks")])
    from recipes_report import report

    assert report(ROOT / "benchmarks" / "recipes_results") == (ROOT / "docs" / "results.md").read_text()
