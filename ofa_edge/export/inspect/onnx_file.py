"""Inspection of an ONNX file: what would not convert, and what would convert into something slow."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofa_edge.errors import ConversionError
from ofa_edge.export.inspect.findings import Finding, Inspection
from ofa_edge.export.inspect.onnx_profile import profile_onnx
from ofa_edge.export.onnx.graph import is_plain_depthwise, read_interface, read_nodes
from ofa_edge.export.onnx.load import bytes_of, graphs, load_model, opset_of, tensors
from ofa_edge.export.onnx.nodes import Node
from ofa_edge.export.tflite.rewrites.split_depthwise import MAX_TAPS
from ofa_edge.export.tflite.tf_ops import BUILDERS
from ofa_edge.export.tflite.trial import Trial, try_nodes
from ofa_edge.shapes import known_sizes, shape_example
from ofa_edge.shown import pasteable

if TYPE_CHECKING:
    import onnx

Ask = Callable[[Sequence[Path]], tuple[Trial, ...]]
_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


def inspect_onnx(path: Path, profile: bool = False, ask: Ask = try_nodes) -> Inspection:
    """Inspect an ONNX file of any origin. Weights in data files are counted, and read for a profile alone.

    Args:
        path: the file.
        profile: also time each node, in ONNX Runtime on this machine.
        ask: which nodes do not convert.

    Raises:
        ModelFileError: it is damaged or newer than the installed onnx, or its weights lie where they are not read.
        ConversionError: the process that tries its nodes ended unexpectedly.
    """
    loaded = load_model(path, weights=False)
    model, outside = loaded.model, loaded.data_files
    nodes, constants = read_nodes(model, {}, lambda _: None)
    facts = _facts(model, constants.keys(), outside)
    (trial,) = ask([path])
    findings = (
        *_conversion(trial),
        *_interface(model, constants.keys(), path.name),
        *_batch_norms(nodes),
        *_depthwise(nodes, {name: tuple(each.shape) for name, each in constants.items()}),
    )
    inside = list(graphs(model.graph))
    counts = Counter(_operator(node) for graph in inside for node in graph.node)
    if len(inside) > 1:
        facts["bodies"] = f"{len(inside) - 1} of branches and loops; their operators are counted too"
    ms: Mapping[str, float] = {}
    if profile:
        measured = profile_onnx(path)
        ms = measured.ms
        facts["profile"] = (
            f"{sum(ms.values()):.3f} ms in {len(ms)} nodes; the whole: {measured.whole_ms:.3f} ms (ONNX Runtime, "
            "unoptimised, one thread)"
        )
    size = path.stat().st_size + sum(outside.values())
    return Inspection(path.name, "onnx", size, facts, dict(counts.most_common()), findings, ms).sorted()


def _operator(node: "onnx.NodeProto") -> str:
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def _facts(model: "onnx.ModelProto", constants: Any, outside: Mapping[Path, int]) -> dict[str, str]:
    graph = model.graph
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
        dim.dim_param or (str(dim.dim_value) if dim.dim_value > 0 else "?") for dim in value.type.tensor_type.shape.dim
    ]


def _conversion(trial: Trial) -> Iterator[Finding]:
    """What the converter's own functions said of each node."""
    refused: dict[tuple[str, str, str], list[str]] = {}
    for each in trial.refused:
        refused.setdefault((each.op, each.why, each.hint), []).append(each.node)
    for (op, why, hint), names in refused.items():
        code = "node-not-convertible" if op in BUILDERS else "unknown-operator"
        yield Finding(code, "fault", f"{op} does not convert to TFLite: {why}", hint, tuple(names))
    if trial.untried:
        what = "not tried whether these convert: the sizes of what they read are not known"
        fix = "mend what stands above, give the file fixed shapes, or run onnxsim over it"
        yield Finding("not-tried", "warning", what, fix, trial.untried)
    if not trial.tried:
        what = "not tried whether its nodes convert to TFLite: TensorFlow, which is asked, is not installed"
        yield Finding("not-tried", "warning", what, "pip install tensorflow-cpu")


def _interface(model: "onnx.ModelProto", constants: Any, name: str) -> Iterator[Finding]:
    free = [each for each in model.graph.input if each.name not in constants and not all(map(str.isdigit, _dims(each)))]
    if free:
        what = "inputs with free sizes: a conversion to TFLite, which plans its memory ahead, needs a number for each"
        said = {each.name: [int(dim) if dim.isdigit() else dim for dim in _dims(each)] for each in free}
        first, sizes = next(iter(known_sizes(said, {}).items()))
        shape = shape_example(sizes).replace("x", ",")
        fix = "python -m onnxruntime.tools.make_dynamic_shape_fixed "
        fix += pasteable("--input_name", first, "--input_shape", shape, "OLD", "NEW")
        yield Finding("dynamic-shape", "warning", what, fix, tuple(map(_words, free)))
        for dim in (dim for each in free for dim in each.type.tensor_type.shape.dim):
            dim.dim_value = max(dim.dim_value, 1)
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
