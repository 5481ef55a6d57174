"""Dynamic range: the depthwise convolutions get their float weights back.

The converter's dynamic-range mode stores every large weight in int8 and leaves the activations float. XNNPACK has such
mixed kernels for CONV_2D and FULLY_CONNECTED, and none for DEPTHWISE_CONV_2D: each would be left to TFLite's own slow
kernel and cut the graph in two. Depthwise weights are a few percent of a file.

Given::

    y = DEPTHWISE_CONV_2D(x, w, b)               x float32, w int8 with a scale per channel, b float32

Result::

    y = DEPTHWISE_CONV_2D(x, w, b)               all three float32, w as it was before

More exact than what it replaces. It is a rewrite of the file, for the converter has no setting for single operators.
"""

from collections.abc import Callable
from typing import Any

from ofa_edge.export.tflite.flatbuffer import operator_names, pack, unpack


def float_depthwise(converted: bytes, plain: Callable[[], bytes]) -> bytes:
    """Put the float weights of `plain` into the depthwise convolutions of `converted`.

    Args:
        converted: a dynamic-range TFLite file.
        plain: gives the same network converted to fp32: the same operators, with the same names of their results.
    """
    model, source = unpack(converted), unpack(plain())
    graph, original = model.subgraphs[0], source.subgraphs[0]
    weights = {original.tensors[op.outputs[0]].name: op.inputs[1] for op in _depthwise(source)}
    for op in _depthwise(model):
        tensor = graph.tensors[op.inputs[1]]
        before = original.tensors[weights[graph.tensors[op.outputs[0]].name]]
        tensor.type, tensor.quantization = before.type, None
        model.buffers[tensor.buffer].data = source.buffers[before.buffer].data
    return pack(model)


def _depthwise(model: Any) -> list[Any]:
    names = operator_names(model)
    return [op for op in model.subgraphs[0].operators if names[op.opcodeIndex] == "DEPTHWISE_CONV_2D"]
