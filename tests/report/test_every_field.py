"""One marker in every text that a manifest or a night can hold: on pages, in JUnit and in annotations it stays text."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from html_page import HOSTILE, Page
from manifests import classes, manifest
from nights import accuracy, night, series
from pydantic import ValidationError

from ofa_edge.records.night import NightRecord
from ofa_edge.report import render_report
from ofa_edge.report.annotations import annotations
from ofa_edge.report.junit import junit_xml
from ofa_edge.report.nightly import render_nightly

SCRIPT = "document.title='owned'"
MARKER = f'{HOSTILE}<script>{SCRIPT}</script><img src=x onerror="{SCRIPT}">\n::error::x\x1b[2J\u202e'
PLAIN = "word"
Place = tuple[str | int, ...]


def texts(value: Any, place: Place = ()) -> Iterator[Place]:
    """Where the strings of plain values stand."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if isinstance(value, str):
        yield place
    for key, item in inner:
        yield from texts(item, (*place, key))


def with_text(value: Any, place: Place, text: str) -> Any:
    """A copy with another string at one place."""
    if not place:
        return text
    inner = dict(value) if isinstance(value, dict) else list(value)
    inner[place[0]] = with_text(inner[place[0]], place[1:], text)
    return inner


def marked(record: Any) -> tuple[int, Any, Any]:
    """How many texts may be anything, and the record with the marker in all of them, and with a plain word."""
    model, hostile = type(record), json.loads(record.model_dump_json())
    plain, count = hostile, 0
    for place in texts(hostile):
        if place[-1] == "family":  # of a space: a page cannot draw one that nobody knows, and says so
            continue
        both = with_text(hostile, place, MARKER), with_text(plain, place, PLAIN)
        try:
            for values in both:
                model.model_validate_json(json.dumps(values))
        except ValidationError:
            continue  # a word of a list, a digest, a plain name: nothing else may stand there
        hostile, plain = both
        count += 1
    return count, *(model.model_validate_json(json.dumps(values)) for values in (hostile, plain))


REPORTED = manifest(classes=classes())
NIGHT = night(series("RED"), series("INCONCLUSIVE", device="phone"), accuracy("YELLOW", 2))


def shape(html: str) -> list[tuple[str, list[str]]]:
    return [(tag, sorted(attributes)) for tag, attributes in Page(html).tags]


def one_night(record: NightRecord) -> str:
    return render_nightly([record])


@pytest.mark.parametrize(("record", "render", "least"), [(REPORTED, render_report, 60), (NIGHT, one_night, 15)])
def test_a_page_has_the_same_tags_whatever_its_texts_are(record, render, least):
    count, hostile, plain = marked(record)
    assert count > least
    page = render(hostile)
    assert shape(page) == shape(render(plain))
    assert "\u202e" not in page
    assert "\x1b" not in page


def test_junit_and_annotations_hold_any_text():
    _, hostile, plain = marked(NIGHT)
    both = [ET.fromstring(junit_xml(record)).iter() for record in (hostile, plain)]
    tags = [[(each.tag, sorted(each.keys())) for each in elements] for elements in both]
    assert tags[0] == tags[1]
    lines = annotations(hostile)
    assert len(lines) == len(annotations(plain))
    assert all("\n" not in line and line.startswith("::") for line in lines)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium here")
def test_a_browser_runs_nothing_of_them(tmp_path):
    report, nightly = render_report(marked(REPORTED)[1]), one_night(marked(NIGHT)[1])
    # The policy that the pages carry holds even where a text had not been escaped.
    policed = report.replace("</body>", f"<script>{SCRIPT}</script></body>")
    assert policed != report
    for html in (report, nightly, policed):
        assert "<title>owned" not in browsed(tmp_path, html)
    assert "<title>owned" in browsed(tmp_path, f"<!doctype html><title>bare</title><script>{SCRIPT}</script>")


def browsed(folder: Path, html: str) -> str:
    page = folder / "page.html"
    page.write_text(html, encoding="utf-8", errors="replace")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}", "--dump-dom"]
    command = ["chromium", *options, page.as_uri()]
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    return done.stdout.decode("utf-8", errors="replace")
