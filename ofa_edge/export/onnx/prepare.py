"""A given ONNX file as the one that everything is made from: float32 inputs of fixed shape, images as [1, C, H, W].

It is simplified and stripped as our own exports are. Whether its answers are still the file's is for the parity ladder
to say, which runs both. onnxsim runs in a process of its own, forked from one that has imported it.
"""

import json
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ofa_edge.errors import ConversionError
from ofa_edge.export.forked import run_forked
from ofa_edge.export.onnx.given import Given
from ofa_edge.export.onnx.given_inputs import values_read
from ofa_edge.export.onnx.graph import input_cast
from ofa_edge.export.onnx.load import opset_of, tensors
from ofa_edge.export.onnx.pieces import Piece, expose_pieces
from ofa_edge.export.onnx.strip import strip
from ofa_edge.export.onnx.unshare import unshare_steps
from ofa_edge.export.process import WorkerDiedError, reported, result_of
from ofa_edge.files import write_bytes
from ofa_edge.onnx_weights import graphs, lift_constants

if TYPE_CHECKING:
    import onnx

OPSET = 17  # what files of opsets without today's forms of their operators are raised to
_OLD = 13  # the first with axes as inputs throughout
_SIMPLIFIER = "ofa_edge.export.onnx.simplifier"
_HINT = "--runtime onnxruntime with another export of the network, or report it with the file"


def prepare(given: Given, out: Path, pieces: Sequence[Piece] = ()) -> tuple[str, ...]:
    """Write the prepared file; what was done to get it, a few words each.

    Args:
        given: the file.
        out: where to write.
        pieces: of its one output, where they are to be the outputs (see `pieces`).

    Raises:
        ConversionError: onnxsim crashed, or made a file that ONNX refuses.
    """
    try:
        arguments = [str(given.path), str(out), json.dumps(_facts(given, pieces))]
        return tuple(result_of(run_forked(_SIMPLIFIER, __name__, arguments, {})))
    except WorkerDiedError as error:
        raise ConversionError(
            f"preparing {given.path.name} ended unexpectedly", str(error), error.hint or _HINT
        ) from error


def prepare_here(given: Given, out: Path) -> tuple[str, ...]:
    """The same in this process, for what is looked at and not shipped: nodes without a name are named as in the file.

    Raises:
        ConversionError: onnxsim made a file that ONNX refuses.
    """
    return tuple(_work(given.path, out, json.loads(json.dumps(_facts(given, ()))), named=True))


def _facts(given: Given, pieces: Sequence[Piece]) -> dict[str, Any]:
    return {
        "inputs": [{"name": each.name, "given_shape": each.given_shape, "nhwc": each.nhwc} for each in given.inputs],
        "idle": {each.name: each.given_shape for each in given.all_inputs if not each.read},
        "outputs": [each.name for each in pieces] or given.outputs,
        "output_shapes": [each.shape for each in pieces] or given.output_shapes,
        "whole": given.outputs[0],
        "pieces": [each.to_json() for each in pieces],
    }


def _work(source: Path, out: Path, facts: dict[str, Any], *, named: bool = False) -> list[str]:
    import onnx

    model, done = onnx.load(source), list[str]()
    for number, node in enumerate(model.graph.node if named else ()):
        node.name = node.name or f"#{number}"
    if facts["pieces"]:
        expose_pieces(model.graph, facts["pieces"])
        done.append(f"'{facts['whole']}' given in {len(facts['pieces'])} pieces, each with int8 steps of its own")
    else:
        _keep_outputs(model.graph, facts["outputs"], done)
    _raise_opset(model, done)
    _floats(model.graph, done)
    for each in facts["inputs"]:
        _fix_input(model.graph, each, "" if len(facts["inputs"]) == 1 else f" '{each['name']}'", done)
    for value in (each for each in model.graph.input if each.name in facts["idle"]):  # its shape may be asked for
        kind, shape = value.type.tensor_type.elem_type, facts["idle"][value.name]
        value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, kind, shape))
    model = _simplified(model, done)
    _keep_inputs(model.graph, [each["name"] for each in facts["inputs"]], done)
    lift_constants(model)
    unshare_steps(model.graph)
    for name, shape in zip(facts["outputs"], facts["output_shapes"], strict=True):
        _fix_output(model.graph, name, shape)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        first = str(error).strip().splitlines()[0]
        raise ConversionError(f"{source.name} became invalid when it was prepared", first, _HINT) from error
    write_bytes(out, strip(model).SerializeToString(deterministic=True))
    return done


def _keep_outputs(graph: "onnx.GraphProto", names: Collection[str], done: list[str]) -> None:
    """Only the outputs that count; nodes for others go when the graph is simplified."""
    others = [each.name for each in graph.output if each.name not in names]
    if others:
        kept = [each for each in graph.output if each.name in names]
        del graph.output[:]
        graph.output.extend(kept)
        done.append(f"outputs left out: {', '.join(others)}")


def _raise_opset(model: "onnx.ModelProto", done: list[str]) -> None:
    """Old opsets have attributes where newer ones have inputs, and what reads new ones drops them without a word."""
    import onnx

    version = opset_of(model)
    if version >= _OLD:
        return
    try:
        model.CopyFrom(onnx.version_converter.convert_version(model, OPSET))
    except (RuntimeError, ValueError, onnx.onnx_cpp2py_export.version_converter.ConvertError) as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        done.append(f"opset {version} kept: {first}")
        return
    done.append(f"opset {version} raised to {OPSET}")


def _floats(graph: "onnx.GraphProto", done: list[str]) -> None:
    """Every float16, bfloat16 and float64 as float32: the precision of an artifact is chosen, not inherited."""
    from onnx import TensorProto, numpy_helper

    others: dict[int, str] = {
        TensorProto.FLOAT16: "float16",
        TensorProto.BFLOAT16: "bfloat16",
        TensorProto.DOUBLE: "float64",
    }
    found = set[str]()
    for tensor in tensors(graph):
        if tensor.data_type in others:
            found.add(others[tensor.data_type])
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    for inner in graphs(graph):
        del inner.value_info[:]
        for value in (*inner.input, *inner.output):
            kind = value.type.tensor_type
            if kind.elem_type in others:
                found.add(others[kind.elem_type])
                kind.elem_type = TensorProto.FLOAT
        for node in inner.node:
            for attribute in node.attribute:
                if attribute.name in ("to", "dtype") and attribute.i in others:
                    attribute.i = TensorProto.FLOAT
    if found:
        done.append(f"{' and '.join(sorted(found))} made float32")


def _keep_inputs(graph: "onnx.GraphProto", names: Collection[str], done: list[str]) -> None:
    """Only the inputs that the outputs depend on. Raises ConversionError where fewer were left than were found."""
    weights = {each.name for each in graph.initializer}
    read = values_read(graph, [each.name for each in graph.output])
    idle = [name for name in names if name not in read]
    if idle:
        why = f"once the graph is simplified nothing reads '{idle[0]}'"
        raise ConversionError("an input that changes no answer", why, "export the network without it")
    others = [each for each in graph.input if each.name not in names and each.name not in weights]
    for each in others:
        graph.input.remove(each)
    for node in [node for node in graph.node if others and not read.intersection(node.output)]:
        graph.node.remove(node)
    if others:
        done.append(f"inputs left out, as nothing reads them: {', '.join(each.name for each in others)}")


def _fix_input(graph: "onnx.GraphProto", facts: dict[str, Any], whose: str, done: list[str]) -> None:
    """A float32 input of fixed shape; images as [1, C, H, W]. `whose`: its name behind a space, or nothing."""
    from onnx import TensorProto, helper

    name, shape = facts["name"], facts["given_shape"]
    value = next(each for each in graph.input if each.name == name)
    kind = value.type.tensor_type
    integers = kind.elem_type != TensorProto.FLOAT
    if [each.dim_value for each in kind.shape.dim] != shape:
        done.append(f"input{whose} fixed to {shape}")
    if not integers and not facts["nhwc"]:
        value.CopyFrom(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return
    front, source = [], name
    inner = f"{name}/given"
    if facts["nhwc"]:
        target = inner if not integers else f"{name}/nhwc"
        front.append(helper.make_node("Transpose", [source], [target], f"{name}/transpose", perm=[0, 2, 3, 1]))
        shape, source = [shape[0], shape[3], shape[1], shape[2]], target
        done.append(f"images{whose} go in as [1, C, H, W]")
    if integers:
        front.append(helper.make_node("Cast", [source], [inner], input_cast(name), to=kind.elem_type))
        done.append(f"input{whose} of {TensorProto.DataType.Name(kind.elem_type).lower()} taken as float32")
    for node in graph.node:
        for place, each in enumerate(node.input):
            if each == name:
                node.input[place] = inner
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*front, *nodes])
    value.CopyFrom(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))


def _simplified(model: "onnx.ModelProto", done: list[str]) -> "onnx.ModelProto":
    from ofa_edge.export.onnx.simplifier import simplify

    try:
        simplified, _ = simplify(model)
    except MemoryError:
        raise
    except Exception as error:  # its own classes, protobuf's, and plain RuntimeError
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        done.append(f"not simplified: {first}")
        return model
    made: onnx.ModelProto = simplified
    return made


def _fix_output(graph: "onnx.GraphProto", name: str, shape: list[int]) -> None:
    """An output's shape as it was seen, where the file leaves it open; as float32."""
    from onnx import TensorProto, helper

    value = next(each for each in graph.output if each.name == name)
    kind = value.type.tensor_type.elem_type
    value.CopyFrom(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    if kind == TensorProto.FLOAT:
        return
    inner = f"{name}/given"
    for node in graph.node:
        for names in (node.input, node.output):
            for place, each in enumerate(names):
                if each == name:
                    names[place] = inner
    graph.node.append(helper.make_node("Cast", [inner], [name], f"{name}/cast", to=TensorProto.FLOAT))


def main(arguments: list[str]) -> int:
    """A worker's: the file, where to write, and facts as JSON."""
    source, out, facts = arguments
    return reported(lambda: _work(Path(source), Path(out), json.loads(facts)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
