import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ofa_edge.metrics import SNR_LIMIT_DB, top1
from ofa_edge.verify.parity import compare


def test_a_known_difference():
    difference = compare(np.array([[3.0, 4.0], [0.0, 5.0]]), np.array([[3.0, 4.0], [0.5, 5.0]]))
    assert difference.max_abs == 0.5
    assert difference.snr_db == pytest.approx(10 * np.log10(50 / 0.25))
    assert difference.argmax_agreement == 1


def test_agreement_counts_rows():
    difference = compare(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 1.0], [0.0, 2.0]]))
    assert difference.argmax_agreement == 0.5


def test_identical_arrays_even_of_zeros():
    for logits in (np.zeros((2, 3)), np.ones((2, 3), np.float32)):
        difference = compare(logits, logits)
        assert (difference.max_abs, difference.snr_db, difference.argmax_agreement) == (0, SNR_LIMIT_DB, 1)


def test_noise_over_silence():
    assert compare(np.zeros((1, 2)), np.ones((1, 2))).snr_db == -SNR_LIMIT_DB


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_broken_candidate_is_worst_and_still_json(bad):
    difference = compare(np.array([[2.0, 1.0], [2.0, 1.0]]), np.array([[2.0, bad], [2.0, 1.0]]))
    assert difference.snr_db == -SNR_LIMIT_DB
    assert difference.max_abs > 1e38
    assert difference.argmax_agreement == (1.0 if bad == -np.inf else 0.5)
    json.dumps(difference.to_json(), allow_nan=False)


def test_what_cannot_be_compared():
    for left, right in [(np.zeros((1, 2)), np.zeros((2, 1))), (np.zeros(2), np.zeros(2)), (np.zeros((0, 2)),) * 2]:
        with pytest.raises(ValueError, match="shapes"):
            compare(left, right)
    with pytest.raises(ValueError, match="reference"):
        compare(np.full((1, 2), np.nan), np.zeros((1, 2)))


def test_top1():
    logits = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [np.nan, 1.0]])
    assert top1(logits, np.array([0, 1, 0, 1])) == 0.5
    with pytest.raises(ValueError, match="labels"):
        top1(logits, np.array([0]))


_logits = arrays(np.float32, (3, 4), elements=st.floats(width=32, allow_nan=False, allow_infinity=False))


@given(_logits, _logits)
def test_every_result_is_finite_json(left, right):
    difference = compare(left, right)
    assert -SNR_LIMIT_DB <= difference.snr_db <= SNR_LIMIT_DB
    assert 0 <= difference.argmax_agreement <= 1
    assert json.loads(json.dumps(difference.to_json(), allow_nan=False)) == difference.to_json()
