"""int8: what is put side by side with others keeps steps of its own for its other readers.

A concatenation has one range for all its inputs, the widest. What is read elsewhere too, as the half of a Ghost module
or of a CSP stage from which the other half is computed, is then rounded there as coarsely as its neighbour needs.

Given::

    x: 0 .. 9 (computed: 0 .. 4.8)      y = f(x)      CONCATENATION(x, y): 0 .. 9

Result::

    x: 0 .. 4.8      y = f(x)      CONCATENATION(QUANTIZE(x), y): 0 .. 9

XNNPACK runs such a QUANTIZE, which reads and writes a value once: it is spent where the steps become finer by a quarter
at least. Left as they are: ends of the network, and what only concatenations read.
"""

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.tflite.pair import Pair
from ofa_edge.export.tflite.rewrites.fit_ranges import FREE, range_of, set_range, shares, store_biases
from ofa_edge.export.tflite.running import watch

_WORTH = 0.8  # of the shared steps


def own_steps(pair: Pair, images: NDArray[np.float32]) -> list[bytes]:
    """Give steps of their own to what other operators than concatenations read too: see `fitting.Fit`."""
    tensors, parted = pair.graph.tensors, {}
    for tensor, (low, high) in _ends(pair, images, _shared(pair)).items():
        lowest, highest = range_of(tensors[tensor])
        if 0 < high - low < _WORTH * (highest - lowest):
            parted[tensor] = low, high
    if not parted:
        return []
    readers = pair.readers()
    moving = {tensor: [place for place in readers[tensor] if shares(pair, place)] for tensor in parted}
    shared = {tensor: _in_shared_steps(pair, tensor) for tensor in parted}
    for tensor, ends in parted.items():
        set_range(tensors[tensor], *ends)
    store_biases(pair)
    for tensor, places in moving.items():
        for op in (pair.graph.operators[place] for place in places):
            op.inputs = [shared[tensor] if int(each) == tensor else int(each) for each in op.inputs]
    _put_in(pair, {tensor: min(places) for tensor, places in moving.items()}, shared)
    return [pair.packed()]


def _shared(pair: Pair) -> list[int]:
    """Results of operators in any steps that a concatenation reads, and another operator that computes."""
    ends, readers = {int(each) for each in pair.graph.outputs}, pair.readers()
    found = []
    for place, op in enumerate(pair.graph.operators):
        made = int(op.outputs[0])
        reading = [each for each in readers.get(made, ()) if shares(pair, each)]
        joined = any(pair.names[each] == "CONCATENATION" for each in reading)
        if pair.names[place] in FREE and made not in ends and joined and len(reading) < len(readers[made]):
            found.append(made)
    return found


def _ends(pair: Pair, images: NDArray[np.float32], tensors: list[int]) -> dict[int, tuple[float, float]]:
    """Their least and largest values in fp32, 0 among them."""
    twins, found = pair.twins(), dict.fromkeys(tensors, (0.0, 0.0))
    for values in watch(pair.packed_twin(), images, [twins[each] for each in tensors]) if tensors else ():
        for tensor, value in zip(tensors, values, strict=True):
            low, high = found[tensor]
            found[tensor] = min(low, float(value.min())), max(high, float(value.max()))
    return found


def _in_shared_steps(pair: Pair, tensor: int) -> int:
    """A new tensor for the values of another, in its steps of now."""
    after = copy.copy(pair.graph.tensors[tensor])
    after.quantization, after.name = copy.copy(after.quantization), (after.name or b"") + b"/shared"
    pair.graph.tensors.append(after)
    return len(pair.graph.tensors) - 1


def _put_in(pair: Pair, before: dict[int, int], shared: dict[int, int]) -> None:
    """Write each tensor into its new one before an operator."""
    from ai_edge_litert import schema_py_generated as schema

    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.QUANTIZE
    code.version = 2  # which reads int8
    pair.quantised.operatorCodes.append(code)
    added: dict[int, list[Any]] = {}
    for tensor, place in before.items():
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = len(pair.quantised.operatorCodes) - 1, [tensor], [shared[tensor]]
        added.setdefault(place, []).append(made)
    pair.graph.operators = [
        each for place, op in enumerate(pair.graph.operators) for each in (*added.get(place, ()), op)
    ]
