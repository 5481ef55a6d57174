"""What scales say: held to the interpreter's own account, and each thing that can be wrong planted in a sound file."""

import json
import math

import numpy as np
import pytest
from tiny_tflite import ACTIVATION_SCALE, tiny_tflite

from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.export.inspect import inspect_model
from ofa_edge.export.inspect.tflite_model import read_model
from ofa_edge.export.inspect.tflite_ranges import picture_range, range_findings, real_range, worst_layers
from ofa_edge.export.tflite.flatbuffer import operator_names, pack, unpack
from ofa_edge.export.tflite.metadata_writer import write_metadata
from ofa_edge.records.interface import PictureRecord


@pytest.fixture(scope="module")
def int8(tmp_path_factory):
    path = tmp_path_factory.mktemp("int8") / "model.tflite"
    path.write_bytes(tiny_tflite(quantised=True))
    return path


def changed(source, target, change):
    """A copy of a TFLite file with its tables changed."""
    model = unpack(source.read_bytes())
    change(model, model.subgraphs[0])
    target.write_bytes(pack(model))
    return target


def codes(path):
    return [each.code for each in range_findings(read_model(path))]


def first(graph, model, name):
    """The first operator of a name."""
    names = operator_names(model)
    return next(op for op in graph.operators if names[op.opcodeIndex] == name)


def test_a_sound_file_has_nothing_to_say(int8):
    assert codes(int8) == []


def test_our_own_files_have_nothing_to_say(tflite_paths):
    for precision in ("fp32", "fp16", "dynamic", "int8"):
        assert codes(tflite_paths[precision]) == []


def test_ranges_and_scales_are_those_of_the_interpreter(tflite_paths):
    """LiteRT's own account of inputs, outputs and of every tensor with scales."""
    from ai_edge_litert.interpreter import Interpreter

    path = tflite_paths["int8"]
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    model = read_model(path)
    details = {each["name"]: each["quantization_parameters"] for each in interpreter.get_tensor_details()}
    seen = 0
    for op in model.subgraphs[0].operators:
        for tensor in (*op.inputs, *op.outputs):
            if tensor.scale and tensor.name in details:
                np.testing.assert_array_equal(np.float32(tensor.scale), details[tensor.name]["scales"])
                np.testing.assert_array_equal(tensor.zero, details[tensor.name]["zero_points"])
                seen += 1
    assert seen > 20
    for tensors, told in (
        (model.subgraphs[0].inputs, interpreter.get_input_details()),
        (model.subgraphs[0].outputs, interpreter.get_output_details()),
    ):
        for tensor, detail in zip(tensors, told, strict=True):
            scale, zero = detail["quantization"]
            limits = np.iinfo(detail["dtype"])
            ends = [(limits.min - zero) * scale, (limits.max - zero) * scale]
            assert real_range(tensor) == pytest.approx(ends)
    ratios = [
        max(found["scales"]) / min(found["scales"])
        for name, found in details.items()
        if len(found["scales"]) > 1 and found["zero_points"].size and _is_weight(model, name)
    ]
    worst = worst_layers(model)
    assert float(worst.split(": ")[1].split(" ")[0].replace(",", "")) == pytest.approx(max(ratios), abs=0.06)


def _is_weight(model, name):
    return any(len(op.inputs) > 1 and op.inputs[1].name == name for op in model.subgraphs[0].operators)


def test_ranges_are_shown(int8):
    facts = inspect_model(int8).facts
    words = f"-{128 * ACTIVATION_SCALE:.4g} to {127 * ACTIVATION_SCALE:.4g} in steps of {ACTIVATION_SCALE:.4g}"
    assert words in facts["inputs"]
    assert words in facts["outputs"]
    assert facts["channel scales apart"].count(" times") == 3  # of three convolutions


@pytest.mark.parametrize("scale", [0.0, -0.1, math.nan, math.inf, 1e-40])
def test_a_degenerate_scale_anywhere(int8, tmp_path, scale):
    def plant(model, graph):
        graph.tensors[first(graph, model, "DEPTHWISE_CONV_2D").outputs[0]].quantization.scale = [scale]

    found = inspect_model(changed(int8, tmp_path / "model.tflite", plant))
    (fault,) = [each for each in found.findings if each.code == "degenerate-scale"]
    assert fault.severity == "fault"
    assert any("DEPTHWISE_CONV_2D" in node for node in fault.nodes)


def test_the_smallest_normal_scale_is_none(int8, tmp_path):
    def plant(model, graph):
        graph.tensors[graph.inputs[0]].quantization.scale = [float(np.finfo(np.float32).tiny)]

    assert "degenerate-scale" not in codes(changed(int8, tmp_path / "model.tflite", plant))


def weights(graph, model, name="CONV_2D"):
    return graph.tensors[first(graph, model, name).inputs[1]].quantization


PLANTED = {
    "equal-scales": lambda model, graph: setattr(
        weights(graph, model), "scale", [0.01] * len(weights(graph, model).scale)
    ),
    "scale-ratio": lambda model, graph: setattr(
        weights(graph, model), "scale", [1e-9, *weights(graph, model).scale[1:]]
    ),
    "zero-point": lambda model, graph: setattr(graph.tensors[graph.inputs[0]].quantization, "zeroPoint", [200]),
    "bias-scale": lambda model, graph: setattr(
        graph.tensors[first(graph, model, "CONV_2D").inputs[2]].quantization, "scale", [0.5]
    ),
    "requantisation": lambda model, graph: setattr(
        graph.tensors[first(graph, model, "CONV_2D").outputs[0]].quantization, "scale", [1e-9]
    ),
}


@pytest.mark.parametrize("code", PLANTED)
def test_what_does_not_fit_is_found(int8, tmp_path, code):
    assert code in codes(changed(int8, tmp_path / "model.tflite", PLANTED[code]))


def test_equal_weights_have_equal_scales(int8, tmp_path):
    """A mean that is written as a convolution."""

    def plant(model, graph):
        PLANTED["equal-scales"](model, graph)
        buffer = model.buffers[graph.tensors[first(graph, model, "CONV_2D").inputs[1]].buffer]
        buffer.data = np.full_like(buffer.data, 127)

    assert "equal-scales" not in codes(changed(int8, tmp_path / "model.tflite", plant))


def test_an_operator_that_moves_values_and_a_softmax(int8, tmp_path):
    """The last operator becomes another by its number: what it does to scales is all that is looked at."""
    from ai_edge_litert import schema_py_generated as schema

    def rename(kind):
        def plant(model, graph):
            op = graph.operators[-1]
            code = schema.OperatorCodeT()
            code.builtinCode, code.deprecatedBuiltinCode, code.version = kind, min(kind, 127), 1
            model.operatorCodes.append(code)
            op.opcodeIndex, op.inputs = len(model.operatorCodes) - 1, op.inputs[:1]
            graph.tensors[op.outputs[0]].quantization.scale = [0.5]

        return plant

    op = schema.BuiltinOperator
    assert codes(changed(int8, tmp_path / "a.tflite", rename(op.RESHAPE))) == ["scale-changed"]
    assert codes(changed(int8, tmp_path / "b.tflite", rename(op.SOFTMAX))) == ["fixed-range"]
    assert codes(changed(int8, tmp_path / "c.tflite", rename(op.RELU))) == []


# -- the interface --------------------------------------------------------------------------------------------------


def interface(path, mean, std, dtype="int8", file=None):
    """An interface beside a file, as a build writes it."""
    picture = {"height": 12, "width": 12, "channels": 2, "order": "stored", "mean": mean, "std": std, "fit": "crop"}
    source = {"name": "x", "shape": [1, 12, 12, 2], "dtype": dtype, "picture": picture}
    sink = {"name": "logits", "shape": [1, 5], "dtype": "int8"}
    record = {"file": file or path.name, "task": "classify", "inputs": [source], "outputs": [sink], "interface": 1}
    path.with_suffix(".interface.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("mean", "std", "code"),
    [
        ((127.5, 127.5), (25.0, 25.0), None),  # -5.1 to 5.1: what the input holds, to half a step
        ((127.5, 127.5), (12.0, 12.0), "input-clipped"),  # -10.6 to 10.6
        ((127.5, 127.5), (23.5, 23.5), "input-clipped"),  # -5.4 to 5.4: a twentieth of it
        ((0.0, 0.0), (25.0, 50.0), "input-clipped"),  # 0 to 10.2: one channel is enough
        ((127.5, 127.5), (127.5, 127.5), "input-coarse"),  # -1 to 1: a fifth of the steps
    ],
)
@pytest.mark.parametrize("by", ["interface", "metadata"])
def test_whether_pixels_fit(int8, tmp_path, mean, std, code, by):
    path = tmp_path / "model.tflite"
    if by == "interface":
        path.write_bytes(int8.read_bytes())
        interface(path, mean, std)
    else:
        preprocessing = Preprocessing(12, 2, mean, std)
        names = [f"class {index}" for index in range(5)]
        write_metadata(int8, path, preprocessing, names, name="n", description="d", version="1")
    found = [(each.code, each.severity) for each in inspect_model(path).findings if each.code.startswith("in")]
    assert found == (
        [] if code is None else [(code, "warning" if code == "input-coarse" or std[0] == 23.5 else "fault")]
    )


def test_another_type_than_the_interface_says_and_an_interface_of_another_file(int8, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(int8.read_bytes())
    interface(path, (127.5, 127.5), (25.0, 25.0), dtype="uint8")
    assert "interface-type" in [each.code for each in inspect_model(path).faults]
    interface(path, (127.5, 127.5), (12.0, 12.0), file="other.tflite")
    assert "input-clipped" not in [each.code for each in inspect_model(path).findings]
    path.with_suffix(".interface.json").write_text("{")
    inspect_model(path)


def test_a_range_of_pixels_by_hand():
    said = {"height": 1, "width": 1, "channels": 3, "order": "RGB", "fit": "crop"}
    imagenet = PictureRecord(**said, mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
    assert picture_range(imagenet) == pytest.approx((-123.675 / 58.395, (255 - 103.53) / 57.375))
