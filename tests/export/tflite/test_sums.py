"""Layers with weights as sums over patches, and int8 files run step by step."""

import numpy as np
import pytest

from ofa_edge.export.tflite.pair import constant, pair_up
from ofa_edge.export.tflite.replay import Replay
from ofa_edge.export.tflite.running import watch
from ofa_edge.export.tflite.sums import Sums, sample, summing


@pytest.fixture(scope="module")
def pair(tflite_paths):
    """The int8 file with the converter's own numbers."""
    return pair_up(tflite_paths["unfitted"].read_bytes(), tflite_paths["int8"].with_name("twin.tflite").read_bytes())


@pytest.fixture(scope="module")
def layers(pair):
    found = [Sums(pair, place) for place in range(len(pair.names)) if summing(pair, place)]
    assert {pair.names[layer.place] for layer in found} == {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}
    return found


def test_sums_are_what_the_layers_give(pair, layers, images):
    twins = pair.twins()
    plain = [each for each in layers if not pair.graph.operators[each.place].builtinOptions.fusedActivationFunction]
    assert len(plain) > 3
    for layer in plain:
        made = twins[int(pair.graph.operators[layer.place].outputs[0])]
        ((value, wanted),) = list(watch(pair.packed_twin(), images[:1], [twins[layer.source], made]))
        sums = np.einsum("goi,gni->ngo", layer.weights, layer.patches(value)).reshape(layer.places, -1) + layer.bias
        assert np.abs(sums.ravel() - wanted.ravel()).max() < 1e-4 * np.abs(wanted).max()
        assert np.abs(layer.mean(value) - layer.patches(value).mean(1)).max() < 1e-5


def test_weights_go_back_to_where_they_were(pair, layers):
    for layer in layers:
        stored = constant(pair.quantised, pair.graph.tensors[pair.graph.operators[layer.place].inputs[1]])
        nearest = layer.stored(np.rint(layer.weights / layer.scales[..., None]))
        assert nearest.shape == stored.shape
        assert np.abs(nearest.astype(int) - stored).max() <= 1
        assert (nearest != stored).mean() < 0.01


def test_a_sample_has_patches_of_every_value(pair, layers, images):
    layer = max(layers, key=lambda each: each.places)
    values = [np.full([1, *pair.graph.tensors[layer.source].shape[1:]], number, np.float32) for number in (1, 2)]
    rows = sample(layer, values, 10)
    assert rows.shape == (layer.weights.shape[0], 10, layer.weights.shape[2])
    assert [rows[:, :5].max(), rows[:, 5:].max()] == [1, 2]


def test_a_replay_has_the_values_of_a_run(pair, layers, images):
    sources = [layer.source for layer in layers]
    wanted = [[each.copy() for each in values] for values in watch(pair.packed(), images[:2], sources)]
    replay = Replay(pair.quantised, images[:2])
    for at, layer in enumerate(layers):
        replay.run_to(layer.place)
        for row, found in enumerate(replay.values(layer.source)):
            assert np.array_equal(found, wanted[row][at])
