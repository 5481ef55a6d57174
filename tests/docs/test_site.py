"""The site: it builds with every link and anchor whole, by itself, and shows what the tool offers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

import ofa_edge as oe
from ofa_edge.cli import cli

DOCS = ROOT / "docs"
LOADED = re.compile(r"<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=\"?(https?://[^\s\">]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    argv = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    return folder


def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=\"?(https?://[^\s\">]+)", page.read_text()
        )
        assert [address for address in loaded if "rel=canonical" not in address] == [], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(\"?https?:|@import \"?https?:", sheet.read_text()), sheet


def test_what_lies_outside_docs_is_in_it(site: Path) -> None:
    for page in ("CONTRIBUTING", "android_demo/index", "github/workflows/nightly.yml"):
        assert (site / "repository" / f"{page}.html").is_file()
    assert 'href="repository/CONTRIBUTING.html"' in (site / "runtimes.html").read_text()


def test_the_command_line_is_whole(site: Path) -> None:
    page = (site / "reference" / "cli.html").read_text()
    for name, command in cli.commands.items():
        assert f'id="ofa-edge-{name}"' in page, name
        for parameter in command.params:
            for option in parameter.opts:
                assert not option.startswith("--") or option in page, (name, option)


def test_python_is_whole(site: Path) -> None:
    page = (site / "reference" / "python.html").read_text()
    for name in set(oe.__all__) - {"__version__", "cost"}:
        assert re.search(rf'id="ofa_edge\.(?:[\w.]+\.)?{name}"', page), name


def test_every_page_is_in_the_list() -> None:
    listed = set(re.findall(r"[\w/.-]+\.md", (ROOT / "mkdocs.yml").read_text()))
    assert listed - {"repository/CONTRIBUTING.md"} == {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
