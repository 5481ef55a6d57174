import numpy as np
import pytest
from compiled import rules, run

CONV = "x = Conv(input, w) "


def pooled(text, channels, size):
    facts = run(CONV + text, (1, 4, size, size), w=(channels, 4, 1, 1))
    assert rules(facts) == {"pointwise": 1, "pooling": 1}


@pytest.mark.parametrize(("size", "channels"), [(7, 960), (2, 8), (14, 10), (3, 7)])
def test_over_the_whole_map(size, channels):
    pooled("logits = GlobalAveragePool(x)", channels, size)


@pytest.mark.parametrize("size", [7, 8])
def test_average_with_ceil(size):
    pooled("logits = AveragePool<kernel_shape=[2,2], strides=[2,2], ceil_mode=1>(x)", 24, size)


@pytest.mark.parametrize("size", [8, 13])
def test_maximum(size):
    pooled("logits = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(x)", 40, size)


def test_maximum_of_negative_values_does_not_see_the_padding():
    text = CONV + "n = Sub(x, c) logits = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(n)"
    assert not run(text, (1, 4, 6, 6), w=(8, 4, 1, 1), c=np.full((1, 8, 1, 1), 90, np.float32)).fallbacks


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
def test_without_a_convolution_pictures_are_turned_for_it(kind):
    facts = run(f"logits = {kind}<kernel_shape=[2,2]>(input)", (1, 8, 6, 6))
    assert rules(facts) == {"pooling": 1}
