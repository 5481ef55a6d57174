"""Each class of a ladder: uneven, absent, without answers, many."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ofa_edge.records.classes import ClassesRecord
from ofa_edge.verify.classes import classes_record
from ofa_edge.verify.ladder import Answers


def logits(answers: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Sure answers; NaN where an answer is -1."""
    found = np.zeros((len(answers), classes), dtype=np.float32)
    found[np.arange(len(answers)), np.maximum(answers, 0)] = 5.0
    found[answers < 0] = np.nan
    return found


def record(
    names: tuple[str, ...], test: NDArray[np.int64], before: NDArray[np.int64], after: NDArray[np.int64]
) -> ClassesRecord:
    calibration = np.arange(2 * len(names), dtype=np.int64) % len(names)
    labels = {"calibration": calibration, "validation": test[::2], "test": test}
    ends = (Answers(name, logits(given, len(names))) for name, given in (("slice", before), ("artifact", after)))
    found = classes_record(names, *ends, labels)
    assert found is not None
    return found


def test_thirty_to_one_a_class_without_images_and_answers_that_are_nan():
    """300 a (sorted by class), 10 b, no c, 4 d: b is lost altogether, two of d have no answer."""
    test = np.repeat([0, 1, 3], [300, 10, 4])
    after = test.copy()
    after[300:310] = 0
    after[310:312] = -1
    found = record(("a", "b", "c", "d"), test, test, after)
    a, b, c, d = found.classes
    assert [(item.test, item.right_before, item.right) for item in (a, b, c, d)] == [
        (300, 300, 300),
        (10, 10, 0),
        (0, 0, 0),
        (4, 4, 2),
    ]
    assert found.matrix == ((300, 0, 0, 0), (10, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 2))
    assert [item.no_answer for item in found.classes] == [0, 0, 0, 2]
    assert (b.lost, b.won, d.lost, c.recall, c.drop) == (10, 0, 2, None, None)
    assert found.balanced_before == 1.0
    assert found.balanced == pytest.approx((1 + 0 + 0.5) / 3)
    assert found.images == 314
    assert [item.name for item in found.worse] == ["b"]  # 2 of 4 are no proof
    assert [item.name for item in found.worst] == ["b", "d", "a"]
    assert (found.without("test"), found.without("calibration")) == (("c",), ())
    assert found.uneven
    assert [(pair.true, pair.answered, pair.images) for pair in found.confused] == [(1, 0, 10)]


def test_one_of_many_classes_must_lose_more_to_be_noticed():
    """Six lost and none won has p = 2 / 64: alone that is significant, as one of eight classes it is not."""
    test = np.repeat(np.arange(8), 20)
    after = test.copy()
    after[:6] = 1
    alone = record(("a", "b"), test[:20], test[:20], after[:20])
    assert [item.name for item in alone.worse] == ["a"]
    assert record(tuple("abcdefgh"), test, test, after).worse == ()
    after[:9] = 1  # 2 / 512 times 8 is 0.03
    assert [item.name for item in record(tuple("abcdefgh"), test, test, after).worse] == ["a"]


def test_a_class_that_wins_by_conversion_is_not_worse():
    test = np.repeat([0, 1], [20, 20])
    before = test.copy()
    before[:12] = 1
    found = record(("a", "b"), test, before, test)
    assert (found.classes[0].won, found.classes[0].lost, found.worse) == (12, 0, ())
    drop = found.classes[0].drop
    assert drop is not None
    assert drop.high95 < 0 < -drop.drop


def test_of_150_classes_the_most_confused_pairs_are_kept():
    test = np.repeat(np.arange(150), 4)
    after = test.copy()
    after[test == 7] = 8
    after[4 * 20 : 4 * 20 + 3] = 149
    after[::40] = (test[::40] + 1) % 150
    found = record(tuple(f"class {number}" for number in range(150)), test, test, after)
    assert found.matrix is None
    assert [(pair.true, pair.answered, pair.images) for pair in found.confused[:2]] == [(7, 8, 4), (20, 149, 2)]
    assert sum(pair.images for pair in found.confused) == int((after != test).sum())
    assert not found.uneven


def test_even_counts_are_not_uneven_and_a_set_smaller_than_the_classes_misses_none():
    test = np.arange(40) % 4
    labels = {"calibration": np.array([0, 1, 2]), "validation": test, "test": test}
    answers = Answers("x", logits(test, 4))
    found = classes_record(tuple("abcd"), answers, answers, labels)
    assert found is not None
    assert not found.uneven  # one image more or less is no unevenness
    assert found.without("calibration") == ()
    assert classes_record(tuple("abcd"), answers, answers, None) is None
