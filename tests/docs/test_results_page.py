"""docs/results.md is what its command prints from the recorded results."""

from places import ROOT
from recipes_report import picture, report


def test_the_page_is_printed_from_the_records():
    assert report(ROOT / "benchmarks" / "recipes_results") == (ROOT / "docs" / "results.md").read_text()


def test_the_curves_are_drawn_from_the_records():
    drawn = picture(ROOT / "benchmarks" / "recipes_results")
    assert drawn == (ROOT / "docs" / "results.svg").read_text()
    assert drawn.count("<polyline") == 4
