"""Parts of an ONNX file: some of its nodes as a file of their own, and the values between them."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.onnx.folded import reference
from ofa_edge.export.onnx.graph import original
from ofa_edge.export.onnx.load import array_of, load_model
from ofa_edge.export.onnx.run import feeds
from ofa_edge.files import write_bytes

_EXPONENTIALS = ("Sigmoid", "Softmax", "LogSoftmax", "Exp", "Tanh", "Softplus", "Elu", "Selu")


def save_part(path: Path, outputs: Collection[str], out: Path) -> bool:
    """Write the nodes of a model that give `outputs`, with their weights, as a model of its own.

    Args:
        path: the whole model.
        outputs: names; one that a rewrite of ours made stands for the value that it was made from ("NAME/...").
        out: the file to write; its folder is made.

    Returns:
        Whether it was written: not where no node gives such an output, or the shape of one of its inputs is not known.

    Raises:
        OutputError: `out` cannot be written.
    """
    import onnx

    model = onnx.shape_inference.infer_shapes(load_model(path).model)
    graph = model.graph
    there = [name for node in graph.node for name in node.output]
    wanted = {original(name, there) for name in outputs}
    inside = [node for node in graph.node if wanted.intersection(node.output)]
    constants = {each.name: each for each in graph.initializer}
    fixed = {name: node for node in graph.node if not any(node.input) for name in node.output}
    made = {name for node in inside for name in node.output if name}
    reads = list(dict.fromkeys(name for node in inside for name in node.input if name and name not in made))
    weights = [fixed[name] for name in reads if name in fixed]
    known = {each.name: each for each in (*graph.value_info, *graph.input, *graph.output)}
    inputs = [name for name in reads if name not in constants and name not in fixed]
    read = {name for node in inside for name in node.input}
    results = [name for name in made if name not in read]
    if not inside or not all(name in known for name in (*inputs, *results)):
        return False
    part = onnx.helper.make_graph(
        [*weights, *inside],
        "part",
        [known[name] for name in inputs],
        [known[name] for name in sorted(results)],
        [constants[name] for name in reads if name in constants],
    )
    whole = onnx.helper.make_model(part, opset_imports=model.opset_import, ir_version=model.ir_version)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, whole.SerializeToString())
    return True


def run_values(path: Path, names: Sequence[str], image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """What ONNX Runtime computes for the values of these names that are floats, on one image (see `run.run_onnx`)."""
    import onnx
    import onnxruntime

    model = load_model(path).model
    there = {name for node in model.graph.node for name in node.output}
    asked = [name for name in dict.fromkeys(names) if name in there]
    if not asked:  # ONNX Runtime would take that for all outputs
        return {}
    given = {each.name for each in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in asked if name not in given)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found: list[Any] = session.run(asked, next(feeds(session, image)))
    return {name: value for name, value in zip(asked, found, strict=True) if value.dtype == np.float32}


def exact_answer(path: Path, image: NDArray[np.float32], *, quick: bool = False) -> NDArray[np.float32] | None:
    """A model's answer, in a row, with its last node in float64, by ONNX's own reference; None where that is not had.

    ONNX Runtime's exponentials are right to 1e-7 of 1, not of themselves: a sigmoid of -15 is noise. `quick`: of those
    alone, since the reference takes its time over a convolution.
    """
    model = load_model(path).model
    output = model.graph.output[0].name
    last = next((node for node in model.graph.node if output in node.output), None)
    if last is None or len(last.output) != 1 or len(model.graph.output) != 1:
        return None
    if quick and last.op_type not in _EXPONENTIALS:
        return None
    values = {each.name: array_of(each) for each in model.graph.initializer if each.name in last.input}
    if len(entries := [each.name for each in model.graph.input if each.name not in values]) == 1:
        values[entries[0]] = image
    values |= run_values(path, [name for name in last.input if name not in values], image)
    if not all(name in values for name in last.input if name):
        return None
    wide = {name: each.astype(np.float64) if each.dtype == np.float32 else each for name, each in values.items()}
    found = reference(model, last, wide)
    return None if found is None else found.astype(np.float32).reshape(1, -1)
