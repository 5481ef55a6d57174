"""A network that was given quantised, as a TFLite file of the very same integers.

The converter makes an int8 file of the network in real numbers; then its steps, weights and biases are overwritten by
those that the ONNX file has. What the ONNX file does not quantise, or what it rounds only before and behind, is fp32
(`mixed`).
"""

import numpy as np

from ofa_edge.errors import ConversionError
from ofa_edge.export.onnx.lifted import Lifted, Steps
from ofa_edge.export.tflite.mixed import mixed
from ofa_edge.export.tflite.pair import MOVES, WEIGHTED, Pair, constant, set_constant
from ofa_edge.export.tflite.rewrites.fit_ranges import store_biases

# What ONNX Runtime, too, computes in integers. Others it computes in float between two roundings: so do we, for the
# integer forms of hard swish or means have roundings of their own.
_INTEGER = WEIGHTED | MOVES | {"ADD", "MUL", "MAX_POOL_2D"}


def install(pair: Pair, given: Lifted) -> bytes:
    """Give an int8 file the integers of its ONNX file.

    Args:
        pair: of the lifted graph, without rewrites, whose `sources` are the names of values.
        given: the lifted graph and its steps.

    Raises:
        ConversionError: the network's input or output is not quantised.
    """
    steps = _steps(pair, given)
    ends = [steps[int(pair.graph.inputs[0])], steps[int(pair.graph.outputs[0])]]
    if None in ends:
        raise ConversionError(
            "a quantised network whose ends are not",
            f"the {'input' if ends[0] is None else 'output'} has no QuantizeLinear",
            "quantise input and output too; or give the network in fp32 with --precision int8",
        )
    for tensor, found in steps.items():
        if found is not None:
            _store_steps(pair, tensor, found)
    floats = set()
    for place, op in enumerate(pair.graph.operators):
        computed = [int(each) for each in (*op.inputs, *op.outputs) if int(each) in steps]
        scales = _weight_steps(pair, place, given) if pair.names[place] in WEIGHTED else None
        lacks = any(steps[each] is None for each in computed) or (pair.names[place] in WEIGHTED and scales is None)
        if lacks or pair.names[place] not in _INTEGER:
            floats.add(place)
        elif scales is not None:
            _store_weights(pair, place, scales)
    store_biases(pair)
    return mixed(pair, floats)


def _steps(pair: Pair, given: Lifted) -> dict[int, Steps | None]:
    """Of each computed tensor of the int8 file; None where the ONNX file has no steps for it."""
    computing = [place for place, name in enumerate(pair.names) if name not in MOVES]
    last = {pair.sources[place][-1]: place for place in computing}
    found = {int(pair.graph.inputs[0]): given.steps.get(given.graph.input)}
    for place, op in enumerate(pair.graph.operators):
        # What moves values keeps their steps, and may be a part of a layer: the PAD before a convolution.
        if pair.names[place] in MOVES:
            found[int(op.outputs[0])] = found[int(op.inputs[0])]
        else:  # an operator of ONNX that became several is one value, the last one's
            value = pair.sources[place][-1]
            found[int(op.outputs[0])] = given.steps.get(value) if last[value] == place else None
    return found


def _store_steps(pair: Pair, tensor: int, steps: Steps) -> None:
    stored = pair.graph.tensors[tensor].quantization
    stored.scale = np.asarray(steps.scale, np.float32)
    stored.zeroPoint = np.asarray([steps.zero], np.int64)


def _weight_steps(pair: Pair, place: int, given: Lifted) -> Steps | None:
    """Of the weights of a layer; None where they are float in the ONNX file."""
    makers = {node.output: node for node in given.graph.nodes}
    inputs = [makers[value].inputs for value in pair.sources[place] if value in makers]
    return next((given.steps[each[1]] for each in inputs if len(each) > 1 and each[1] in given.steps), None)


def _store_weights(pair: Pair, place: int, steps: Steps) -> None:
    """The integers: what is real divided by its steps gives them back."""
    tensor = pair.graph.tensors[pair.graph.operators[place].inputs[1]]
    real = constant(pair.plain, pair.twin.tensors[pair.twin.operators[place].inputs[1]])
    assert real is not None
    stored = tensor.quantization
    channels = real.shape[stored.quantizedDimension]
    scales = np.broadcast_to(steps.scale, (channels,)) if len(steps.scale) == 1 else steps.scale
    shape = [1] * real.ndim
    shape[stored.quantizedDimension] = channels
    integers = np.rint(real.astype(np.float64) / scales.reshape(shape)).clip(-128, 127)
    stored.scale, stored.zeroPoint = scales.astype(np.float32), np.zeros(channels, np.int64)
    set_constant(pair.quantised, tensor, integers.astype(np.int8))
