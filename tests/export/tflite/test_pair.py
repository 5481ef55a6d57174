"""An int8 file and its fp32 twin: which operator of the one is which of the other."""

import numpy as np
import pytest

from ofa_edge.errors import ModelFileError
from ofa_edge.export.onnx.graph import read_graph
from ofa_edge.export.tflite.flatbuffer import pack, unpack
from ofa_edge.export.tflite.pair import constant, dequantised, open_pair
from ofa_edge.export.tflite.rewrites import rewrite


def test_every_weight_is_its_partners(pair):
    """Weights of partners lie within half a step of int8, whatever the order of either file."""
    weighted = [place for place, name in enumerate(pair.names) if name in {"CONV_2D", "DEPTHWISE_CONV_2D"}]
    assert len(weighted) > 20
    for place in weighted:
        stored = pair.graph.tensors[pair.graph.operators[place].inputs[1]]
        exact = constant(pair.plain, pair.twin.tensors[pair.twin.operators[place].inputs[1]])
        step = np.max(stored.quantization.scale)
        assert np.abs(dequantised(pair.quantised, stored) - exact).max() <= 0.51 * step


def test_layers_are_those_of_the_onnx_file(pair, onnx_path):
    known = {node.name for node in read_graph(onnx_path).nodes}
    assert set(pair.layers) <= known
    assert sorted(place for places in pair.layers.values() for place in places) == list(range(len(pair.names)))
    split = [names for names in pair.layers.values() if len(names) > 4]
    assert split, "a 7x7 kernel is several operators of one layer"


def test_partners_are_found_in_another_order(pair, tflite_paths, onnx_path, tmp_path):
    """Two branches of the int8 file that do not depend on each other change places."""
    model = unpack(tflite_paths["int8"].read_bytes())
    operators = model.subgraphs[0].operators
    made = {int(op.outputs[0]): place for place, op in enumerate(operators)}
    first = next(
        place
        for place, op in enumerate(operators[:-1])
        if all(made.get(int(i)) != place for i in operators[place + 1].inputs)
    )
    operators[first], operators[first + 1] = operators[first + 1], operators[first]
    path = tmp_path / "moved.tflite"
    path.write_bytes(pack(model))
    graph = read_graph(onnx_path)
    twin = tflite_paths["int8"].with_name("twin.tflite")
    names = [node.name for node in graph.nodes]
    moved = open_pair(path, twin, [node.name for node in rewrite(graph, "int8").nodes], names)
    expected = list(pair.sources)
    expected[first], expected[first + 1] = expected[first + 1], expected[first]
    assert list(moved.sources) == expected


@pytest.mark.parametrize("precision", ["fp32", "dynamic", "twin"])
def test_what_is_no_int8_form_is_refused(tflite_paths, onnx_path, precision):
    path = tflite_paths["int8"].with_name(f"{precision}.tflite")
    twin = tflite_paths["int8"].with_name("twin.tflite")
    names = [node.name for node in rewrite(read_graph(onnx_path), "int8").nodes]
    with pytest.raises(ModelFileError, match="not the int8 form"):
        open_pair(path, twin, names, names)
