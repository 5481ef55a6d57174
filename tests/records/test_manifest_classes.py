"""What a manifest says of classes: it adds up, is the ladder's, and old manifests are without it."""

import json
from typing import Any

import pytest
from manifests import change, classes, manifest
from pydantic import ValidationError

from ofa_edge.records.classes import ClassesRecord, ClassRecord, ConfusedPair
from ofa_edge.records.manifest import Manifest


def test_classes_round_trip_and_manifests_without_them_are_read() -> None:
    original = manifest(classes=classes())
    assert Manifest.model_validate_json(original.model_dump_json()) == original
    old = json.loads(original.model_dump_json())
    del old["classes"]
    for rung in old["ladder"]:
        del rung["balanced"]
    assert Manifest.model_validate_json(json.dumps(old)).classes is None


def test_shares_follow_from_the_counts() -> None:
    found = classes()
    top = found.classes[0]
    assert (top.recall, top.recall_before) == (0.83, 0.85)
    assert top.interval[0] < 0.83 < top.interval[1] < 0.9
    assert top.drop is not None
    assert (top.drop.drop, top.drop.lost, top.drop.won) == (pytest.approx(0.02), 8, 4)
    assert found.balanced == found.balanced_before == pytest.approx(0.918)  # even classes: as top-1
    assert [found.classes[pair.true].name for pair in found.confused[:2]] == ["Shirt", "T-shirt/top"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("classes.classes.0.test", 150, "more images of 'T-shirt/top' than its 150"),
        ("classes.classes.0.won", 5, "170 - 8 \\+ 5 is not 166"),
        ("classes.classes.1.worse", True, "cannot be worse"),
        ("classes.classes.1.no_answer", 1, "more images of 'Trouser'"),
        ("classes.classes.3.test", 201, "row of 'Dress' does not add up"),
        ("classes.matrix.3.4", 1, "row of 'Dress' does not add up"),
        ("classes.matrix.3", [0, 0, 0, 200], "must be square"),
        ("classes.matrix", [[200]], "must be square"),
        ("classes.matrix", None, "of more than 100 classes"),
        ("classes.pairs", [{"true": 0, "answered": 1, "images": 1}], "makes pairs needless"),
        ("classes.classes", [], "at least 1 item"),
        ("classes.artifact", "another rung", "is not what 'another rung' has"),
        ("ladder.0.images", 1999, "is not what 'supernet slice' has"),
        ("ladder.4.top1", 0.917, "1836 of 2000 images right by class is not what 'on device' has"),
        ("ladder.4.top1", None, "is not what 'on device' has"),
    ],
)
def test_what_does_not_add_up_is_refused(path: str, value: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Manifest.model_validate_json(json.dumps(change({"classes": classes()}, path, value)))


def many(pairs: tuple[tuple[int, int, int], ...]) -> dict[str, Any]:
    counts = {"calibration": 1, "validation": 1, "test": 4, "right_before": 2, "right": 2, "lost": 0, "won": 0}
    return {
        "start": "a",
        "artifact": "b",
        "classes": tuple(ClassRecord(name=str(number), **counts) for number in range(101)),
        "pairs": tuple(ConfusedPair(true=true, answered=answered, images=count) for true, answered, count in pairs),
    }


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (((3, 3, 1),), "no pair"),
        (((3, 101, 1),), "no pair"),
        (((3, 4, 2), (3, 5, 1)), "more confused images"),
        (tuple((number, 100, 1) for number in range(51)), "at most 50 pairs"),
    ],
)
def test_pairs_that_cannot_be_are_refused(pairs: tuple[tuple[int, int, int], ...], message: str) -> None:
    assert ClassesRecord(**many(((3, 4, 2), (4, 5, 1)))).confused[0].images == 2
    with pytest.raises(ValidationError, match=message):
        ClassesRecord(**many(pairs))


def test_no_test_image_at_all_is_refused() -> None:
    nothing = ClassRecord(name="a", calibration=1, validation=1, test=0, right_before=0, right=0, lost=0, won=0)
    with pytest.raises(ValidationError, match="no class has a test image"):
        ClassesRecord(start="a", artifact="b", classes=(nothing,), matrix=((0,),))


def test_classes_of_an_untrained_network_are_refused() -> None:
    parts = json.loads(manifest(classes=classes()).model_dump_json())
    parts["network"]["trained"] = False
    parts["labels"] = ["untrained", "emulated"]
    parts["search"] = None
    with pytest.raises(ValidationError, match="no accuracy to show"):
        Manifest.model_validate_json(json.dumps(parts))
