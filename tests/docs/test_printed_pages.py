"""Pages of docs/benchmarks are what their commands print from the records."""

import subprocess
import sys

import pytest
from places import ROOT


@pytest.mark.parametrize(
    ("program", "page"),
    [
        ("search.py", "search.md"),
        ("correction.py", "correction.md"),
        ("nas_baselines", "nas_baselines.md"),
        ("own_data.py", "own_data.md"),
    ],
)
def test_the_page_is_printed_from_the_results(program: str, page: str) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / program), "table"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed == (ROOT / "docs" / "benchmarks" / page).read_text()
