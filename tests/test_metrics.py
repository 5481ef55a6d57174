import numpy as np
import pytest

from ofa_edge.metrics import argmax, spearman, top1


def test_top1_is_the_share_of_right_answers():
    logits = np.array([[2.0, 1.0], [0.0, 1.0], [3.0, 5.0], [1.0, 0.0]], dtype=np.float32)
    assert top1(logits, np.array([0, 1, 0, 0])) == 0.75
    assert top1(logits, np.array([1, 0, 0, 1])) == 0.0
    assert top1(-logits, np.array([1, 0, 0, 1])) == 1.0


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
