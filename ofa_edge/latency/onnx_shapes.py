"""The shapes of an ONNX network for one image: free sizes set, and what exporters leave to be computed worked out.

Older exporters write a shape as operators (Shape, Gather, Concat, ...), and a padding as a dozen of them. Those that
depend on no image are computed here, so that such a file needs no simplifier first.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import ConfigError
from ofa_edge.onnx_weights import lift_constants
from ofa_edge.shapes import ONE_SAMPLE, Dim, Shape, fits, known_sizes, samples_a_call, shape_options

if TYPE_CHECKING:
    import onnx

Array = NDArray[np.generic]

_SMALL = 4096  # values of a constant that may say a shape; weights are larger or say none
_ROUNDS = 200  # of working out and inferring: each may make the next possible
# What shapes are computed with; each gives no more values than it takes, or is held to _SMALL.
_OF_SHAPES = {"Shape", "Size", "Constant", "ConstantOfShape", "Gather", "Concat", "Slice", "Unsqueeze", "Squeeze"}
_OF_SHAPES |= {"Reshape", "Transpose", "Cast", "Identity", "Add", "Sub", "Mul", "Div", "Mod", "Neg", "Floor", "Ceil"}
_OF_SHAPES |= {"Min", "Max", "Equal", "Where", "Not", "And", "Or", "Less", "Greater", "ReduceProd", "Sqrt"}


def with_shapes(model: "onnx.ModelProto", path: Path, asked: Mapping[str, Shape] | None = None) -> "onnx.ModelProto":
    """The model with one image as its input and every shape known that can be; large weights without their values.

    Args:
        model: changed in place.
        path: for messages.
        asked: shapes of inputs by name; "" is the first.

    Raises:
        ConfigError: an input's shape is not asked for and free, or is asked for and impossible; or the inputs
            hold several samples.
    """
    import onnx

    lift_constants(model)
    _set_inputs(model, path, dict(asked or {}))
    for tensor in model.graph.initializer:
        if prod(tensor.dims) > _SMALL:
            for values in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data"):
                tensor.ClearField(values)
    for _ in range(_ROUNDS):
        model = onnx.shape_inference.infer_shapes(model, strict_mode=False, data_prop=True)
        if not _work_out(model):
            break
    return model


def _set_inputs(model: "onnx.ModelProto", path: Path, asked: dict[str, Shape]) -> None:
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = {value.name: value for value in model.graph.input if value.name not in constants}
    if "" in asked and inputs:
        asked[next(iter(inputs))] = asked.pop("")
    said: dict[str, list[Dim]] = {
        name: [dim.dim_value if dim.dim_value > 0 else dim.dim_param or None for dim in _dims(value)]
        for name, value in inputs.items()
    }
    usual, known = known_sizes(said, {}), known_sizes(said, asked)
    for name in asked.keys() - inputs.keys():
        words = ", ".join(f"'{each}'" for each in inputs) or "none"
        hint = shape_options({each: sizes for each, sizes in usual.items() if None in sizes}, len(said))
        raise ConfigError(f"{path.name} has no input '{name}'", f"its inputs are {words}", hint or "leave it out")
    for name, wanted in asked.items():
        if not fits(said[name], wanted):
            raise ConfigError(
                f"{path.name} cannot take an input of shape {wanted}",
                f"'{name}' has {tuple(dim if isinstance(dim, int) else 0 for dim in said[name])} (0 is a free size)",
                "ask for its own fixed sizes, or export the network for the other ones",
            )
    for name, sizes in known.items():
        if None in sizes:
            raise ConfigError(
                f"{path.name} takes an input of shape {tuple(size or 0 for size in sizes)}",
                f"'{name}': a prediction is for one sample of fixed size (0 is a free size)",
                f"{shape_options({name: usual[name]}, len(said))}, or export the network with fixed sizes",
            )
    shapes = {name: tuple(size or 0 for size in sizes) for name, sizes in known.items()}
    count = samples_a_call([shape for shape in shapes.values() if len(shape) > 1])  # a few numbers go in as they are
    if count != 1:
        words = ", ".join(f"'{name}' {list(shape)}" for name, shape in shapes.items())
        raise ConfigError(
            f"{path.name} takes {count} samples a call",
            f"{words}: a prediction is for one",
            ONE_SAMPLE,
        )
    for name, shape in shapes.items():
        for dim, size in zip(_dims(inputs[name]), shape, strict=True):
            dim.dim_value = size
    changed = any(list(shape) != said[name] for name, shape in shapes.items())
    if changed:  # what was written down may be of another size
        del model.graph.value_info[:]
        for value in model.graph.output:
            value.type.tensor_type.ClearField("shape")


def _dims(value: "onnx.ValueInfoProto") -> "Sequence[onnx.TensorShapeProto.Dimension]":
    dims: Sequence[onnx.TensorShapeProto.Dimension] = value.type.tensor_type.shape.dim
    return dims


def _work_out(model: "onnx.ModelProto") -> bool:
    """Compute, in place, the operators of shapes whose inputs are known; whether there were any."""
    import onnx

    graph = model.graph
    known: dict[str, Array] = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if prod(tensor.dims) <= _SMALL and tensor.data_location != onnx.TensorProto.EXTERNAL
    }
    shapes = {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in (*graph.input, *graph.value_info)
        if value.type.tensor_type.HasField("shape")
    }
    shapes |= {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    left, found = [], False
    for node in graph.node:
        value = _computed(node, known, shapes, model.opset_import) if len(node.output) == 1 else None
        if value is None:
            left.append(node)
            continue
        known[node.output[0]] = value
        graph.initializer.append(onnx.numpy_helper.from_array(value, node.output[0]))
        found = True
    if found:
        del graph.node[:]
        graph.node.extend(left)
        # What was inferred to be free stays so unless it is inferred anew.
        fixed = [value for value in graph.value_info if all(dim > 0 for dim in shapes.get(value.name, (0,)))]
        del graph.value_info[:]
        graph.value_info.extend(fixed)
    return found


def _computed(
    node: "onnx.NodeProto",
    known: Mapping[str, Array],
    shapes: Mapping[str, Shape],
    opsets: "Iterable[onnx.OperatorSetIdProto]",
) -> Array | None:
    """What a node gives whatever the image; None where it depends on one, is large or is no operator of shapes."""
    if node.op_type not in _OF_SHAPES or node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type in ("Shape", "Size"):
        shape = shapes.get(node.input[0], (0,))
        if any(dim < 1 for dim in shape) or node.attribute:
            return None
        return np.array(shape if node.op_type == "Shape" else prod(shape), dtype=np.int64)
    if any(name and name not in known for name in node.input):
        return None
    if node.op_type == "ConstantOfShape" and not 0 < prod(map(int, known[node.input[0]].ravel())) <= _SMALL:
        return None
    return _run(node, known, opsets)


def _run(
    node: "onnx.NodeProto", known: Mapping[str, Array], opsets: "Iterable[onnx.OperatorSetIdProto]"
) -> Array | None:
    import onnx
    from onnx.reference import ReferenceEvaluator

    names = [name for name in dict.fromkeys(node.input) if name]
    inputs = [
        onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(known[name].dtype), None)
        for name in names
    ]
    output = onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.UNDEFINED, None)
    try:
        single = onnx.helper.make_model(
            onnx.helper.make_graph([node], "one", inputs, [output]), opset_imports=list(opsets)
        )
        (value,) = ReferenceEvaluator(single).run(None, {name: known[name] for name in names})
    except Exception:
        return None
    array = np.asarray(value)
    return array if array.size <= _SMALL and array.dtype != object else None
