"""Inspection of an ONNX file: what would not convert, and what would convert into something slow."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofa_edge.errors import ModelFileError
from ofa_edge.export.inspect.findings import Finding, Inspection
from ofa_edge.export.onnx.graph import Node, is_plain_depthwise
from ofa_edge.export.tflite.rewrites.split_depthwise import MAX_TAPS
from ofa_edge.export.tflite.tf_ops import BUILDERS

if TYPE_CHECKING:
    import onnx

TESTED_OPSET = 17
_HARD_SWISH_SINCE = 14


def inspect_onnx(path: Path) -> Inspection:
    """Inspect an ONNX file of any origin.

    Raises:
        ModelFileError: it is damaged, or its weights lie in a file that is not there.
    """
    model = _load(path)
    graph = model.graph
    weights = {each.name: tuple(each.dims) for each in graph.initializer}
    nodes = [_node(each, number) for number, each in enumerate(graph.node)]
    opset = max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=0)
    inputs = [each for each in graph.input if each.name not in weights]
    facts = {
        "opset": str(opset),
        "made by": " ".join(filter(None, (model.producer_name, model.producer_version))) or "unknown",
        "inputs": ", ".join(f"{each.name} {_shape_words(each)}" for each in inputs),
        "outputs": ", ".join(f"{each.name} {_shape_words(each)}" for each in graph.output),
        "weights": f"{len(weights)} tensors",
    }
    findings = (
        *_operators(nodes),
        *_shapes(inputs, graph.output),
        *_decomposed_hard_swish(nodes),
        *_depthwise(nodes, weights),
        *_opset(opset),
    )
    counts = dict(Counter(node.op for node in nodes).most_common())
    return Inspection(path.name, "onnx", path.stat().st_size, facts, counts, findings).sorted()


def _load(path: Path) -> "onnx.ModelProto":
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load(path)
        onnx.checker.check_model(path)
    except (DecodeError, onnx.checker.ValidationError, OSError, ValueError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelFileError(
            f"{path.name} is not a valid ONNX file", f"{path}: {lines[0]}", "export the network again"
        ) from error
    return model


def _node(proto: "onnx.NodeProto", number: int) -> Node:
    import onnx

    op = proto.op_type if proto.domain in ("", "ai.onnx") else f"{proto.domain}.{proto.op_type}"
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in proto.attribute}
    return Node(op, proto.name or f"#{number}", tuple(proto.input), proto.output[0] if proto.output else "", attributes)


def _shape_words(value: "onnx.ValueInfoProto") -> str:
    return f"[{', '.join(_dims(value))}]"


def _dims(value: "onnx.ValueInfoProto") -> list[str]:
    return [
        dim.dim_param or (str(dim.dim_value) if dim.dim_value > 0 else "?") for dim in value.type.tensor_type.shape.dim
    ]


def _operators(nodes: list[Node]) -> Iterator[Finding]:
    unfolded = tuple(node.name for node in nodes if node.op == "BatchNormalization")
    if unfolded:
        what = "BatchNormalization is not folded: it would be an operator of its own after each convolution"
        fix = "fold it before the export (torch.nn.utils.fusion.fuse_conv_bn_eval), or run onnxsim over the file"
        yield Finding("batch-norm", "fault", what, fix, unfolded)
    outside: dict[str, list[str]] = {}
    for node in nodes:
        if node.op not in BUILDERS and node.op not in ("Constant", "Split"):
            outside.setdefault(node.op, []).append(node.name)
    for op, names in outside.items():
        what = f"{op} is outside the map to TFLite: ofa-edge refuses to convert it"
        fix = "write the network without it, or add a function for it to ofa_edge/export/tflite/tf_ops"
        yield Finding("unknown-operator", "fault", what, fix, tuple(names))


def _shapes(inputs: "list[onnx.ValueInfoProto]", outputs: Any) -> Iterator[Finding]:
    if len(inputs) != 1 or len(outputs) != 1:
        what = (
            f"{len(inputs)} inputs and {len(outputs)} outputs: an artifact takes one image and gives one row of logits"
        )
        yield Finding("several-inputs", "fault", what, "export the network with one input and one output")
    dynamic = [each.name for each in inputs if not all(size.isdigit() for size in _dims(each))]
    if dynamic:
        what = "inputs of no fixed shape: memory cannot be planned ahead, and ofa-edge refuses to convert it"
        yield Finding("dynamic-shape", "fault", what, "export with a fixed input shape and batch 1", tuple(dynamic))


def _decomposed_hard_swish(nodes: list[Node]) -> Iterator[Finding]:
    """X * HardSigmoid(x), as exporters write HardSwish below opset 14."""
    gates = {node.output: node.inputs[0] for node in nodes if node.op == "HardSigmoid"}
    hit = tuple(
        node.name
        for node in nodes
        if node.op == "Mul" and any(gates.get(gate) == value for gate, value in (node.inputs[:2], node.inputs[1::-1]))
    )
    if hit:
        what = "HardSwish written as x * HardSigmoid(x): in fp32 it becomes three operators in place of HARD_SWISH"
        yield Finding("decomposed-hard-swish", "warning", what, f"export at opset {TESTED_OPSET}", hit)


def _depthwise(nodes: list[Node], weights: dict[str, tuple[int, ...]]) -> Iterator[Finding]:
    import numpy as np

    split: list[str] = []
    whole: list[str] = []
    even: list[str] = []
    for node in nodes:
        shape = weights.get(node.inputs[1], ()) if node.op == "Conv" and len(node.inputs) > 1 else ()
        if len(shape) != 4 or shape[1] != 1 or node.attributes.get("group", 1) == 1:
            continue
        if not shape[2] % 2 or not shape[3] % 2:
            even.append(node.name)
        if shape[2] * shape[3] > MAX_TAPS:
            stand_in = np.broadcast_to(np.float32(0), shape)
            (split if is_plain_depthwise(node, stand_in) else whole).append(node.name)
    if split:
        what = (
            f"depthwise kernels of more than {MAX_TAPS} taps: ofa-edge splits them, a plain converter leaves them slow"
        )
        yield Finding("depthwise-over-25-taps", "note", what, "convert with ofa-edge build", tuple(split))
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


def _opset(opset: int) -> Iterator[Finding]:
    if opset < _HARD_SWISH_SINCE:
        what = f"opset {opset} is older than HardSwish ({_HARD_SWISH_SINCE}); exporters write it in pieces"
        yield Finding("old-opset", "warning", what, f"export at opset {TESTED_OPSET}")
    elif opset > TESTED_OPSET:
        what = f"opset {opset} is newer than what is tested here ({TESTED_OPSET})"
        yield Finding("new-opset", "note", what, f"export at opset {TESTED_OPSET} if the conversion fails")
