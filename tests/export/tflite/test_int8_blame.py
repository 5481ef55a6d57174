"""Which layers of an int8 file cost how much."""

import copy
import dataclasses

import numpy as np
import pytest

from ofa_edge.errors import DataError
from ofa_edge.export.tflite.int8_blame import blame


@pytest.fixture(scope="module")
def found(pair, images):
    return blame(pair, images, np.arange(len(images)) % 10)


def test_every_layer_has_its_share(pair, found):
    assert {each.layer for each in found.layers} == {"input", *pair.layers}
    shares = [each.share for each in found.layers]
    assert shares == sorted(shares, reverse=True)
    assert sum(len(each.operators) for each in found.layers) == len(pair.names)
    # Alone and together they make the same noise, but for what cancels.
    assert found.added_db == pytest.approx(found.snr_db, abs=3)


def test_a_spoiled_layer_is_found(pair, images):
    """A scale 16 times too coarse in the middle: that layer is the worst by far, and in fp32 the file is as before."""
    before = blame(pair, images)
    name, places = next((n, p) for n, p in pair.layers.items() if "blocks.3" in n and "project" in n)
    model = copy.deepcopy(pair.quantised)
    tensor = model.subgraphs[0].tensors[pair.graph.operators[places[-1]].outputs[0]]
    tensor.quantization.scale = tensor.quantization.scale * 16
    spoiled = dataclasses.replace(pair, quantised=model)
    found = blame(spoiled, images)
    assert found.layers[0].layer == name
    assert found.layers[0].share > 5 * found.layers[1].share
    assert found.snr_db < before.snr_db - 3


def test_top1_is_told_where_there_are_labels(pair, images, found):
    assert found.top1_drop is not None
    assert all(each.top1_drop is not None for each in found.layers)
    unlabelled = blame(pair, images[:4])
    assert (unlabelled.images, unlabelled.top1_drop) == (4, None)
    assert all(each.top1_drop is None for each in unlabelled.layers)


def test_without_images_nothing_is_blamed(pair, images):
    with pytest.raises(DataError, match="no images"):
        blame(pair, images[:0])
