"""Shapes of inputs: which sizes are known, what a batch is, how a user would say them."""

import pytest

from ofa_edge.shapes import known_sizes, samples_a_call, shape_example, shape_options


@pytest.mark.parametrize(
    ("shapes", "count"),
    [
        ([(1, 3, 8, 8)], 1),
        ([(4, 3, 8, 8)], 4),
        ([(1, 12)], 1),
        ([(12,)], 12),
        ([(1, 6), (2, 1, 64)], 1),
        ([(4, 6), (2,)], 1),
        ([(4, 6), (4, 3)], 4),
        ([(4, 6), (4, 3), ()], 4),
        ([(), ()], 1),
    ],
)
def test_samples_a_call(shapes, count):
    assert samples_a_call(shapes) == count


def test_a_free_first_size_is_the_batch_wherever_its_name_stands():
    said = {"x": ["batch", "length"], "h": [2, "batch", 64], "rate": [], "y": [None, None]}
    assert known_sizes(said, {}) == {"x": (1, None), "h": (2, 1, 64), "rate": (), "y": (1, None)}


def test_what_is_asked_of_one_input_holds_for_all_of_that_name():
    said = {"x": ["batch", "length"], "y": ["batch", "length", 3], "z": [None, None]}
    asked = {"x": (1, 40), "z": (1, 7)}
    assert known_sizes(said, asked) == {"x": (1, 40), "y": (1, 40, 3), "z": (1, 7)}
    assert known_sizes(said, {"x": (1, 40, 2)})["y"] == (1, None, 3)


def test_examples():
    assert shape_example((1, 3, None, 40)) == "1x3x224x40"
    assert shape_options({"a": (1, None)}, 1) == "--shape 1x224"
    assert shape_options({"a": (1, None), "b": (2, 1, 5)}, 3) == "--shape a=1x224 --shape b=2x1x5"
    assert shape_options({}, 2) == ""
