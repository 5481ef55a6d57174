import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa_edge.metrics import (
    argmax,
    balanced_accuracy,
    confusion,
    holm,
    mad,
    mcnemar_p,
    paired_drop,
    paired_drop_of,
    recalls,
    spearman,
    top1,
    wilson95,
)


def test_top1_is_the_share_of_right_answers():
    logits = np.array([[2.0, 1.0], [0.0, 1.0], [3.0, 5.0], [1.0, 0.0]], dtype=np.float32)
    assert top1(logits, np.array([0, 1, 0, 0])) == 0.75
    assert top1(logits, np.array([1, 0, 0, 1])) == 0.0
    assert top1(-logits, np.array([1, 0, 0, 1])) == 1.0


def test_balanced_accuracy_is_the_mean_over_classes_that_have_images():
    logits = np.eye(4)[[0] * 30 + [0]]  # 30 of class 0, one of class 2, all taken for 0
    labels = np.array([0] * 30 + [2])
    assert top1(logits, labels) == pytest.approx(30 / 31)
    assert balanced_accuracy(logits, labels) == 0.5
    assert balanced_accuracy(logits, np.zeros(31, dtype=int)) == 1.0
    assert balanced_accuracy(np.full((2, 2), np.nan), np.array([0, 1])) == 0.0
    with pytest.raises(ValueError, match="labels"):
        balanced_accuracy(np.zeros((2, 2)), np.zeros(3, dtype=int))


def test_median_absolute_deviation():
    assert mad(np.array([1.0, 2.0, 4.0, 100.0])) == 1.5
    assert mad(np.array([])) == 0.0


def test_a_row_with_nan_is_wrong_and_agrees_with_nothing():
    logits = np.array([[np.nan, 1.0], [1.0, np.nan], [np.nan, np.nan], [0.0, 1.0]])
    assert argmax(logits).tolist() == [-1, -1, -1, 1]
    assert top1(logits, np.array([1, 0, 0, 1])) == 0.25


def test_infinite_logits_have_an_order():
    assert argmax(np.array([[np.inf, 1.0], [-np.inf, 1.0]])).tolist() == [0, 1]


@pytest.mark.parametrize(("rows", "labels"), [(3, 2), (2, 3), (0, 0)])
def test_top1_refuses_what_does_not_fit(rows, labels):
    with pytest.raises(ValueError, match="labels"):
        top1(np.zeros((rows, 2)), np.zeros(labels, dtype=int))


def test_spearman_compares_orders_only():
    values = np.array([1.0, 2.0, 3.0, 4.0])
    assert spearman(values, np.exp(values)) == pytest.approx(1.0)
    assert spearman(values, -(values**3)) == pytest.approx(-1.0)
    assert spearman(values, np.array([1.0, 3.0, 2.0, 4.0])) == pytest.approx(0.8)  # 1 - 6 * 2 / (4 * 15)


def test_spearman_gives_ties_their_mean_rank():
    assert spearman(np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0])) == pytest.approx(np.sqrt(3) / 2)


def test_spearman_of_a_constant_is_no_order():
    """As of an untrained network, which gives every subnet the accuracy of chance."""
    assert spearman(np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.5, 0.5])) == 0.0
    assert spearman(np.array([0.5, 0.5]), np.array([1.0, 2.0])) == 0.0


def pairs(both, lost, won, neither):
    """The two columns of a 2 x 2 table."""
    first = np.repeat([True, True, False, False], [both, lost, won, neither])
    return first, np.repeat([True, False, True, False], [both, lost, won, neither])


def test_a_paired_drop_counts_what_changes_sides():
    found = paired_drop(*pairs(900, 12, 9, 79))
    assert (found.lost, found.won, found.images) == (12, 9, 1000)
    assert found.drop == pytest.approx(0.003)
    assert found.low95 < 0 < found.drop < found.high95
    # With many images and many changes it meets the large-sample interval of paired data.
    found = paired_drop(*pairs(50_000, 8000, 4000, 38_000))
    error = np.sqrt(8000 + 4000 - 4000**2 / 100_000) / 100_000
    assert found.low95 == pytest.approx(0.04 - 1.96 * error, abs=1e-4)
    assert found.high95 == pytest.approx(0.04 + 1.96 * error, abs=1e-4)


@pytest.mark.parametrize(
    "table", [(30, 5, 2, 13), (0, 0, 0, 9), (9, 0, 0, 0), (0, 4, 0, 5), (50, 0, 3, 0), (0, 7, 6, 0)]
)
def test_a_paired_drop_turns_with_its_sides(table):
    both, lost, won, neither = table
    found, turned = paired_drop(*pairs(*table)), paired_drop(*pairs(both, won, lost, neither))
    assert found.drop == -turned.drop
    assert (found.low95, found.high95) == (pytest.approx(-turned.high95), pytest.approx(-turned.low95))
    assert -1 <= found.low95 <= found.drop <= found.high95 <= 1
    assert found.high95 > found.low95, "a handful of images proves nothing"


def test_the_interval_of_a_paired_drop_covers():
    """2,000 draws of 400 images from a known table: the true drop lies inside about 95 % of the intervals."""
    random = np.random.default_rng(0)
    shares = np.array([0.85, 0.03, 0.02, 0.10])
    inside = 0
    for counts in random.multinomial(400, shares, size=2000):
        found = paired_drop(*pairs(*counts))
        inside += found.low95 <= 0.01 <= found.high95
    assert 0.935 < inside / 2000 < 0.985


def test_what_is_no_pair():
    for reference, candidate in (([True], [True, False]), ([], [])):
        with pytest.raises(ValueError, match="no pairs"):
            paired_drop(np.array(reference, bool), np.array(candidate, bool))


def test_mcnemar_is_the_exact_binomial_test():
    assert mcnemar_p(0, 0) == 1.0
    assert mcnemar_p(5, 5) == 1.0
    assert mcnemar_p(8, 0) == pytest.approx(2 / 2**8)
    assert mcnemar_p(0, 8) == mcnemar_p(8, 0)
    assert mcnemar_p(9, 1) == pytest.approx(2 * 11 / 2**10)


def test_a_confusion_matrix_counts_what_was_taken_for_what():
    """Three classes, the last without an image; two images have no answer."""
    labels = np.array([0, 0, 0, 0, 1, 1])
    table = confusion(np.array([0, 1, 2, -1, 1, -1]), labels, 3)
    assert table.tolist() == [[1, 1, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0]]
    found = recalls(table)
    assert found[:2].tolist() == [0.25, 0.5]
    assert np.isnan(found[2])
    logits = np.eye(3)[[0, 1, 2, 0, 1, 0]]
    logits[[3, 5]] = np.nan
    assert balanced_accuracy(logits, labels) == 0.375  # of two classes; top-1 is 2 / 6


def test_nan_logits_are_in_the_column_of_no_answer():
    logits = np.array([[3.0, 1.0], [np.nan, 9.0], [0.0, 1.0]])
    assert confusion(argmax(logits), np.array([0, 0, 1]), 2).tolist() == [[1, 0, 1], [0, 1, 0]]


def test_thirty_to_one_hides_a_class_in_top1_and_not_in_balanced_accuracy():
    labels = np.repeat([0, 1], [300, 10])
    logits = np.tile([1.0, 0.0], (310, 1))
    assert top1(logits, labels) > 0.96
    assert balanced_accuracy(logits, labels) == 0.5


@pytest.mark.parametrize(("answers", "labels"), [([0], [3]), ([3], [0]), ([0], [-1]), ([-2], [0]), ([0, 1], [0])])
def test_confusion_refuses_classes_that_are_none(answers, labels):
    with pytest.raises(ValueError, match=r"class|shape"):
        confusion(np.array(answers), np.array(labels), 3)


def test_wilson_has_something_to_say_of_none_and_of_all():
    assert wilson95(0, 0) == (0.0, 1.0)
    low, high = wilson95(10, 10)
    assert (low, high) == pytest.approx((10 / (10 + 1.959964**2), 1.0))
    assert wilson95(0, 10) == pytest.approx((0.0, 1 - low))


def test_a_drop_from_counts_is_that_of_the_images():
    reference = np.array([1, 1, 1, 1, 0, 0, 0], dtype=bool)
    candidate = np.array([1, 1, 0, 0, 1, 0, 0], dtype=bool)
    assert paired_drop_of(4, 2, 1, 7) == paired_drop(reference, candidate)


def test_holm_by_hand():
    """Ranks 1, 2, 3 of 3: 0.01 * 3, 0.02 * 2 and 0.03 * 1, which may not fall below the one before."""
    assert holm(np.array([0.03, 0.01, 0.02])).tolist() == pytest.approx([0.04, 0.03, 0.04])
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]
    assert holm(np.array([])).tolist() == []
    assert holm(np.array([0.01, 0.04, 0.03])).tolist() == pytest.approx([0.03, 0.06, 0.06])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_no_more_than_it_may(p_values):
    adjusted = holm(np.array(p_values))
    assert all(p <= q <= min(1.0, len(p_values) * p + 1e-12) for p, q in zip(p_values, adjusted, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()
