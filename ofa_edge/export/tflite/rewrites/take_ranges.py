"""int8 of a network that was trained for it: the steps that training settled, in place of ranges found on images.

Given::

    y = CONV_2D(x)                               y in steps that hold what it gave on calibration images

Result::

    y = CONV_2D(x)                               y in the steps of its value in the training

Weights stay as they are: training rounds them as the converter does, by their output channel's largest. Where a
rewrite stored a value times a factor, its steps are that much larger.
"""

from collections.abc import Mapping

import numpy as np

from ofa_edge.errors import ConversionError
from ofa_edge.export.onnx.graph import Graph
from ofa_edge.export.tflite.pair import MOVES, Pair
from ofa_edge.export.tflite.rewrites.fit_ranges import store_biases

_SAME = MOVES | {"MAX_POOL_2D"}
Steps = tuple[float, int]  # scale, zero point


class RangesError(ConversionError):
    """The ranges are another network's: no node of this one is to blame, and none need be looked for."""


def take_ranges(pair: Pair | None, graph: Graph, ranges: Mapping[str, Steps]) -> bytes:
    """Give an int8 file the steps of its network's training.

    Args:
        pair: of the rewritten graph, whose `sources` are the names of values; None where the two are not of one graph.
        graph: the rewritten one.
        ranges: by the names of values in the network's file.

    Raises:
        RangesError: a value that the file rounds has no steps.
    """
    if pair is None:
        raise _misfit("the converter makes other operators in int8 than in fp32")
    steps = _of_stand_ins(graph, ranges)
    tensors = pair.graph.tensors
    _store(tensors[pair.graph.inputs[0]], steps.get(graph.input), graph.input)
    for place, op in enumerate(pair.graph.operators):
        made = tensors[op.outputs[0]]
        if pair.names[place] in _SAME:
            read = tensors[op.inputs[0]].quantization
            made.quantization.scale, made.quantization.zeroPoint = read.scale, read.zeroPoint
        else:
            value = pair.sources[place][-1]
            _store(made, steps.get(value), value)
    store_biases(pair)
    return pair.packed()


def _of_stand_ins(graph: Graph, ranges: Mapping[str, Steps]) -> dict[str, Steps]:
    found: dict[str, Steps] = {}
    for value, (scale, zero) in ranges.items():
        name, factor = graph.stand_ins.get(value, (value, 1.0))
        found[name] = scale / factor, zero
    return found


def _store(tensor: object, steps: Steps | None, value: str) -> None:
    if steps is None:
        raise _misfit(f"value '{value}' is rounded in the file, and was not in the training")
    stored = tensor.quantization  # type: ignore[attr-defined]  # the schema's TensorT, which is not typed
    stored.scale = np.asarray([steps[0]], np.float32)
    stored.zeroPoint = np.asarray([steps[1]], np.int64)


def _misfit(why: str) -> RangesError:
    return RangesError(
        "the ranges of the network's training do not fit its int8 file",
        why,
        "fine-tune it again with --qat, by this version of ofa-edge",
    )
