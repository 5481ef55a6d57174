"""int8 ONNX: what is quantised and how, the same bytes each time, and faults that are told."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from ofa_edge.errors import ConversionError
from ofa_edge.export.onnx.quantise import quantise
from ofa_edge.export.onnx.run import run_onnx
from ofa_edge.verify.parity import compare


@pytest.fixture(scope="module")
def quantised(onnx_path, calibration, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("quantised") / "int8.onnx"
    quantise(onnx_path, path, calibration)
    return path


def test_it_answers_like_the_network(quantised, images, reference):
    answers = run_onnx(quantised, images)
    assert answers.dtype == np.float32
    assert compare(reference, answers).snr_db > 20


def test_the_same_images_give_the_same_bytes_and_others_do_not(quantised, onnx_path, calibration, tmp_path, capfd):
    quantise(onnx_path, tmp_path / "again.onnx", calibration.copy())
    assert (tmp_path / "again.onnx").read_bytes() == quantised.read_bytes()
    quantise(onnx_path, tmp_path / "other.onnx", 2 * calibration)
    assert (tmp_path / "other.onnx").read_bytes() != quantised.read_bytes()
    assert capfd.readouterr() == ("", "")


def test_weights_are_symmetric_with_a_scale_a_channel(quantised, onnx_path):
    model = onnx.load(quantised)
    parts = {part.name: onnx.numpy_helper.to_array(part) for part in model.graph.initializer}
    made = {output: node for node in model.graph.node for output in node.output}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == sum(node.op_type == "Conv" for node in onnx.load(onnx_path).graph.node)
    for node in convolutions:
        weights, scales, zeros = (parts[name] for name in made[node.input[1]].input)
        assert weights.dtype == np.int8
        assert scales.shape == (len(weights),)
        assert not zeros.any()
        assert made[node.input[0]].op_type == "DequantizeLinear"


@pytest.mark.parametrize(("factor", "count", "words"), [(np.nan, 3, "NaN"), (1.0, 0, "no calibration images")])
def test_images_without_ranges_are_refused(onnx_path, calibration, tmp_path, factor, count, words):
    with pytest.raises(ConversionError) as caught:
        quantise(onnx_path, tmp_path / "out.onnx", np.float32(factor) * calibration[:count])
    assert words in caught.value.why
    assert not (tmp_path / "out.onnx").exists()


def test_images_of_another_size_and_files_of_another_kind_are_refused(onnx_path, calibration, tmp_path):
    with pytest.raises(ConversionError, match=r"cannot quantise model\.onnx"):
        quantise(onnx_path, tmp_path / "out.onnx", calibration[..., :9])
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(ConversionError, match=r"cannot quantise text\.onnx"):
        quantise(tmp_path / "text.onnx", tmp_path / "out.onnx", calibration)


def test_a_network_without_numbers_is_refused_by_the_node(onnx_path, calibration, tmp_path):
    model = onnx.load(onnx_path)
    node = next(node for node in model.graph.node if node.op_type == "Conv")
    weights = next(part for part in model.graph.initializer if part.name == node.input[1])
    weights.CopyFrom(onnx.numpy_helper.from_array(np.nan * onnx.numpy_helper.to_array(weights), weights.name))
    onnx.save(model, tmp_path / "nan.onnx")
    with pytest.raises(ConversionError) as caught:
        quantise(tmp_path / "nan.onnx", tmp_path / "out.onnx", calibration)
    assert f"node {node.name}, Conv" in caught.value.why
