import numpy as np
import onnx
import pytest
from onnx_text import save_model

from ofa_edge.errors import ConversionError
from ofa_edge.export.onnx.graph import read_graph
from ofa_edge.export.onnx.nodes import Node


def test_nodes_constants_and_names(tmp_path):
    body = "two = Constant<value_float = 2.0>() a = Mul(input, two) b = Add(a, w) logits = Clip(b, , two)"
    graph = read_graph(save_model(tmp_path / "model.onnx", body, (1, 3, 4, 4), w=(1, 3, 1, 1)))
    assert [node.op for node in graph.nodes] == ["Mul", "Add", "Clip"]
    assert graph.nodes[0] == Node("Mul", "Mul_1", ("input", "two"), "a")
    assert graph.nodes[2].inputs == ("b", "", "two")
    assert (graph.input, graph.outputs, graph.input_shape) == ("input", ("logits",), (1, 3, 4, 4))
    np.testing.assert_array_equal(graph.constant("two"), np.float32(2))
    assert graph.constant("w").shape == (1, 3, 1, 1)
    assert graph.constant("a") is graph.constant("") is None


def test_uses_count_the_output(tmp_path):
    body = "a = Relu(input) logits = Add(a, a) b = Relu(logits)"
    graph = read_graph(save_model(tmp_path / "model.onnx", body, (1, 3, 4, 4)))
    assert graph.uses() == {"input": 1, "a": 2, "logits": 2}


BAD_MODELS = {
    "not ONNX": (b"TFL3 nothing", "not a valid ONNX file"),
    "a dynamic size": ((1, 3, None, 4), r"input of shape \(1, 3, 0, 4\)"),
    "a batch": ((2, 3, 4, 4), "input of shape"),
}


@pytest.mark.parametrize("case", BAD_MODELS)
def test_bad_models(tmp_path, case):
    content, message = BAD_MODELS[case]
    path = tmp_path / "model.onnx"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        save_model(path, "logits = Relu(input)", content)
    with pytest.raises(ConversionError, match=message):
        read_graph(path)


def test_two_outputs_are_refused(tmp_path):
    body = "m, i = MaxPool<kernel_shape=[2,2]>(input) c = Cast<to=1>(i) logits = Add(m, c)"
    path = save_model(tmp_path / "model.onnx", body, (1, 4, 4, 4))
    with pytest.raises(ConversionError, match="node 'MaxPool_0', operator MaxPool"):
        read_graph(path)


def test_bounds_that_an_old_opset_gives_as_attributes_are_kept(tmp_path):
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, 4, 4])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 3, 4, 4])
    node = onnx.helper.make_node("Clip", ["x"], ["y"], max=6.0)
    opset = [onnx.helper.make_opsetid("", 10)]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [x], [y]), opset_imports=opset, ir_version=8)
    onnx.save(model, tmp_path / "old.onnx")
    graph = read_graph(tmp_path / "old.onnx")
    assert graph.nodes[0].inputs == ("x", "", "y/max")
    assert graph.constant("y/max") == 6


def test_what_is_computed_of_constants_is_one(tmp_path):
    body = """
        t = Transpose<perm=[1,0]>(w) r = Reshape(t, to) c = Cast<to=1>(n) s = Mul(r, c)
        x = Add(input, s) logits = Reshape(x, to)
    """
    weights = {"w": np.arange(6, dtype=np.float32).reshape(3, 2), "to": np.array([1, 1, 2, 3]), "n": np.array([2.0])}
    graph = read_graph(save_model(tmp_path / "m.onnx", body, (1, 1, 2, 3), **weights))
    assert [node.op for node in graph.nodes] == ["Add", "Reshape"]
    np.testing.assert_array_equal(graph.constant("s"), 2 * weights["w"].T.reshape(1, 1, 2, 3))
    assert graph.constant("s").dtype == np.float32


def test_quantised_constants_stay(tmp_path):
    body = "d = DequantizeLinear(q, s) logits = Add(input, d)"
    weights = {"q": np.ones((1, 3, 4, 4), np.int8), "s": np.float32(0.5)}
    graph = read_graph(save_model(tmp_path / "m.onnx", body, (1, 3, 4, 4), **weights))
    assert [node.op for node in graph.nodes] == ["DequantizeLinear", "Add"]


RECURRENT_WEIGHTS = {"w": (1, 12, 5), "r": (1, 12, 3), "b": (1, 24), "to": np.array([7, 1, 5])}
BAD_RECURRENT = {
    "a direction": ('LSTM<hidden_size=3, direction="sideways">(s, w, r, b)', "do not fit together"),
    "weights of another size": ("LSTM<hidden_size=3>(s, w, v, b)", "do not fit together"),
    "weights of one direction": ('LSTM<hidden_size=3, direction="bidirectional">(s, w, r, b)', "do not fit together"),
    "computed weights": ("LSTM<hidden_size=3>(s, w, s, b)", "input 2 is not a constant"),
    "lengths": ("LSTM<hidden_size=3>(s, w, r, b, n)", "its own length"),
    "peepholes of another size": ("LSTM<hidden_size=3>(s, w, r, b, , , , p)", "peepholes"),
    "clipping": ("LSTM<hidden_size=3, clip=1.0>(s, w, r, b)", "clips"),
    "batch first": ("LSTM<hidden_size=3, layout=1>(s, w, r, b)", "layout 1"),
    "activations": ('LSTM<hidden_size=3, activations=["Sigmoid", "Elu", "Tanh"]>(s, w, r, b)', "unusual"),
    "too many steps": ("LSTM<hidden_size=3>(l, w, r, b)", "513 steps"),
}


@pytest.mark.parametrize("case", BAD_RECURRENT)
def test_recurrent_layers_that_cannot_be_unrolled(tmp_path, case):
    call, message = BAD_RECURRENT[case]
    more = {"v": (1, 11, 3), "p": (1, 8), "n": np.array([3], np.int32), "z": np.zeros((506, 1, 5), np.float32)}
    body = f"s = Reshape(input, to) l = Concat<axis=0>(s, z) logits = {call}"
    model = onnx.load(save_model(tmp_path / "model.onnx", "logits = Relu(input)", (1, 1, 7, 5)))
    parsed = onnx.parser.parse_graph(f"main (float[1,1,7,5] input) => (float logits) {{ {body} }}")
    del model.graph.node[:]
    model.graph.node.extend(parsed.node)
    for name, value in {**RECURRENT_WEIGHTS, **more}.items():
        array = np.ones(value, np.float32) if isinstance(value, tuple) else value
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    for name, shape in {"s": (7, 1, 5), "l": (513, 1, 5)}.items():  # what inference would say, if it took the node
        model.graph.value_info.append(onnx.helper.make_tensor_value_info(name, 1, shape))
    model.graph.output[0].type.CopyFrom(onnx.helper.make_tensor_value_info("logits", 1, (7, 1, 1, 3)).type)
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ConversionError, match=message):
        read_graph(tmp_path / "model.onnx")
