"""Networks that are given quantised keep their integers: held against ONNX Runtime in steps of the output."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_text import save_model

from ofa_edge.errors import ConversionError
from ofa_edge.export.onnx.graph import read_graph
from ofa_edge.export.onnx.lifted import lift
from ofa_edge.export.onnx.quantise import quantise
from ofa_edge.export.onnx.run import run_onnx
from ofa_edge.export.tflite.convert import convert, operators, run_tflite
from ofa_edge.export.tflite.flatbuffer import unpack
from ofa_edge.export.tflite.pair import constant

SHAPE = (1, 6, 9, 9)
STEP_X, STEP_W, STEP_Y = 0.03, 0.011, 0.07
WEIGHTS = np.random.default_rng(1).integers(-127, 128, (10, 6, 3, 3)).astype(np.int8)
BIAS = np.random.default_rng(2).integers(-900, 900, 10).astype(np.int32)
SCALES = np.linspace(0.004, 0.02, 10).astype(np.float32)


def saved(path, nodes, constants, output, shape=SHAPE, result=(1, 10, 9, 9)):
    graph = helper.make_graph(
        nodes,
        "given",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, result)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def qdq(path, zero_type=np.int8, weight_zero=0, scales=SCALES, axis=0):
    """x -> QDQ -> Conv with int8 weights and an int32 bias -> Relu -> QDQ."""
    zero = zero_type(3 + 128 * (zero_type is np.uint8))
    end = zero_type(-128 + 128 * (zero_type is np.uint8))
    constants = {
        "sx": np.float32(STEP_X),
        "zx": zero,
        "sy": np.float32(STEP_Y),
        "zy": end,
        "w": WEIGHTS,
        "sw": scales,
        "zw": np.full(scales.shape, weight_zero, np.int8),
        "b": BIAS,
        "sb": (STEP_X * scales).astype(np.float32),
        "zb": np.zeros(scales.shape, np.int32),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "sx", "zx"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["wd"], axis=axis),
        helper.make_node("DequantizeLinear", ["b", "sb", "zb"], ["bd"], axis=0),
        helper.make_node("Conv", ["xd", "wd", "bd"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "sy", "zy"], ["rq"]),
        helper.make_node("DequantizeLinear", ["rq", "sy", "zy"], ["y"]),
    ]
    return saved(path, nodes, constants, "y")


def qlinear(path):
    """The same as one QLinearConv, without the Relu."""
    constants = {
        "sx": np.float32(STEP_X),
        "zx": np.uint8(131),
        "sy": np.float32(STEP_Y),
        "zy": np.uint8(120),
        "w": WEIGHTS,
        "sw": np.float32(STEP_W),
        "zw": np.int8(0),
        "b": BIAS,
    }
    reads = ["xq", "sx", "zx", "w", "sw", "zw", "sy", "zy", "b"]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["xq"]),
        helper.make_node("QLinearConv", reads, ["yq"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("DequantizeLinear", ["yq", "sy", "zy"], ["y"]),
    ]
    return saved(path, nodes, constants, "y")


def steps_apart(path, out, shape=SHAPE[1:]):
    """Largest difference in steps of the output, and the share of values that differ."""
    images = np.random.default_rng(5).normal(scale=1.5, size=(4, *shape)).astype(np.float32)
    wanted = run_onnx(path, images) / STEP_Y
    found = run_tflite(out, images).reshape(wanted.shape) / STEP_Y
    assert np.ptp(np.rint(wanted)) > 100, "the output uses its range"
    apart = np.abs(np.rint(found) - np.rint(wanted))
    return apart.max(), (apart > 0).mean()


@pytest.mark.parametrize("zero_type", [np.int8, np.uint8])
def test_quantised_and_dequantised_around_a_layer(tmp_path, zero_type):
    path, out = qdq(tmp_path / "qdq.onnx", zero_type), tmp_path / "model.tflite"
    convert(path, out, "int8")
    most, share = steps_apart(path, out)
    assert most <= 1
    assert share < 0.01
    check_integers(out, SCALES)


def test_a_layer_of_integers(tmp_path):
    path, out = qlinear(tmp_path / "qlinear.onnx"), tmp_path / "model.tflite"
    convert(path, out, "int8")
    most, share = steps_apart(path, out)
    assert most <= 1
    assert share < 0.01
    check_integers(out, np.full(10, STEP_W, np.float32))


def test_a_given_upsampling_is_copied(tmp_path):
    """Between its own steps, the same on both sides: XNNPACK makes the copies."""
    model = onnx.load(qdq(tmp_path / "qdq.onnx"))
    pixels = 'mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"'
    grown = onnx.parser.parse_graph(f"g (float y) => (float q) {{ u = Resize<{pixels}>(y, , by) }}").node[0]
    model.graph.node.append(grown)
    model.graph.node.append(helper.make_node("QuantizeLinear", ["u", "sy", "zy"], ["uq"]))
    model.graph.node.append(helper.make_node("DequantizeLinear", ["uq", "sy", "zy"], ["z"]))
    model.graph.initializer.append(numpy_helper.from_array(np.float32([1, 1, 2, 3]), "by"))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("z", TensorProto.FLOAT, (1, 10, 18, 27)))
    onnx.save(model, tmp_path / "up.onnx")
    convert(tmp_path / "up.onnx", tmp_path / "up.tflite", "int8")
    most, share = steps_apart(tmp_path / "up.onnx", tmp_path / "up.tflite")
    assert most <= 1
    assert share < 0.01
    assert "CONCATENATION" in operators(tmp_path / "up.tflite")
    assert "RESIZE_NEAREST_NEIGHBOR" not in operators(tmp_path / "up.tflite")


MATRIX = np.random.default_rng(4).integers(-127, 128, (54, 7)).astype(np.int8)


@pytest.mark.parametrize("scales", [np.float32(STEP_W), np.linspace(0.003, 0.012, 7, dtype=np.float32)])
def test_a_matrix_of_integers(tmp_path, scales):
    """QLinearMatMul, with one scale or one for each column."""
    constants = {
        "sx": np.float32(STEP_X),
        "zx": np.uint8(131),
        "sy": np.float32(STEP_Y),
        "zy": np.uint8(120),
        "w": MATRIX,
        "sw": scales,
        "zw": np.zeros_like(scales, np.int8),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["xq"]),
        helper.make_node("Flatten", ["xq"], ["f"]),
        helper.make_node("QLinearMatMul", ["f", "sx", "zx", "w", "sw", "zw", "sy", "zy"], ["yq"]),
        helper.make_node("DequantizeLinear", ["yq", "sy", "zy"], ["y"]),
    ]
    path = saved(tmp_path / "matrix.onnx", nodes, constants, "y", (1, 6, 3, 3), (1, 7))
    convert(path, tmp_path / "model.tflite", "int8")
    most, share = steps_apart(path, tmp_path / "model.tflite", (6, 3, 3))
    assert most <= 1
    assert share < 0.05
    assert "FULLY_CONNECTED" in operators(tmp_path / "model.tflite")


def check_integers(out, scales):
    """Weights and bias are those of the ONNX file, to the bit."""
    model = unpack(out.read_bytes())
    graph = model.subgraphs[0]
    op = next(each for each in graph.operators if len(each.inputs) == 3)
    weights, bias = (graph.tensors[each] for each in op.inputs[1:])
    assert (constant(model, weights) == WEIGHTS.transpose(0, 2, 3, 1)).all()
    assert (weights.quantization.scale == scales).all()
    assert (constant(model, bias) == BIAS).all()


BODY = """
a = Conv<kernel_shape=[3,3], pads=[1,1,1,1], strides=[2,2]>(input, w0, b0)
ah = HardSwish(a)
d = Conv<kernel_shape=[5,5], pads=[2,2,2,2], group=8>(ah, w1, b1)
dr = Relu(d)
p = Conv<kernel_shape=[1,1]>(dr, w2, b2)
s = Add(p, ah)
e = Conv<kernel_shape=[3,3], pads=[1,1,1,1], strides=[2,2]>(s, w3, b3)
er = Relu(e)
m = MaxPool<kernel_shape=[2,2], strides=[2,2]>(er)
g = GlobalAveragePool(m)
f = Flatten(g)
logits = Gemm<transB=1>(f, w4, b4)
"""


def beside_onnx_runtime(folder, body, shape, weights):
    """How far TFLite is from ONNX Runtime on a network of its quantiser's; one step of the answer; the TFLite file."""
    plain = save_model(folder / "plain.onnx", body, (1, *shape), **weights)
    images = np.random.default_rng(3).normal(size=(60, *shape)).astype(np.float32)
    path, out = folder / "qdq.onnx", folder / "model.tflite"
    quantise(plain, path, images)
    convert(path, out, "int8")
    theirs, ours = run_onnx(path, images), run_tflite(out, images)
    return np.abs(theirs - ours), np.diff(np.unique(theirs)).min(), out


def test_a_whole_network_of_onnx_runtimes_quantiser(tmp_path):
    """Convolutions, a sum, pooling and a classifier in integers, hard swish and the mean in float."""
    shapes = {"w0": (8, 3, 3, 3), "w1": (8, 1, 5, 5), "w2": (8, 8, 1, 1), "w3": (16, 8, 3, 3), "w4": (10, 16)}
    biases = {f"b{place}": (shape[0],) for place, shape in enumerate(shapes.values())}
    away, step, out = beside_onnx_runtime(tmp_path, BODY, (3, 21, 21), {**shapes, **biases})
    assert away.max() < 1.01 * step
    assert (away > 0.01 * step).mean() < 0.02
    found = set(operators(out))
    assert {"CONV_2D", "DEPTHWISE_CONV_2D", "HARD_SWISH", "QUANTIZE", "DEQUANTIZE"} <= found


GATED = """
a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(input, w0, b0)
ar = Relu(a)
g = GlobalAveragePool(ar)
s = Conv<kernel_shape=[1,1]>(g, w1, b1)
h = HardSigmoid<alpha=0.1666667, beta=0.5>(s)
m = Mul(ar, h)
e = Conv<kernel_shape=[3,3], strides=[2,2]>(m, w2, b2)
t = GlobalAveragePool(e)
logits = Flatten(t)
"""


def test_a_layer_before_a_hard_sigmoid_keeps_its_rounding(tmp_path):
    shapes = {"w0": (8, 3, 3, 3), "w1": (8, 8, 1, 1), "w2": (10, 8, 3, 3)}
    biases = {f"b{place}": (shape[0],) for place, shape in enumerate(shapes.values())}
    away, step, _ = beside_onnx_runtime(tmp_path, GATED, (3, 15, 15), {**shapes, **biases})
    assert away.max() < 1.01 * step
    assert (away > 0.01 * step).mean() < 0.05


def test_a_float_network_is_not_lifted(onnx_path):
    assert lift(read_graph(onnx_path)) is None


@pytest.mark.parametrize("precision", ["fp32", "dynamic"])
def test_other_precisions_are_refused(tmp_path, precision):
    with pytest.raises(ConversionError, match="quantised already"):
        convert(qdq(tmp_path / "qdq.onnx"), tmp_path / "model.tflite", precision)
    assert not (tmp_path / "model.tflite").exists()


def test_weights_with_a_zero_point_are_refused(tmp_path):
    with pytest.raises(ConversionError, match="symmetrically"):
        convert(qdq(tmp_path / "qdq.onnx", weight_zero=4), tmp_path / "model.tflite", "int8")
