"""Ranges of int8 activations that lose least."""

import numpy as np
import pytest
from onnx_text import save_model

from ofa_edge.export.onnx.graph import read_graph
from ofa_edge.export.tflite.convert import convert, convert_twin
from ofa_edge.export.tflite.fitting import fit
from ofa_edge.export.tflite.flatbuffer import unpack
from ofa_edge.export.tflite.pair import WEIGHTED, constant, pair_up, scale_of
from ofa_edge.export.tflite.rewrites import FITTED
from ofa_edge.export.tflite.rewrites.fit_ranges import fit_ranges, free_groups, swish_inputs
from ofa_edge.export.tflite.running import answers_of, watch
from ofa_edge.verify.parity import compare


@pytest.fixture(scope="module")
def after(before, twin, calibration):
    return fit(before, lambda: twin, calibration, [fit_ranges])


def range_of(tensor):
    scale, zero = scale_of(tensor)
    return (-128 - zero) * scale, (127 - zero) * scale


def test_less_is_lost(before, after, twin, images, calibration):
    exact = answers_of(twin, images)
    gained = compare(exact, answers_of(after, images)).snr_db - compare(exact, answers_of(before, images)).snr_db
    assert gained > 1
    again = fit(before, lambda: twin, calibration, [fit_ranges])
    assert again == after


def test_only_ranges_and_biases_change(before, after, twin):
    old, new = pair_up(before, twin), pair_up(after, twin)
    assert old.names == new.names
    assert len(before) == pytest.approx(len(after), rel=0.02)
    for left, right in zip(old.graph.operators, new.graph.operators, strict=True):
        assert [list(left.inputs), list(left.outputs)] == [list(right.inputs), list(right.outputs)]
    for place, op in enumerate(new.graph.operators):
        if new.names[place] in WEIGHTED:
            weights = [constant(each.quantised, each.graph.tensors[op.inputs[1]]) for each in (old, new)]
            assert (weights[0] == weights[1]).all()
    ends = (*new.graph.inputs, *new.graph.outputs)
    assert [range_of(old.graph.tensors[each]) for each in ends] == [range_of(new.graph.tensors[each]) for each in ends]


def test_biases_are_the_same_numbers_in_other_steps(after, twin):
    pair = pair_up(after, twin)
    for place, op in enumerate(pair.graph.operators):
        if pair.names[place] not in WEIGHTED or op.inputs[2] < 0 or pair.twin.operators[place].inputs[2] < 0:
            continue
        stored, source = pair.graph.tensors[op.inputs[2]], pair.graph.tensors[op.inputs[0]]
        steps = np.asarray(stored.quantization.scale, np.float64)
        assert steps == pytest.approx(
            scale_of(source)[0] * np.asarray(pair.graph.tensors[op.inputs[1]].quantization.scale, np.float64), rel=1e-5
        )
        exact = constant(pair.plain, pair.twin.tensors[pair.twin.operators[place].inputs[2]])
        assert np.abs(constant(pair.quantised, stored) * steps - exact).max() <= 0.51 * steps.max()


def test_each_power_loses_least_by_its_own_measure(before, twin, calibration):
    pair = pair_up(before, twin)
    twins, groups = pair.twins(), free_groups(pair)
    tensors = [group.computed[0] for group in groups if len(group.computed) == 1]
    steps = []
    for content in fit_ranges(pair, calibration)[:2]:
        graph = pair_up(content, twin).graph
        steps.append([scale_of(graph.tensors[each]) for each in tensors])
    floors, lost = swish_inputs(pair), np.zeros((2, 2, len(tensors)))  # power, file, tensor
    for values in watch(twin, calibration, [twins[each] for each in tensors]):
        for at, (tensor, value) in enumerate(zip(tensors, values, strict=True)):
            exact = np.maximum(value, floors.get(tensor, -np.inf))
            for file in range(2):
                scale, zero = steps[file][at]
                gaps = np.abs((np.rint(value / scale) + zero).clip(-128, 127) * scale - zero * scale - exact)
                lost[:, file, at] += (gaps**2).sum(), (gaps**3).sum()
    chosen = np.asarray(steps[0])[:, 0] != np.asarray(steps[1])[:, 0]
    assert chosen.sum() > 3
    assert (lost[0, 0] <= 1.02 * lost[0, 1])[chosen].all()
    assert (lost[1, 1] <= 1.02 * lost[1, 0])[chosen].all()


def test_what_a_hard_swish_reads_begins_at_minus_3(before, after, twin, onnx_path):
    pair = pair_up(before, twin)
    inputs = swish_inputs(pair)
    assert len(inputs) == sum(node.op == "HardSwish" for node in read_graph(onnx_path).nodes) > 5
    fitted = pair_up(after, twin)
    for tensor in inputs:
        low, _ = range_of(pair.graph.tensors[tensor])
        now, _ = range_of(fitted.graph.tensors[tensor])
        step = scale_of(fitted.graph.tensors[tensor])[0]
        assert now >= max(low, -3) - step


def test_values_that_are_moved_keep_one_range(after, twin):
    """A PAD copies: in other steps on its two sides it would round."""
    pair = pair_up(after, twin)
    pads = [op for place, op in enumerate(pair.graph.operators) if pair.names[place] == "PAD"]
    assert pads
    for op in pads:
        assert scale_of(pair.graph.tensors[op.inputs[0]]) == scale_of(pair.graph.tensors[op.outputs[0]])
    grouped = [tensor for group in free_groups(pair) for tensor in group.tensors]
    assert len(grouped) == len(set(grouped))


def test_what_is_pooled_or_put_side_by_side_has_one_range_that_is_free(tmp_path):
    """LiteRT refuses a concatenation whose inputs have other steps than its result."""
    body = """
        a = Conv<pads=[1,1,1,1]>(input, wa) b = MaxPool<kernel_shape=[2,2], strides=[2,2]>(a)
        c = Conv<strides=[2,2]>(input, wc) d = Concat<axis=1>(b, c) logits = Conv(d, we)
    """
    sizes = {"wa": (4, 3, 3, 3), "wc": (4, 3, 2, 2), "we": (2, 8, 1, 1)}
    path = save_model(tmp_path / "model.onnx", body, (1, 3, 12, 12), **sizes)
    seen = np.random.default_rng(0).normal(size=(32, 3, 12, 12)).astype(np.float32)
    convert(path, tmp_path / "before.tflite", "int8", seen, FITTED)
    convert_twin(path, tmp_path / "twin.tflite")
    old, plain = ((tmp_path / name).read_bytes() for name in ("before.tflite", "twin.tflite"))
    pair = pair_up(fit(old, lambda: plain, seen, [fit_ranges]), plain)
    kinds = {int(op.outputs[0]): pair.names[place] for place, op in enumerate(pair.graph.operators)}
    group = next(each for each in free_groups(pair) if "CONCATENATION" in map(kinds.get, each.tensors))
    assert sorted(map(kinds.get, group.tensors)) == ["CONCATENATION", "CONV_2D", "CONV_2D", "MAX_POOL_2D"]
    assert [kinds[each] for each in group.computed] == ["CONV_2D", "CONV_2D"]
    assert len({scale_of(pair.graph.tensors[each]) for each in group.tensors}) == 1
    assert np.isfinite(answers_of(pair.packed(), seen[:1])).all()


def test_without_images_or_a_twin_nothing_changes(before, twin, calibration, plain_paths):
    assert fit(before, lambda: twin, None, [fit_ranges]) == before
    other = plain_paths["fp32"].read_bytes()
    assert fit(before, lambda: other, calibration, [fit_ranges]) == before


def test_watching_changes_no_value(twin, images):
    pair_output = answers_of(twin, images[:3])
    graph = unpack(twin).subgraphs[0]
    seen = [values[0].copy() for values in watch(twin, images[:3], [int(graph.outputs[0])])]
    assert (np.concatenate(seen) == pair_output).all()
