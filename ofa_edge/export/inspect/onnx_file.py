"""Inspection of an ONNX file: what would not convert, and what would convert into something slow."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofa_edge.errors import ConversionError
from ofa_edge.export.inspect.as_built import AsBuilt, as_built
from ofa_edge.export.inspect.findings import Finding, Inspection
from ofa_edge.export.inspect.onnx_profile import profile_onnx
from ofa_edge.export.onnx.graph import is_plain_depthwise, read_interface, read_nodes
from ofa_edge.export.onnx.load import bytes_of, load_model, opset_of, tensors
from ofa_edge.export.onnx.nodes import Node
from ofa_edge.export.tflite.rewrites.split_depthwise import MAX_TAPS
from ofa_edge.export.tflite.tf_ops import BUILDERS
from ofa_edge.export.tflite.trial import Trial, try_nodes
from ofa_edge.onnx_weights import graphs

if TYPE_CHECKING:
    import onnx

Ask = Callable[[Sequence[Path]], tuple[Trial, ...]]
_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


def inspect_onnx(path: Path, profile: bool = False, ask: Ask = try_nodes, shape: str | None = None) -> Inspection:
    """Inspect an ONNX file of any origin, as a build would convert it.

    Where its sizes are known, findings are about the file that a build prepares (see `as_built`); else about itself.
    Weights in data files are counted; they are read where the file is prepared, and for a profile.

    Args:
        path: the file.
        profile: also time each node, in ONNX Runtime on this machine.
        ask: which nodes do not convert.
        shape: of its inputs where it leaves sizes free, as `read_given` takes it.

    Raises:
        ConfigError: shapes that do not fit, or not all of those that are free.
        ModelFileError: it is damaged or newer than the installed onnx, or its weights lie where they are not read.
        ConversionError: the process that tries its nodes ended unexpectedly.
    """
    loaded = load_model(path, weights=False)
    model, outside = loaded.model, loaded.data_files
    facts = _facts(model, outside)
    with tempfile.TemporaryDirectory(prefix="ofa-edge-inspect-") as folder:
        built = as_built(path, loaded, shape, Path(folder))
        judged = model if built.path is None else load_model(built.path, strict=False).model
        (trial,) = ask([path if built.path is None else built.path])
    nodes, constants = read_nodes(judged, {}, lambda _: None)
    findings = (
        *built.findings,
        *_conversion(trial, built, judged.graph),
        *(() if built.findings else _interface(judged, constants.keys(), path.name)),
        *_batch_norms(nodes),
        *_depthwise(nodes, {name: tuple(each.shape) for name, each in constants.items()}),
    )
    if built.path is not None:
        left = Counter(map(_operator, judged.graph.node))
        facts["as built"] = "; ".join(filter(None, (_counted(left), built.said)))
    elif built.said:
        facts["as built"] = built.said
    inside = list(graphs(model.graph))
    counts = Counter(_operator(node) for graph in inside for node in graph.node)
    if len(inside) > 1:
        facts["bodies"] = f"{len(inside) - 1} of branches and loops; their operators are counted too"
    ms: Mapping[str, float] = {}
    if profile:
        measured = profile_onnx(path, built.shapes)
        ms = measured.ms
        facts["profile"] = (
            f"{sum(ms.values()):.3f} ms in {len(ms)} nodes; the whole: {measured.whole_ms:.3f} ms (ONNX Runtime, "
            "unoptimised, one thread)"
        )
    size = path.stat().st_size + sum(outside.values())
    return Inspection(path.name, "onnx", size, facts, dict(counts.most_common()), findings, ms).sorted()


def _operator(node: "onnx.NodeProto") -> str:
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def _counted(operators: "Counter[str]") -> str:
    each = ", ".join(f"{name} {count}" for name, count in operators.most_common())
    return f"{operators.total()} operator{'' if operators.total() == 1 else 's'}: {each}"


def _facts(model: "onnx.ModelProto", outside: Mapping[Path, int]) -> dict[str, str]:
    graph = model.graph
    constants = {each.name for each in graph.initializer}
    held = list(tensors(graph))
    facts = {
        "opset": str(opset_of(model)),
        "made by": " ".join(filter(None, (model.producer_name, model.producer_version))) or "unknown",
        "inputs": ", ".join(_words(each) for each in graph.input if each.name not in constants),
        "outputs": ", ".join(map(_words, graph.output)),
        "weights": f"{len(held)} tensor{'' if len(held) == 1 else 's'}, {sum(map(bytes_of, held)):,} bytes",
    }
    if outside:
        facts["data files"] = ", ".join(f"{file.name} {size:,} bytes" for file, size in outside.items())
    return facts


def _words(value: "onnx.ValueInfoProto") -> str:
    return f"{value.name} [{', '.join(_dims(value))}]"


def _dims(value: "onnx.ValueInfoProto") -> list[str]:
    return [
        str(dim.dim_param or (dim.dim_value if dim.dim_value > 0 else "?"))  # bytes where it is no text
        for dim in value.type.tensor_type.shape.dim
    ]


def _conversion(trial: Trial, built: AsBuilt, graph: "onnx.GraphProto") -> Iterator[Finding]:
    """What the converter's own functions said of each node."""
    refused: dict[tuple[str, str, str], list[str]] = {}
    waiting = list(trial.untried)
    for each in trial.refused:
        if built.path is None and each.mendable:
            waiting.append(each.node)
        else:
            refused.setdefault((each.op, each.why, each.hint), []).append(each.node)
    for (op, why, hint), names in refused.items():
        code = "node-not-convertible" if op in BUILDERS else "unknown-operator"
        yield Finding(code, "fault", f"{op} does not convert to TFLite: {why}", hint, tuple(names))
    if waiting and built.free:
        there = {each.name or f"#{number}" for number, each in enumerate(graph.node)}
        parts = {name: name.rpartition("/")[0] for name in waiting if name not in there}  # of a Split
        count = len({parts[name] if parts.get(name) in there else name for name in waiting})
        what = f"not tried whether {count} of {len(graph.node)} operators convert: that follows from the sizes"
        yield Finding("not-tried", "warning", what, "give them, as it says at free sizes")
    elif waiting:
        what = "not tried whether these convert: the sizes of what they read are not known"
        yield Finding("not-tried", "warning", what, "mend what else is found here", tuple(waiting))
    if not trial.tried:
        what = "not tried whether its nodes convert to TFLite: TensorFlow, which is asked, is not installed"
        yield Finding("not-tried", "warning", what, "pip install tensorflow-cpu")


def _interface(model: "onnx.ModelProto", constants: Any, name: str) -> Iterator[Finding]:
    try:
        read_interface(model, constants, name)
    except ConversionError as error:
        yield Finding("interface", "fault", f"{error.what}: {error.why}", error.hint)


def _batch_norms(nodes: Sequence[Node]) -> Iterator[Finding]:
    """The converter folds one into the layer in front of it, where nothing else reads that."""
    readers = Counter(name for node in nodes for name in node.inputs)
    makers = {node.output: node.op for node in nodes}
    left = tuple(
        node.name
        for node in nodes
        if node.op == "BatchNormalization"
        and not (makers.get(node.inputs[0]) in _WEIGHTED and readers[node.inputs[0]] == 1)
    )
    if left:
        what = "BatchNormalization that no layer in front of it can take in: each costs a MUL and an ADD"
        yield Finding("batch-norm", "warning", what, "put it directly behind a convolution", left)


def _depthwise(nodes: Sequence[Node], shapes: Mapping[str, tuple[int, ...]]) -> Iterator[Finding]:
    import numpy as np

    split: list[str] = []
    whole: list[str] = []
    even: list[str] = []
    for node in nodes:
        shape = shapes.get(node.inputs[1], ()) if node.op == "Conv" and len(node.inputs) > 1 else ()
        if len(shape) != 4 or shape[1] != 1 or node.attributes.get("group", 1) == 1:
            continue
        if not shape[2] % 2 or not shape[3] % 2:
            even.append(node.name)
        if shape[2] * shape[3] > MAX_TAPS:
            stand_in = np.broadcast_to(np.float32(0), shape)
            (split if is_plain_depthwise(node, stand_in) else whole).append(node.name)
    if split:
        what = f"depthwise kernels of more than {MAX_TAPS} taps: slow as they are; our conversion to TFLite splits them"
        fix = "nothing, where ofa-edge converts the file; else train with smaller kernels"
        yield Finding("depthwise-over-25-taps", "note", what, fix, tuple(split))
    if whole:
        what = (
            f"depthwise kernels of more than {MAX_TAPS} taps that cannot be split (even, dilated, several outputs a "
            "channel, or not padded by half): XNNPACK has no fast kernel for them"
        )
        fix = "use odd kernels padded by half, or smaller ones"
        yield Finding("depthwise-not-splittable", "fault", what, fix, tuple(whole))
    if even:
        what = "depthwise kernels of even size: their padding is not symmetric, so a PAD may stand before each"
        yield Finding("even-kernel", "note", what, "odd kernels cost less for the same reach", tuple(even))
