"""The corrected predictor, on made-up accuracies with known truth and noise."""

import numpy as np
import pytest
from landscapes import FASHION, accuracy

from ofa_edge.search.correction import Answers, Correction, class_shares, margins

IMAGES = 2000
truth = accuracy(FASHION)


def optimist(genomes):
    """A predictor that is half a point too high."""
    return truth(genomes) + 0.005


def answers_of(genomes, seed: int, shared: float = 0.5) -> Answers:
    """Images have their own difficulty: some are hard for all subnets."""
    rng = np.random.default_rng(seed)
    hard = rng.random(IMAGES)
    own = rng.random((len(genomes), IMAGES))
    uniform = np.where(rng.random(IMAGES) < shared, hard, own)
    return Answers(genomes, certain(uniform < truth(genomes)[:, None]))


def certain(right):
    """Margins of subnets that are sure of every answer: what they are sure of is then what they have right."""
    return np.where(right, np.inf, -np.inf).astype(np.float32)


def sample(count: int, seed: int = 0):
    return np.unique(FASHION.sample(np.random.default_rng(seed), count), axis=0)


def test_the_noise_is_that_of_repeated_measurements() -> None:
    genomes = sample(4)
    repeated = np.array([answers_of(genomes, seed).top1 for seed in range(300)])
    expected = np.cov(repeated.T)
    noise = np.mean([answers_of(genomes, seed).noise for seed in range(20)], axis=0)
    assert np.diag(noise) == pytest.approx(np.diag(expected), rel=0.3)
    assert noise[0, 1] == pytest.approx(expected[0, 1], rel=0.35)
    assert noise[0, 1] > 0.2 * noise[0, 0]  # the images are shared


def test_weights_make_all_classes_count_alike() -> None:
    """30 images of one class to one of another: the noise is again that of repeated measurements."""
    labels = np.repeat([0, 1], [600, 20])
    rng = np.random.default_rng(0)
    right = rng.random((400, 2, len(labels))) < np.where(labels == 0, 0.9, 0.5)
    weights = class_shares(labels)
    assert weights.sum() == pytest.approx(1)
    assert weights[labels == 0].sum() == pytest.approx(0.5)
    repeated = [Answers(sample(2)[:2], certain(each), weights) for each in right]
    measured = np.array([answers.top1 for answers in repeated])
    by_class = [right[0, :, labels == label].mean(axis=0) for label in (0, 1)]
    assert measured[0] == pytest.approx(np.mean(by_class, axis=0))
    noise = np.mean([np.diag(answers.noise) for answers in repeated[:50]], axis=0)
    assert noise == pytest.approx(measured.var(axis=0), rel=0.5)
    assert noise.min() > 5 * Answers(sample(2)[:2], certain(right[0])).noise.max()  # than if all weighed alike
    one = Answers.none(FASHION.genome_length, 4, np.full(4, 0.25)).with_one(
        sample(1)[0], certain(np.array([1, 1, 0, 1]))
    )
    assert one.top1.tolist() == [0.75]


def test_subnets_with_every_answer_right_have_an_error_still() -> None:
    noise = Answers(sample(3), certain(np.ones((3, 100), np.bool_))).noise
    assert (np.linalg.eigvalsh(noise) > 0).all()


def test_margins_are_of_the_right_class_over_the_best_other_one() -> None:
    logits = np.array([[1.0, 3.0, 2.5], [4.0, -1.0, 0.0]], np.float32)
    assert margins(logits, np.array([1, 2])).tolist() == [0.5, -4.0]
    assert ((margins(logits, np.array([1, 2])) > 0) == (logits.argmax(axis=1) == [1, 2])).all()
    assert logits[0].tolist() == [1.0, 3.0, 2.5]  # unchanged


def test_what_hangs_by_a_hair_counts_for_little() -> None:
    """Two subnets, equal but for noise on images at the border: margins tell them apart less than top-1 does."""
    rng = np.random.default_rng(0)
    base = rng.normal(2.0, 1.5, IMAGES)
    apart, by_top1 = [], []
    for _ in range(60):
        answers = Answers(sample(2)[:2], (base + rng.normal(0, 0.5, (2, IMAGES))).astype(np.float32))
        apart.append(np.diff(answers.value)[0])
        by_top1.append(np.diff(answers.top1)[0])
        assert answers.value.mean() == pytest.approx(answers.top1.mean())
    assert np.std(apart) < 0.75 * np.std(by_top1)


def test_without_measurements_it_is_the_predictor() -> None:
    correction = Correction.fit(optimist, 0.002, Answers.none(FASHION.genome_length, IMAGES))
    genomes = sample(20)
    assert correction.mean(genomes) == pytest.approx(optimist(genomes))
    assert correction.joint(genomes)[1].shape == (len(genomes), len(genomes))


def test_an_offset_is_found_and_unmeasured_subnets_share_it() -> None:
    genomes = sample(60)
    correction = Correction.fit(optimist, 0.002, answers_of(genomes[:30], 3))
    errors = correction.mean(genomes[30:]) - truth(genomes[30:])
    assert abs(errors.mean()) < 0.6 * 0.005 + 0.004  # less than the offset and the images' own error
    mean, covariance = correction.joint(genomes[30:])
    assert mean == pytest.approx(correction.mean(genomes[30:]))
    assert (np.diag(covariance) > 0).all()
    assert (np.linalg.eigvalsh(covariance) > -1e-9).all()


def test_the_posterior_mean_is_nearer_to_the_truth_than_the_measurement() -> None:
    """Over many repetitions: the best measured value is a lucky one, its posterior mean is not."""
    genomes = sample(12, seed=5)
    raw, shrunk = [], []
    for seed in range(40):
        answers = answers_of(genomes, seed, shared=0.0)
        correction = Correction.fit(truth, 0.002, answers)
        best = int(np.argmax(answers.top1))
        raw.append(answers.top1[best] - truth(genomes[[best]])[0])
        shrunk.append(correction.mean(genomes[[best]])[0] - truth(genomes[[best]])[0])
    assert np.mean(raw) > 0.001  # the winner's curse
    assert abs(np.mean(shrunk)) < 0.6 * np.mean(raw)


def test_thompson_draws_distinct_unmeasured_rows() -> None:
    genomes = sample(40)
    correction = Correction.fit(truth, 0.002, answers_of(genomes[:5], 1))
    rows = correction.thompson(genomes, 10, np.random.default_rng(0))
    assert len(set(rows.tolist())) == 10
    assert rows.min() >= 5
    assert len(correction.thompson(genomes[:6], 10, np.random.default_rng(0))) == 1


def test_the_last_bits_of_a_prediction_do_not_change_what_is_drawn() -> None:
    """Other thread counts and BLAS libraries round differently; the same seed has to measure the same subnets."""
    genomes = np.repeat(FASHION.genome([FASHION.largest()]), 30, axis=0)
    genomes[np.arange(30), np.arange(30)] -= 1  # all equally far from each other: most eigenvalues are the same
    bits = np.random.default_rng(1).standard_normal((2, 30)) * 1e-7
    answers = answers_of(genomes[:3], 1)
    drawn = [
        Correction.fit(lambda each, own=own: 0.9 + own[: len(each)], 0.002, answers)
        .thompson(genomes, 10, np.random.default_rng(0))
        .tolist()
        for own in bits
    ]
    assert drawn[0] == drawn[1]


def test_a_difference_is_surer_than_either_value() -> None:
    genomes = sample(20)
    correction = Correction.fit(truth, 0.002, answers_of(genomes, 2))
    gain, error = correction.difference(genomes[0], genomes[1])
    mean, covariance = correction.joint(genomes[:2])
    assert gain == pytest.approx(mean[0] - mean[1])
    assert error < np.sqrt(covariance[0, 0])
