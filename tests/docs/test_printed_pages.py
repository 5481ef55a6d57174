"""Pages of docs/benchmarks are what their commands print from the records."""

import runpy
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
        ("int8.py", "int8.md"),
        ("transfer.py", "transfer.md"),
        ("any_files.py", "any_files.md"),
        ("any_network.py", "any_network.md"),
        ("codesign.py", "codesign.md"),
        ("modelled_cycles.py", "modelled_cycles.md"),
        ("pairs.py", "pairs.md"),
        ("supernet.py", "../supernet.md"),
    ],
)
def test_the_page_is_printed_from_the_results(monkeypatch, capsys, program: str, page: str) -> None:
    command = str(ROOT / "benchmarks" / program)
    monkeypatch.setattr(sys, "argv", [command, "table"])
    monkeypatch.setattr(sys, "path", list(sys.path))
    runpy.run_path(command, run_name="__main__")
    assert capsys.readouterr().out == (ROOT / "docs" / "benchmarks" / page).read_text()
