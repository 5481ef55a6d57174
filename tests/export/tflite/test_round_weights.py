"""Weights rounded by what they read, and biases that make up for the rest."""

import numpy as np
import pytest

from ofa_edge.export.tflite.fitting import fit
from ofa_edge.export.tflite.pair import WEIGHTED, constant, pair_up, scale_of
from ofa_edge.export.tflite.rewrites.round_weights import round_weights
from ofa_edge.export.tflite.running import answers_of, dequantise, watch
from ofa_edge.verify.parity import compare


@pytest.fixture(scope="module")
def after(before, twin, calibration):
    (content,) = round_weights(pair_up(before, twin), calibration)
    return content


def test_less_is_lost_on_other_images(before, twin, calibration):
    others = np.arange(len(calibration)) % 3 == 0
    (after,) = round_weights(pair_up(before, twin), calibration[~others])
    exact = answers_of(twin, calibration[others])
    near = [compare(exact, answers_of(each, calibration[others])).snr_db for each in (before, after)]
    assert near[1] > near[0]
    assert round_weights(pair_up(before, twin), calibration[~others]) == [after]


def test_only_integers_of_weights_and_biases_change(before, after, twin):
    old, new = pair_up(before, twin), pair_up(after, twin)
    assert old.names == new.names
    for left, right in zip(old.graph.tensors, new.graph.tensors, strict=True):
        assert scale_of(left) == scale_of(right)
    moved = []
    for place, op in enumerate(new.graph.operators):
        if new.names[place] in WEIGHTED:
            weights = [constant(each.quantised, each.graph.tensors[op.inputs[1]]).astype(int) for each in (old, new)]
            assert np.abs(weights[1]).max() <= 127
            moved.append((weights[0] != weights[1]).mean())
    assert 0.01 < np.mean(moved) < 0.5


def test_channels_have_the_mean_of_fp32(before, after, twin, calibration):
    """Of layers without an activation, whose means biases alone decide."""
    pair = pair_up(before, twin)
    twins, gaps = pair.twins(), []
    plain = [
        int(op.outputs[0])
        for place, op in enumerate(pair.graph.operators)
        if pair.names[place] == "CONV_2D" and not op.builtinOptions.fusedActivationFunction
    ]
    exact = [np.stack(each).mean((0, 1, 2, 3)) for each in _seen(twin, calibration, [twins[each] for each in plain])]
    for content in (before, after):
        found = _seen(content, calibration, plain)
        steps = [scale_of(pair.graph.tensors[each]) for each in plain]
        means = [dequantise(np.stack(each), *step).mean((0, 1, 2, 3)) for each, step in zip(found, steps, strict=True)]
        gaps.append(np.mean([np.abs(mean - right).mean() for mean, right in zip(means, exact, strict=True)]))
    assert gaps[1] < 0.5 * gaps[0]


def _seen(content, images, tensors):
    runs = [[each.copy() for each in values] for values in watch(content, images, tensors)]
    return list(zip(*runs, strict=True))


def test_without_images_or_a_twin_nothing_changes(before, twin, calibration, plain_paths):
    assert fit(before, lambda: twin, None, [round_weights]) == before
    other = plain_paths["fp32"].read_bytes()
    assert fit(before, lambda: other, calibration, [round_weights]) == before


def test_one_image_tells_nothing_of_what_goes_together(before, twin, calibration):
    """Its patches are much alike: weights stay at their nearest steps, as the converter rounds them."""
    (content,) = round_weights(pair_up(before, twin), calibration[:1])
    old, new, moved = pair_up(before, twin), pair_up(content, twin), []
    for place, op in enumerate(new.graph.operators):
        if new.names[place] in WEIGHTED:
            both = [constant(each.quantised, each.graph.tensors[op.inputs[1]]) for each in (old, new)]
            moved.append((both[0] != both[1]).mean())
    assert np.mean(moved) < 0.01
