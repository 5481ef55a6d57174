"""Classes in the report: every number is there, every label is text, long lists are folded."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest
from class_records import one, record
from html_page import HOSTILE, Page
from manifests import classes, manifest

from ofa_edge.records.classes import ClassesRecord
from ofa_edge.report import render_report
from ofa_edge.report.confusion import NUMBERED, confusion_chart, shortened


def page(found: ClassesRecord) -> str:
    """A report of these classes, in a ladder that fits them."""
    found = found.model_copy(update={"start": "supernet slice", "artifact": "on device"})
    before, after = (
        sum(getattr(item, name) for item in found.classes) / found.images for name in ("right_before", "right")
    )
    ladder = tuple(
        rung.model_copy(update={"images": found.images, "top1": top1, "balanced": balanced})
        for rung, top1, balanced in zip(
            manifest().ladder,
            (before,) * 4 + (after,),
            (found.balanced_before,) * 4 + (found.balanced,),
            strict=True,
        )
    )
    return render_report(manifest(classes=found, ladder=ladder))


def section(html: str) -> Page:
    return Page(html[html.index("<h2>Classes</h2>") : html.index("<h2>Subnet")].rpartition("</section>")[0])


def chart(found: ClassesRecord) -> ET.Element:
    return ET.fromstring(confusion_chart(found))


def cells(root: ET.Element, kind: str) -> list[ET.Element]:
    return [item for item in root.iter("rect") if item.get("class", "").startswith(kind)]


def texts(root: ET.Element, name: str) -> list[str]:
    return ["".join(item.itertext()) for item in root.iter("text") if name in item.get("class", "").split()]


def test_without_classes_there_is_no_section() -> None:
    assert "<h2>Classes</h2>" not in render_report(manifest())
    assert confusion_chart(None) == ""


def test_recall_change_and_images_of_each_class_are_told() -> None:
    text = section(page(classes())).text
    for words in (
        "91.80 %",
        "T-shirt/top 85.0 % 79.4 to 89.3 83.0 % 77.2 to 87.6 -2.0",
        "8 / 4 50 / 400 / 200",
        "No class loses more by conversion than chance explains",
        "Shirt T-shirt/top 40 20.0 %",
    ):
        assert words in text, words
    assert "warning" not in text
    assert "unequal" not in text


def test_the_matrix_holds_every_count_and_says_it_in_words_too() -> None:
    root = chart(classes())
    assert len(cells(root, "right")) == 10
    assert len(cells(root, "wrong")) == 8
    assert sum(map(int, texts(root, "cell"))) == 2000
    title, description = (next(root.iter(tag)).text or "" for tag in ("title", "desc"))
    assert "Confusion matrix" in title
    assert "1836 of 2000 are right. Most often confused: Shirt taken for T-shirt/top: 40;" in description
    told = [item.text for item in root.iter("title")]
    assert "Shirt: 40 of 200 taken for T-shirt/top" in told


def test_a_cell_stands_in_its_true_row_and_answered_column() -> None:
    root = chart(record(one("a", 10, 10), one("b", 10, 4), one("c", 10, 10)))
    right = [(float(item.get("x", "")), float(item.get("y", ""))) for item in cells(root, "right")]
    (wrong,) = cells(root, "wrong")
    # of b (the second row), taken for c (the third column)
    assert (float(wrong.get("x", "")), float(wrong.get("y", ""))) == (right[2][0], right[1][1])
    assert wrong.get("class") == "wrong s5"
    assert [item.get("class") for item in cells(root, "right")] == ["right s5", "right s1", "right s5"]


def test_uneven_classes_and_what_they_lack() -> None:
    found = record(
        one("big", 300, 290), one("small", 10, 2, right_before=10, lost=8, worse=True), one("none", 0, 0, calibration=0)
    )
    html = page(found)
    text = section(html).text
    assert "no test image of none : nothing is known of their recall" in text
    assert "no calibration image of none : batch norm" in text
    assert "Conversion costs these more than chance explains" in text
    assert "small worse 100.0 %" in text
    assert re.search(r"none - - - - 0 / 5 / 0", text)
    whole = Page(html).text
    assert f"balanced {100 * found.balanced:.2f} %" in whole
    assert "top-1 balanced images" in whole


def test_images_without_an_answer_have_a_column() -> None:
    assert "no answer" not in page(record(one("a", 10, 10), one("b", 10, 10)))
    found = record(one("a", 10, 10), one("b", 10, 7, right_before=10, lost=3, no_answer=3))
    root = chart(found)
    assert "no answer" in texts(root, "tick")
    assert texts(root, "cell") == ["10", "7", "3"]
    assert max(float(item.get("x", "")) for item in cells(root, "wrong")) < float(
        next(root.iter("svg")).get("width", "")
    )
    assert "no answer to 3 of 20 test images" in section(page(found)).text


LABELS = (
    *(HOSTILE, "<b>", "a&amp;b", "قميص", "\u202eevil", "👩‍🚀🚀", "' onload='x"),
    *("x" * 5000, "日本語" * 40, "{{ 7 * 7 }}"),
)


def test_labels_are_text_however_odd() -> None:
    html = page(record(*(one(name, 20, 12) for name in LABELS)))
    parsed = Page(html)
    tags = {tag for tag, _ in parsed.tags}
    assert "script" not in tags
    assert not any("onload" in attrs or (tag == "b" and attrs) for tag, attrs in parsed.tags)
    for words in ("<b>", "a&amp;b", "{{ 7 * 7 }}"):
        assert words in parsed.text, words
    assert "x" * 59 in html
    assert "x" * 61 not in html
    bdi = sum(tag == "bdi" for tag, _ in parsed.tags)
    assert bdi >= len(LABELS)  # one label's direction turns nothing around it


@pytest.mark.parametrize(("count", "names", "folded"), [(12, True, False), (NUMBERED, True, True), (31, False, True)])
def test_names_and_numbers_as_far_as_they_can_be_read(count: int, names: bool, folded: bool) -> None:
    found = record(*(one(f"species {number}", 20, 15) for number in range(count)))
    root = chart(found)
    assert len(texts(root, "cell")) == (2 * count if names else 0)
    assert ("species 3" in texts(root, "tick")) == names
    assert ("10" in texts(root, "tick")) == (not names)
    assert ("<summary>All" in page(found)) == folded
    width, height = (float(next(root.iter("svg")).get(key, "")) for key in ("width", "height"))
    for x, y in places(root):
        assert 0 <= x <= width
        assert 0 <= y <= height


def places(root: ET.Element) -> Iterator[tuple[float, float]]:
    """Both ends of everything that is drawn; of names, by the width that letters have at least."""
    for item in root.iter("rect"):
        x, y = float(item.get("x", "")), float(item.get("y", ""))
        yield x, y
        yield x + float(item.get("width", "")), y + float(item.get("height", ""))
    for item in root.iter("text"):
        if item.get("text-anchor") == "end":
            yield float(item.get("x", "")) - 6 * len("".join(item.itertext())), float(item.get("y", ""))


def test_of_150_classes_there_are_pairs_and_folded_lists() -> None:
    found = record(*(one(f"species {number}", 20, 20 - number % 3) for number in range(150)))
    html = page(found)
    parsed = section(html)
    assert confusion_chart(found) == ""
    assert [tag for tag, _ in parsed.tags].count("details") == 2
    assert "All 150 classes" in parsed.text
    assert "45 more pairs" in parsed.text
    first = parsed.text.index("Lowest recall")
    assert parsed.text.index("species 2", first) < parsed.text.index("All 150 classes")
    assert len(html) < 250_000


@pytest.mark.parametrize(
    ("name", "shown"),
    [("Ankle boot", "Ankle boot"), ("x" * 19, "x" * 17 + "…"), ("日" * 9, "日" * 9), ("日" * 10, "日" * 8 + "…")],
)
def test_long_labels_are_cut_by_their_width(name: str, shown: str) -> None:
    assert shortened(name) == shown
