"""What a TFLite file shows without being run: operators for which XNNPACK or the hardware has nothing fast.

One function a rule, in one visible order (`RULES`). Each is true of any file, whoever made it.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ofa_edge.export.inspect.findings import Finding, Severity
from ofa_edge.export.inspect.tflite_model import QUANTISED, Model, Operator
from ofa_edge.export.onnx.graph import is_plain_depthwise
from ofa_edge.export.onnx.nodes import Node
from ofa_edge.export.tflite.flatbuffer import SUPPRESSION
from ofa_edge.export.tflite.rewrites.split_depthwise import MAX_TAPS
from ofa_edge.export.tflite.tf_ops.convolutions import same

Rule = Callable[[Model], Iterator[Finding]]
_CONVOLUTIONS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"})
_CONTROL_FLOW = frozenset({"IF", "WHILE", "CALL_ONCE", "STABLEHLO_WHILE"})
_SAME = 0  # of the schema's Padding
_CONVERT = "convert its ONNX file, if there is one, with ofa-edge"


def apply_rules(model: Model) -> tuple[Finding, ...]:
    """Every finding of every rule, in the order of the rules."""
    return tuple(finding for rule in RULES for finding in rule(model))


def _one(code: str, severity: Severity, what: str, fix: str, operators: Sequence[Operator]) -> Iterator[Finding]:
    """One finding for all operators, none where there are none."""
    if operators:
        yield Finding(code, severity, what, fix, tuple(op.label for op in operators))


def large_depthwise(model: Model) -> Iterator[Finding]:
    """XNNPACK has depthwise kernels of 3, 4, 9 and 25 taps; larger ones are delegated to a path without one.

    Of one channel in, several outputs a channel are an ordinary convolution, and XNNPACK runs it as one.
    """
    found: dict[tuple[tuple[int, ...], bool], list[Operator]] = {}
    for op in model.operators:
        if op.name == "DEPTHWISE_CONV_2D" and not (op.inputs[0].shape[-1:] == (1,) and op.inputs[1].shape[3] > 1):
            kernel = op.inputs[1].shape[1:3]
            if kernel[0] * kernel[1] > MAX_TAPS:
                found.setdefault((kernel, _splits(op)), []).append(op)
    for ((height, width), splits), operators in found.items():
        fix = f"{_CONVERT}, which writes odd kernels as an exact sum of parts of at most {MAX_TAPS} taps"
        if not splits:
            fix = (
                "it cannot be split (even, dilated, several outputs a channel, or not padded by half): train with an "
                f"odd kernel of that size padded by half, or with at most {MAX_TAPS} taps"
            )
        yield from _one(
            "depthwise-over-25-taps",
            "fault",
            f"depthwise {height}x{width} ({height * width} taps): XNNPACK has no fast kernel of more than {MAX_TAPS}",
            fix,
            operators,
        )


def _splits(op: Operator) -> bool:
    """Whether `split_depthwise` would take it, as far as the operator shows: pads may be an operator before it."""
    x, weight, options = op.inputs[0], op.inputs[1], op.options
    kernel = weight.shape[1:3]
    strides, dilations = (options.strideH, options.strideW), (options.dilationHFactor, options.dilationWFactor)
    pads = [size // 2 for size in kernel] * 2
    if options.padding == _SAME and x.shape:
        (top, bottom), (left, right) = same(x.shape[1:3], kernel, strides, dilations)
        pads = [top, left, bottom, right]
    channels = x.shape[-1]
    node = Node("Conv", "", (), "", {"group": channels, "pads": pads, "dilations": dilations})
    return is_plain_depthwise(node, np.broadcast_to(np.float32(0), (weight.shape[3], 1, *kernel)))


def int8_hard_swish(model: Model) -> Iterator[Finding]:
    """XNNPACK runs HARD_SWISH in floating point only."""
    hit = [op for op in model.operators if op.name == "HARD_SWISH" and op.inputs and op.inputs[0].kind in QUANTISED]
    what = "quantised HARD_SWISH: XNNPACK does not take it, so each cuts the graph"
    yield from _one("int8-hard-swish", "fault", what, f"{_CONVERT}, which writes it as x * relu6(x + 3)", hit)


def hybrid_depthwise(model: Model) -> Iterator[Finding]:
    """XNNPACK has no depthwise kernel for float activations and int8 weights."""
    hit = [
        op
        for op in model.operators
        if op.name == "DEPTHWISE_CONV_2D" and op.inputs[0].kind == "FLOAT32" and op.inputs[1].kind in QUANTISED
    ]
    what = "depthwise with int8 weights and float activations: XNNPACK does not take it"
    yield from _one("hybrid-depthwise", "fault", what, f"{_CONVERT}, which keeps them float in this precision", hit)


def per_tensor_weights(model: Model) -> Iterator[Finding]:
    """One scale for all channels of a convolution loses the small channels' digits."""
    hit = [
        op
        for op in model.operators
        if op.name in _CONVOLUTIONS
        and op.inputs[1].kind in QUANTISED
        and len(op.inputs[1].scale) == 1
        and op.inputs[1].shape[3 if op.name == "DEPTHWISE_CONV_2D" else 0] > 1
    ]
    what = "quantised convolutions with one scale for all channels: points of accuracy are lost, and no speed is won"
    yield from _one("per-tensor-weights", "fault", what, "convert again with one scale a channel (the default)", hit)


def transposes(model: Model) -> Iterator[Finding]:
    """A network built in NHWC needs none."""
    hit = [op for op in model.operators if op.name == "TRANSPOSE"]
    what = "TRANSPOSE: a converter kept the layout of another framework around these"
    yield from _one("transpose", "warning", what, f"{_CONVERT}, or build the network in NHWC throughout", hit)


def unknown_operators(model: Model) -> Iterator[Finding]:
    """Custom operators run only where the program that loads the file registers them."""
    for name in dict.fromkeys(
        op.name
        for op in model.operators
        if (op.name.startswith("custom ") and op.name != f"custom {SUPPRESSION}") or op.name == "unknown"
    ):
        yield from _one(
            "custom-operator",
            "warning",
            f"{name}: not one of LiteRT's own operators; it runs only where a program brings it, and never in XNNPACK",
            "write the network without it",
            [op for op in model.operators if op.name == name],
        )


def suppression_inside(model: Model) -> Iterator[Finding]:
    """LiteRT has the operator itself, no delegate takes it."""
    yield from _one(
        "suppression-inside",
        "warning",
        f"{SUPPRESSION}: boxes are chosen inside the file. LiteRT's own kernel does it; no delegate takes it, and a "
        "GPU or NPU hands all boxes and scores back for it",
        "build without --suppress inside: boxes are then chosen outside (ofa_edge.data.decoding)",
        [op for op in model.operators if op.name == f"custom {SUPPRESSION}"],
    )


def control_flow(model: Model) -> Iterator[Finding]:
    """Branches and loops are run by LiteRT's interpreter between the parts."""
    hit = [op for op in model.operators if op.name in _CONTROL_FLOW]
    what = f"control flow over {len(model.subgraphs)} subgraphs: each turn leaves XNNPACK and comes back"
    yield from _one("control-flow", "warning", what, "unroll it, or run the parts as models of their own", hit)


def dynamic_shapes(model: Model) -> Iterator[Finding]:
    """XNNPACK plans its memory ahead."""
    hit = [each.name for each in model.subgraphs[0].inputs if any(size < 0 for size in each.shape)]
    if hit:
        what = (
            "inputs of no fixed shape: memory is planned again whenever it changes, and operators may not be delegated"
        )
        fix = "convert with a fixed input shape and batch 1"
        yield Finding("dynamic-shape", "warning", what, fix, tuple(hit))


def float_borders(model: Model) -> Iterator[Finding]:
    """A quantised network that takes or gives floats converts them at each inference."""
    hit = [op for op in model.operators if op.name == "QUANTIZE" and op.inputs and op.inputs[0].kind == "FLOAT32"]
    what = "the quantised part takes floats: QUANTIZE runs at each inference"
    fix = "convert with int8 input and output, and quantise the pixels where they are normalised"
    yield from _one("float-border", "note", what, fix, hit)


def no_metadata(model: Model) -> Iterator[Finding]:
    """Without metadata nobody knows how to normalise an image for this file."""
    if "TFLITE_METADATA" not in model.metadata:
        what = "no metadata: the file does not say how its input is normalised, or what its classes are called"
        yield Finding("no-metadata", "note", what, "write_metadata of ofa_edge.export.tflite.metadata adds it")


RULES: tuple[Rule, ...] = (
    large_depthwise,
    int8_hard_swish,
    hybrid_depthwise,
    per_tensor_weights,
    transposes,
    unknown_operators,
    suppression_inside,
    control_flow,
    dynamic_shapes,
    float_borders,
    no_metadata,
)
