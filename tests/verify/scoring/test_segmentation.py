"""mIoU by hand, whatever the output looks like."""

import numpy as np
import pytest

from ofa_edge.data.annotations import UNLABELLED, Masks
from ofa_edge.verify.scoring.segmentation import MeanIou, enlarged

NAMES = ["ground", "road", "tree"]


def one_hot(classes):
    """Scores [N, 3 x h x w] whose highest are these classes [N, h, w]."""
    return np.eye(3)[classes].transpose(0, 3, 1, 2).reshape(len(classes), -1).astype(np.float32)


def test_it_is_what_a_count_of_pixels_gives():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, (12, 10, 14)).astype(np.uint8)
    truth[rng.random(truth.shape) < 0.1] = UNLABELLED
    answered = np.where(rng.random(truth.shape) < 0.7, truth, rng.integers(0, 3, truth.shape)) % 3
    scorer = MeanIou(Masks(truth), NAMES, (1, 3, 10, 14))
    score = scorer.figures(one_hot(answered))["score"]
    ious = []
    for number in range(3):
        mine, there = (answered == number) & (truth != UNLABELLED), truth == number
        ious.append((mine & there).sum() / (mine | there).sum())
    assert score.value == pytest.approx(np.mean(ious), abs=1e-15)
    assert score.others["pixels"] == pytest.approx((answered == truth)[truth != UNLABELLED].mean())
    assert [each.before for each in scorer.by_class(one_hot(answered), one_hot(answered))] == pytest.approx(ious)
    assert score.low95 < score.value
    last = MeanIou(Masks(truth), NAMES, (1, 10, 14, 3), "NHWC")
    turned = one_hot(answered).reshape(12, 3, 10, 14).transpose(0, 2, 3, 1).reshape(12, -1)
    assert last.figures(turned)["score"] == score


def test_a_class_that_is_nowhere_is_left_out_and_one_that_is_only_answered_is_not():
    truth = np.zeros((2, 4, 4), np.uint8)
    truth[:, :2] = 1
    answered = truth.astype(np.int64)
    assert MeanIou(Masks(truth), NAMES, (1, 3, 4, 4)).figures(one_hot(answered))["score"].value == 1.0
    answered[0, 0, 0] = 2
    found = MeanIou(Masks(truth), NAMES, (1, 3, 4, 4)).figures(one_hot(answered))["score"].value
    assert found == pytest.approx((1 + 15 / 16 + 0) / 3)


@pytest.mark.parametrize(("threshold", "wanted"), [(0.0, [0, 1, 1]), (0.5, [0, 0, 1])])
def test_a_score_that_stands_alone_has_a_threshold(threshold, wanted):
    scorer = MeanIou(Masks(np.array([[wanted]], np.uint8)), ["no", "yes"], (1, 1, 1, 3), threshold=threshold)
    assert scorer.figures(np.array([[-0.2, 0.2, 0.7]], np.float32))["score"].value == 1.0


def test_scores_are_brought_to_the_size_of_the_masks():
    small = np.arange(6, dtype=np.float64).reshape(1, 2, 3)
    found = enlarged(small, (4, 6))
    assert found.shape == (1, 4, 6)
    np.testing.assert_allclose(found[0, 0], [0, 0.25, 0.75, 1.25, 1.75, 2])  # by hand: centres at half integers
    np.testing.assert_allclose(found[0, :, 0], [0, 0.75, 2.25, 3])
    np.testing.assert_array_equal(enlarged(small, (2, 3)), small)


def test_scores_that_are_no_numbers_are_wrong():
    truth = np.zeros((1, 2, 2), np.uint8)
    truth[0, 0] = 1
    scores = one_hot(truth.astype(np.int64))
    scores[0, 0] = np.nan
    found = MeanIou(Masks(truth), NAMES, (1, 3, 2, 2)).figures(scores)["score"]
    assert found.others["pixels"] == 0.75


def test_one_class_everywhere_is_chance():
    truth = np.zeros((2, 4, 4), np.uint8)
    truth[:, :1] = 1
    assert MeanIou(Masks(truth), NAMES, (1, 3, 4, 4)).chance == 0.75 / 3


def test_a_drop_is_paired_by_image():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, (30, 8, 8)).astype(np.uint8)
    answered = truth.astype(np.int64)
    worse = answered.copy()
    worse[:5, :4] = (worse[:5, :4] + 1) % 3
    scorer = MeanIou(Masks(truth), NAMES, (1, 3, 8, 8))
    drop = scorer.drop(one_hot(answered), one_hot(worse))
    assert (drop.metric, drop.lost, drop.won, drop.images) == ("mIoU", 5, 0, 30)
    assert 0 < drop.low95 < drop.drop < drop.high95
    part = scorer.take(np.array([7, 2]))
    assert part.drop(one_hot(answered)[[7, 2]], one_hot(worse)[[7, 2]]).lost == 1
    assert part.digest != scorer.digest
