"""docs/benchmarks/correction.md is what its command prints."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_page_is_printed_from_the_results() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "correction.py"), "table"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed == (ROOT / "docs" / "benchmarks" / "correction.md").read_text()
