"""The gate on batch norm statistics: what contradicts a network whose calibration images are not of its data."""

import numpy as np
import pytest

from ofa_edge.records.manifest import DropRecord, ExpectedRecord, StatisticsRecord
from ofa_edge.verify.statistics import nearness_db, statistics_verdict, suspicions

rng = np.random.default_rng(0)
PIXELS = np.clip(rng.normal(100, 50, (200, 6, 6, 1)), 0, 255).astype(np.uint8)
LABELS = np.arange(200) % 4
MEAN, STD = (100.0,), (50.0,)


def record(snr=26.0, others=27.0, drop=(0.0, -0.006, 0.006), **more):
    kept = None if drop is None else DropRecord(drop=drop[0], low95=drop[1], high95=drop[2], lost=0, won=0, images=2000)
    return StatisticsRecord(images=500, snr_db=snr, others_snr_db=others, drop=kept, **more)


def code(found, top1=0.9, images=2000):
    verdict = statistics_verdict(found, top1, images)
    assert verdict.gate == "statistics"
    return verdict.outcome, verdict.code


def test_a_network_like_those_of_other_calibrations_passes():
    assert code(record()) == ("pass", "as-other-calibrations")
    assert code(record(drop=None), top1=None) == ("pass", "as-other-calibrations")  # random weights, no labels
    assert code(record(snr=24.0, drop=(0.05, -0.1, 0.2)), images=20) == ("pass", "as-other-calibrations")


def test_one_that_is_worse_than_with_other_images_fails():
    assert code(record(snr=10, drop=(0.05, 0.03, 0.07))) == ("fail", "worse-than-other-images")
    # A loss of less than a point may be the luck of 500 images.
    assert code(record(snr=26, drop=(0.008, 0.002, 0.014))) == ("pass", "as-other-calibrations")
    words = statistics_verdict(record(drop=(0.2, 0.15, 0.25), suspicions=("show 1 of 10 classes",)), 0.7, 2000).reason
    assert "20.00 points" in words
    assert "show 1 of 10 classes" in words


def test_answers_tell_where_images_are_too_few_for_top1():
    unsure = (0.05, -0.1, 0.2)
    assert code(record(snr=10, others=27, drop=unsure), images=20) == ("fail", "unlike-other-calibrations")
    assert code(record(snr=18, others=27, drop=unsure), images=20) == ("unverified", "too-few-images")
    assert code(record(snr=10, others=27, drop=None), top1=None) == ("fail", "unlike-other-calibrations")
    # Far from the others and certainly no worse: running averages of training, for one.
    assert code(record(snr=10, others=27, drop=(0.0, -0.005, 0.005))) == ("pass", "as-other-calibrations")


def test_what_training_measured_is_an_independent_witness():
    def expected(top1, same=True, error=0.0):
        return ExpectedRecord(top1=top1, images=2000, error=error, source="the training run measured", same_data=same)

    assert code(record(expected=expected(0.92)), 0.91) == ("pass", "as-other-calibrations")
    assert code(record(expected=expected(0.92)), 0.74) == ("fail", "below-training")
    assert "another data set" in statistics_verdict(record(expected=expected(0.9, same=False)), 0.5, 2000).reason
    # Other images may be harder; a prediction has an error; few images know little.
    assert code(record(expected=expected(0.92, same=False)), 0.84) == ("pass", "as-other-calibrations")
    assert code(record(expected=expected(0.92, error=0.1)), 0.8) == ("pass", "as-other-calibrations")
    assert code(record(expected=expected(0.92)), 0.8, images=20) == ("pass", "as-other-calibrations")


def test_calibration_images_that_are_as_they_should_be_raise_no_suspicion():
    assert suspicions(PIXELS, LABELS, 4, MEAN, STD) == ()
    assert suspicions(PIXELS, None, 4, MEAN, STD) == ()
    assert suspicions(PIXELS[:2], LABELS[:2], 4, MEAN, STD) == ()  # fewer images than classes cannot show all
    assert suspicions(PIXELS // 3 * 2 + 60, LABELS, 4, MEAN, STD) == ()  # paler, as of another camera


@pytest.mark.parametrize(
    ("pixels", "labels", "codes", "certain"),
    [
        (PIXELS, np.full(200, 2), ["one-class"], True),
        (PIXELS, LABELS % 2, ["few-classes"], False),
        (np.zeros_like(PIXELS), LABELS, ["no-content", "other-pixels"], True),
        (np.full_like(PIXELS, 255), LABELS, ["no-content", "other-pixels"], True),
        (PIXELS // 255, LABELS, ["no-content", "other-pixels"], True),  # 0..1 stored as whole numbers
        (PIXELS // 16, LABELS, ["other-pixels"], True),  # 12 bits in 16
        (PIXELS // 3, LABELS, ["other-pixels"], False),
    ],
)
def test_calibration_images_that_are_odd_are_told(pixels, labels, codes, certain):
    found = suspicions(pixels, labels, 4, MEAN, STD)
    assert [item.code for item in found] == codes
    assert any(item.certain for item in found) == certain
    if certain:
        of_record = next(item.code for item in found if item.certain)
        assert code(record(certain=of_record)) == ("fail", of_record)


def test_one_wrong_channel_of_three_is_told():
    three = PIXELS.repeat(3, axis=3)
    three[..., 2] = 0
    assert "other-pixels" in [item.code for item in suspicions(three, LABELS, 4, MEAN * 3, STD * 3)]


def test_distance_of_answers_by_hand():
    one = np.array([[1.0, -1.0], [2.0, -2.0]], np.float32)
    assert nearness_db(one + 7, [one, one])[0] > 200  # a shift of all logits changes no answer
    assert nearness_db(1.1 * one, [one, one])[0] == pytest.approx(20, abs=1e-4)
    own, others = nearness_db(one, [1.1 * one, 0.9 * one])
    assert own - others == pytest.approx(20 * np.log10(2), abs=1e-4)  # twice as near as they are to each other


def test_how_rarely_a_sound_network_looks_unlike_even_in_the_worst_case():
    """Along one direction, the widest scatter that the ratio can have: six networks from one normal distribution."""
    values = np.random.default_rng(0).normal(size=(20_000, 6))
    own = ((values[:, :1] - values[:, 1:]) ** 2).mean(1)
    rest = np.mean([(values[:, i] - values[:, j]) ** 2 for i in range(1, 6) for j in range(i + 1, 6)], axis=0)
    times = np.sqrt(own / rest)
    assert np.mean(times > 2) == pytest.approx(1 / 14, rel=0.15)
    assert np.mean(times > 4) == pytest.approx(1 / 140, rel=0.3)
