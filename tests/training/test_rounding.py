"""Rounding to int8 in training, beside integers in numpy."""

import numpy as np
import pytest
import torch

from ofa_edge.training.rounding import Kind, fitting, rounded, rounded_weight, steps_of


def test_a_value_is_on_the_steps_that_integers_have():
    x = torch.linspace(-3, 9, 401)
    scale, zero = steps_of(torch.tensor([-2.0, 6.0]))
    integers = np.clip(np.rint(x.numpy() / scale.item()) + zero.item(), -128, 127)
    assert rounded(x, scale, zero).numpy() == pytest.approx((integers - zero.item()) * scale.item(), abs=1e-6)
    assert 0.0 in rounded(torch.zeros(1), scale, zero)


def test_gradients_pass_what_was_rounded_and_stop_at_what_was_cut_off():
    x = torch.tensor([-5.0, -1.0, 0.3, 5.9, 40.0], requires_grad=True)
    rounded(x, *steps_of(torch.tensor([-2.0, 6.0]))).sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 0]


def test_weights_have_a_scale_a_channel_with_the_largest_at_127():
    weight = torch.randn(5, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    weight[4] = 0
    found = rounded_weight(weight)
    scales = weight.abs().amax((1, 2, 3)) / 127
    steps = (found / scales.clamp(min=1e-9).view(-1, 1, 1, 1)).numpy()
    assert steps == pytest.approx(np.rint(steps), abs=1e-3)
    assert np.abs(steps[:4]).reshape(4, -1).max(1) == pytest.approx(127)
    assert not found[4].any()
    assert (found - weight).abs().flatten(1).amax(1).le(scales / 2 + 1e-7).all()


@pytest.fixture
def values():
    """Normal ones, and one far away."""
    found = torch.randn(20001, generator=torch.Generator().manual_seed(1))
    found[7] = 30.0
    return found


def test_a_rare_value_is_cut_off_unless_all_count(values):
    low, high = fitting(values, Kind()).tolist()
    assert high < 30
    assert -4 < low < -1.5
    assert fitting(values, Kind(whole=True)).tolist() == [values.min(), 30.0]


def test_no_step_is_spent_below_a_floor(values):
    assert fitting(values, Kind(floor=-0.5))[0] == -0.5


def test_no_pixel_is_left_out_of_the_sample():
    """Maps whose corners are 0, of a size that a plain stride would divide."""
    maps = torch.rand(128, 48, 14, 14, generator=torch.Generator().manual_seed(2))
    maps[:, :, 0, 0] = 0
    assert fitting(maps, Kind())[1] > 0.9


def test_zero_is_within():
    assert fitting(torch.tensor([2.0, 3.0]), Kind(whole=True)).tolist() == [0.0, 3.0]
