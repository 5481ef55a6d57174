"""Losses against formulas computed another way, in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from ofa_edge.training.losses import alpha_divergence, soft_cross_entropy

CLIP = 5.0  # of the power of the ratio (AlphaNet, ICML 2021)


def softmax(logits):
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def gradient(loss, logits, *arguments):
    student = torch.tensor(logits, requires_grad=True)
    value = loss(student, *arguments)
    value.backward()
    return value.item(), student.grad.numpy()


def divergences(logits, targets):
    """Value and gradient of both divergences for each sample, over classes; alpha = -1 is clipped."""
    q = softmax(logits)
    found = []
    for alpha in (-1.0, 1.0):
        values, gradients = [], []
        for p_row, q_row in zip(targets, q, strict=True):
            powers = p_row / q_row if alpha == 1.0 else np.minimum(q_row / p_row, CLIP)
            if alpha == 1.0:
                values.append(sum(q_row * powers * np.log(p_row / q_row)))
            else:
                values.append(sum(q_row * (powers - 1.0)) / (alpha * (alpha - 1.0)))
            jacobian = np.eye(len(q_row)) - q_row[None, :]  # d log q_k / d z_j
            gradients.append(-1.0 / alpha * (q_row * powers) @ jacobian)
        found.append((np.array(values), np.array(gradients)))
    return found


logits_of = st.lists(st.floats(-4, 4), min_size=12, max_size=12).map(lambda row: np.array(row).reshape(3, 4))


@settings(max_examples=60, deadline=None)
@given(student=logits_of, teacher=logits_of)
def test_the_alpha_divergence_and_its_gradient(student, teacher):
    targets = softmax(teacher)
    (low, low_gradient), (high, high_gradient) = divergences(student, targets)
    if np.abs(low - high).min() < 1e-9:
        return  # either may act
    value, got = gradient(alpha_divergence, student, torch.from_numpy(targets))
    wanted = np.where((low > high)[:, None], low_gradient, high_gradient) / len(student)
    assert value == pytest.approx(np.maximum(low, high).mean(), abs=1e-9)
    assert got == pytest.approx(wanted, abs=1e-9)


def test_each_divergence_acts_where_it_is_larger():
    """A student that misses a class is told by KL, one that believes what the teacher does not by alpha = -1."""
    teacher = np.array([[0.5, 0.49, 0.01], [0.98, 0.01, 0.01]])
    student = np.log(np.array([[0.9, 0.09, 0.01], [0.55, 0.44, 0.01]]))
    (low, _), (high, _) = divergences(student, teacher)
    assert low[0] < high[0]
    assert low[1] > high[1]


@settings(max_examples=40, deadline=None)
@given(logits=logits_of)
def test_an_equal_student_is_at_rest(logits):
    value, got = gradient(alpha_divergence, logits, torch.from_numpy(softmax(logits)))
    assert value == pytest.approx(0.0, abs=1e-9)
    assert got == pytest.approx(np.zeros_like(logits), abs=1e-12)


def test_kl_acts_alone_where_it_is_larger_and_unclipped():
    targets = np.array([[0.45, 0.45, 0.1]])
    logits = np.log(np.array([[0.7, 0.2, 0.1]]))
    (low, _), (high, _) = divergences(logits, targets)
    assert high > low
    _, got = gradient(alpha_divergence, logits, torch.from_numpy(targets))
    _, wanted = gradient(soft_cross_entropy, logits, torch.from_numpy(targets))
    assert got == pytest.approx(wanted, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    student=st.lists(st.sampled_from([-50.0, -1.0, 0.0, 50.0]), min_size=8, max_size=8),
    teacher=st.lists(st.sampled_from([-50.0, -1.0, 0.0, 50.0]), min_size=8, max_size=8),
)
@pytest.mark.parametrize("loss", [alpha_divergence, soft_cross_entropy])
def test_extreme_logits_stay_finite(loss, student, teacher):
    """In float32, where probabilities underflow to 0: the gradient of a sample is bounded, too."""
    targets = torch.tensor(teacher, dtype=torch.float32).view(2, 4).softmax(1)
    logits = torch.tensor(student, dtype=torch.float32).view(2, 4).requires_grad_()
    value = loss(logits, targets)
    value.backward()
    assert value.isfinite()
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().sum() <= CLIP * 2 + 1e-4


@settings(max_examples=40, deadline=None)
@given(student=logits_of, teacher=logits_of)
def test_soft_cross_entropy_is_kl_up_to_the_teachers_entropy(student, teacher):
    targets = torch.from_numpy(softmax(teacher))
    entropy = float(-(targets * targets.log()).sum(1).mean())
    value, got = gradient(soft_cross_entropy, student, targets)
    divergence, wanted = gradient(lambda x: F.kl_div(x.log_softmax(1), targets, reduction="batchmean"), student)
    assert value - entropy == pytest.approx(divergence, abs=1e-9)
    assert got == pytest.approx(wanted, abs=1e-12)


def test_labels_as_probabilities():
    logits = np.random.default_rng(0).normal(size=(5, 3))
    labels = torch.tensor([0, 1, 2, 1, 0])
    assert gradient(soft_cross_entropy, logits, F.one_hot(labels).double())[0] == pytest.approx(
        F.cross_entropy(torch.tensor(logits), labels).item()
    )
