"""What a build's end says of classes: a line where all is even, a table where top-1 hides something."""

import sys

import click
import pytest
from class_records import one, record
from manifests import classes, manifest

from ofa_edge.cli.build import summary
from ofa_edge.cli.classes import class_lines, label
from ofa_edge.cli.console import hanging, table
from ofa_edge.records.manifest import CalibrationRecord


def test_even_classes_take_one_line(tmp_path):
    words = summary(manifest(classes=classes()), tmp_path)
    (line,) = [line for line in words.splitlines() if "test images" in line]
    assert line == "  10 classes, 200 test images each; lowest recall: Shirt 60.0 %, T-shirt/top 83.0 %, Coat 85.0 %"
    assert "balanced" not in words
    assert "test images each" not in summary(manifest(), tmp_path)


def test_thirty_to_one_has_a_table_and_a_balanced_column(tmp_path):
    """2,000 images, 1,836 right: 1,800 + 36 + 0."""
    found = record(one("big", 1800, 1800), one("small", 60, 36), one("lost", 140, 0))
    found = found.model_copy(update={"start": "supernet slice", "artifact": "on device"})
    ladder = tuple(rung.model_copy(update={"balanced": 0.5333}) for rung in manifest().ladder)
    words = summary(manifest(classes=found, ladder=ladder), tmp_path)
    header, slice_line = (line.split() for line in words.splitlines() if line.strip().startswith(("rung", "supernet")))
    assert header[5:8] == ["top-1", "balanced", "images"]
    assert slice_line[5:8] == ["91.80", "53.33", "2000"]
    rows = [line.split() for line in words.splitlines()]
    assert ["small", "15", "60", "60.0", "%", "60.0", "%", "0", "0"] in rows
    assert "  3 classes, 60 to 1800 test images each; balanced accuracy 53.33 %\n" in words


def test_a_class_without_test_or_calibration_images_is_warned_of():
    found = record(one("a", 40, 40), one("b", 0, 0), one("c", 40, 30, calibration=0))
    words = class_lines(found)
    assert "warning: no test image of b: nothing is known of their recall" in words
    assert "warning: no calibration image of c: batch norm was calibrated without them" in words
    assert ["b", "1", "0", "-", "-", "0", "0"] in [line.split() for line in words.splitlines()]
    assert "no calibration image" not in class_lines(found, reviewed=True)


def test_images_without_an_answer_are_said():
    words = class_lines(record(one("a", 40, 30, right_before=40, lost=10, no_answer=10), one("b", 40, 40)))
    assert "warning: 10 of 80 test images have no answer: their logits hold a NaN" in words
    assert "no answer" not in class_lines(record(one("a", 40, 30), one("b", 40, 40)))


def test_what_the_review_of_an_int8_set_says_is_not_said_twice(tmp_path):
    found = record(one("a", 1000, 918), one("b", 1000, 918, calibration=0))
    found = found.model_copy(update={"start": "supernet slice", "artifact": "on device"})
    review = CalibrationRecord(images=250, classes=1, low=0, high=1, warnings=("no calibration image of b: unseen",))
    words = summary(manifest(classes=found, calibration=review), tmp_path)
    assert words.count("no calibration image of b") == 1


def test_a_class_that_loses_is_named_though_all_are_even():
    items = [one(name, 40, 40) for name in "abc"]
    items.append(one("d", 40, 28, right_before=40, lost=12, worse=True))
    words = class_lines(record(*items))
    assert "conversion costs d 12 of 40 images (0 won): more than chance" in words
    assert ["d", "10", "40", "100.0", "%", "70.0", "%", "12", "0"] in [line.split() for line in words.splitlines()]


def test_of_150_classes_the_worst_and_the_rarest_are_shown():
    items = [one(f"class {number}", 40, 40 - number % 7) for number in range(150)]
    items[77] = one("hopeless", 40, 1)
    items[99] = one("rare", 2, 2)
    words = class_lines(record(*items))
    assert len(words.splitlines()) <= 14
    first = next(line for line in words.splitlines() if "2.5 %" in line)
    assert first.split()[0] == "hopeless"
    assert any(line.split()[:3] == ["rare", "1", "2"] for line in words.splitlines())
    assert "150 classes, 2 to 40 test images each; balanced accuracy" in words
    assert "lowest recall: hopeless 2.5 %" in words


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("T-shirt/top", "T-shirt/top"),
        ("a\x1b[31mb\u202ec", "a [31mb c"),
        ("x" * 200, "x" * 21 + "..."),
        ("日本", "日本"),
    ],
)
def test_labels_cannot_steer_a_terminal(name, shown):
    assert label(name) == shown
    assert shown in class_lines(record(one(name, 9, 3), one("b", 90, 80)))


def test_wide_letters_keep_columns_in_line():
    lines = table([["日本", "1"], ["abcd", "2"]]).splitlines()
    assert lines == ["  日本  1", "  abcd  2"]


def test_long_reasons_hang_under_their_column(monkeypatch):
    rows = [["parity", click.style("pass", fg="green"), "short"], ["accuracy", "unverified", "many words " * 20]]
    assert len(hanging(rows).splitlines()) == 2
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    lines = hanging(rows).splitlines()
    assert len(lines) > 4
    assert max(len(click.unstyle(line)) for line in lines) <= 80
    assert click.unstyle(lines[0]).index("short") == lines[1].index("many") == len(lines[2]) - len(lines[2].lstrip())
