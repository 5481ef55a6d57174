"""The notebooks of examples/: every cell runs, and what the files show is what their cells gave."""

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from notebooks import EXAMPLES, executed, outputs, sources_digest, text_of
from places import ROOT

NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
AGAIN = "run scripts/notebooks.py"
# The kernel searches and measures as the tests do: no cell is about how well.
SHORT = f"""
import sys, pytest
sys.path.append({str(ROOT / "tests/support")!r})
import shortened
shortened.shorten_search(pytest.MonkeyPatch())
shortened.shorten_sessions(pytest.MonkeyPatch())
"""
# Fewer images and one epoch: figures differ, outputs do not.
FEWER = {
    "deploy": {},
    "once_for_all": {
        "EPOCHS, BATCH = 4, 64": "EPOCHS, BATCH = 1, 64",
        '.images("validation").sample(500)': '.images("validation").sample(100)',
        'test = package.images("test")': 'test = package.images("test").sample(200)',
    },
}
LARGEST = 400_000  # bytes of a file: people read its changes


def kinds(notebook: Any) -> list[list[tuple[str, ...]]]:
    """Of every cell's outputs, by name and formats. Warnings are left out: they say what the machine was doing."""
    return [
        [
            (name, *sorted(output.get("data", ())))
            for output in cell.get("outputs", ())
            if (name := name_of(output)) != "stderr"
        ]
        for cell in notebook.cells
    ]


def name_of(output: Any) -> str:
    """Of a stream; of anything else, its kind."""
    return output.get("name", output.output_type)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs(path: Path) -> None:
    committed = nbformat.read(path, as_version=4)
    found = executed(path, SHORT, FEWER[path.stem])
    assert kinds(found) == kinds(committed), AGAIN


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_it_shows_is_of_its_cells(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.outputs_of == sources_digest(notebook), AGAIN
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1)), AGAIN
    assert "error" not in {output.output_type for output in outputs(notebook)}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_holds_nothing_of_the_machine_that_ran_it(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert path.stat().st_size < LARGEST
    assert not any("execution" in cell.metadata for cell in notebook.cells)
    for output in outputs(notebook):
        text = text_of(output)
        assert not re.search(r"/(?:home|root|tmp|work|usr|opt|Users)/|0x[0-9a-f]{8,}", text), text[:200]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_comes_in_by_the_front_door(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    source = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert re.findall(r"^.*import.*ofa_edge.*$|^.*ofa_edge.*import.*$", source, re.MULTILINE) == [
        "import ofa_edge as oe"
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_its_links_lead_somewhere(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    words = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\(([^)]+)\)", words)
    assert links
    assert [link for link in links if not (path.parent / link).is_file()] == []


def test_the_readme_leads_to_each() -> None:
    readme = (ROOT / "README.md").read_text()
    assert NOTEBOOKS
    for path in NOTEBOOKS:
        assert f"(examples/{path.name})" in readme
