"""Whose a run's folder is: every part of a run's identity, changed by itself, is told as what it is."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ofa_edge import cache
from ofa_edge.data.dataset import Images
from ofa_edge.errors import OutputError
from ofa_edge.training import claim
from ofa_edge.training.claim import ImageSet, RunIdentity, claim_run, training_code

MARKER = "run.json"
RECIPE = {"seed": 0, "data": {"held_out": 4}, "phases": [{"lr": 0.1}]}
CLASSES = ("ant", "bee", "cow")


def images(count: int, seed: int = 0) -> Images:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, 4, 4, 1), dtype=np.uint8)
    return Images(pixels, np.arange(count, dtype=np.int64) % 3)  # class by class would do as well


def identity(**changes) -> RunIdentity:
    parts = {"train": images(12), "held_out": images(4, 1), "test": images(6, 2)}
    parts = {**parts, **{key: value for key, value in changes.items() if key in parts}}
    others = {key: value for key, value in changes.items() if key not in parts}
    return replace(RunIdentity.of(RECIPE, CLASSES, **parts), **others)


@pytest.fixture
def folder(tmp_path):
    claim_run(tmp_path / "run", MARKER, {"who": "me"}, identity())
    return tmp_path / "run"


def refused(folder, other, **options) -> OutputError:
    """The error; the folder is as it was."""
    before = (folder / MARKER).read_bytes()
    with pytest.raises(OutputError) as caught:
        claim_run(folder, MARKER, {}, other, **options)
    assert (folder / MARKER).read_bytes() == before
    assert "--out" in caught.value.hint
    return caught.value


def test_the_same_run_goes_on(folder):
    before = (folder / MARKER).read_bytes()
    assert claim_run(folder, MARKER, {"who": "me"}, identity()) == identity().facts
    assert (folder / MARKER).read_bytes() == before
    assert json.loads(before)["who"] == "me"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"recipe": {**RECIPE, "seed": 1, "data": {"held_out": 5}}},
            "what is to be done is not the same: data.held_out 4 then, 5 now, seed 0 then, 1 now",
        ),
        ({"recipe": {**RECIPE, "phases": [{"lr": 0.2}]}}, "not the same: phases[1].lr 0.1 then, 0.2 now"),
        ({"classes": ("ant", "cow", "bee")}, "another order: number 1 was 'bee' then, is 'cow' now"),
        ({"classes": ("ant", "bee", "cat")}, "the classes are others: 'cow' gone; 'cat' new"),
        ({"train": images(11)}, "the training images are others: 12 then, 11 now"),
        ({"train": images(12, 9)}, "the training images are others: 12 then and now, but not the same pixels"),
        ({"held_out": images(4, 9)}, "the held-out images are others: 4 then and now"),
        ({"test": images(60, 9)}, "the test images are others: 6 then, 60 now"),
        (
            {"train": images(11), "held_out": images(5, 1)},
            "16 together both times, so they may only be split otherwise",
        ),
    ],
)
def test_another_run_is_refused_and_what_differs_is_said(folder, changes, words):
    error = refused(folder, identity(**changes))
    assert error.what == f"{folder} holds another run"
    assert words in error.why


def test_one_pixel_one_label_or_the_order_is_enough(folder):
    start = images(12)
    pixels, labels = start.pixels.copy(), start.labels.copy()
    pixels[11, 3, 3, 0] ^= 1
    labels[11] = (labels[11] + 1) % 3
    for other in (Images(pixels, start.labels), Images(start.pixels, labels), start.take(np.arange(12)[::-1])):
        assert "training images are others" in refused(folder, identity(train=other)).why


def test_changed_code_is_refused_or_accepted_and_recorded(folder):
    other = identity(code="f" * 64)
    error = refused(folder, other)
    assert f"the code that trains has changed since: {training_code()[:12]} then, ffffffffffff now" in error.why
    assert "--accept-changed-code" in error.hint
    before = (folder / MARKER).read_bytes()
    assert claim_run(folder, MARKER, {}, other, dry=True, accept_code=True)["code"] == other.code
    assert (folder / MARKER).read_bytes() == before
    found = claim_run(folder, MARKER, {}, other, accept_code=True)
    assert found["earlier"] == [{"code": training_code()}]
    marker = json.loads((folder / MARKER).read_bytes())
    assert (marker["identity"], marker["who"]) == (found, "me")
    assert claim_run(folder, MARKER, {}, other) == found  # once accepted, it is the run's
    assert "0 then, 1 now" in refused(folder, replace(other, recipe={**RECIPE, "seed": 1}), accept_code=True).why


def test_another_torch_is_recorded_and_no_reason_to_refuse(folder):
    found = claim_run(folder, MARKER, {}, identity(torch="99.0"))
    assert found["earlier"] == [{"torch": identity().torch}]
    assert json.loads((folder / MARKER).read_bytes())["identity"]["torch"] == "99.0"


def test_the_digest_is_of_what_was_asked_for():
    assert identity().digest == identity(code="f" * 64, torch="99.0").digest
    others = [
        {"recipe": {}},
        {"classes": CLASSES[::-1]},
        {"train": images(11)},
        {"held_out": images(3)},
        {"test": images(1)},
    ]
    assert len({identity(**changes).digest for changes in [{}, *others]}) == 6


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"identity": 3}', '{"identity": {"recipe": {}}}'])
def test_a_damaged_marker_is_told(tmp_path, text):
    (tmp_path / MARKER).write_text(text)
    assert "is damaged or of an older version" in refused(tmp_path, identity()).what


def test_somebody_elses_folder_or_file_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    for taken in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(OutputError, match="is not ours"):
            claim_run(taken, MARKER, {}, identity())
    assert claim_run(tmp_path / "new", MARKER, {}, identity(), dry=True) == identity().facts
    assert not (tmp_path / "new").exists()


def test_the_code_that_decides_is_what_training_imports(monkeypatch):
    """Files of data, layers and training count, those of commands and reports do not."""
    seen = []
    monkeypatch.setattr(claim, "source_digest", lambda paths: seen.extend(paths) or cache.source_digest(paths))
    training_code.__wrapped__()
    names = {path.relative_to(claim.Path(claim.__file__).parent.parent).as_posix() for path in seen}
    assert {
        "metrics.py",
        "data/sampling.py",
        "supernet/layers.py",
        "space/space.py",
    } <= names
    assert {"training/trainer.py", "training/losses.py"} <= names
    assert not [name for name in names if name.startswith(("cli/", "report/", "export/"))]
    workflows = {"train", "finetune", "new_head", "out_of_fold", "teacher"}
    assert {name for name in names if name.startswith("workflows/")} == {f"workflows/{name}.py" for name in workflows}


def test_an_image_set_knows_its_count():
    assert ImageSet.of(images(3)) == ImageSet(3, images(3).digest)
