"""What the scales of a quantised TFLite file say: real ranges, scales that hold nothing, and tensors that do not fit.

real = (stored - zero) * scale. Conditions are those that LiteRT's and XNNPACK's own code checks, or silently relies on:
a bias has the product of its input's and weights' scales (tensorflow/lite/kernels/kernel_util.cc, 2 % of the output's);
softmax and friends have one fixed scale (kernels/activations.cc); XNNPACK's requantisation takes factors from 2^-32 to
256; operators that move values do not look at scales at all.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.inspect.findings import Finding, Severity
from ofa_edge.export.inspect.tflite_model import LAYERS, QUANTISED, Model, Operator, Tensor
from ofa_edge.records.interface import PictureRecord, TensorRecord

LIMITS = {
    "INT8": (-128, 127),
    "UINT8": (0, 255),
    "INT4": (-8, 7),
    "INT16": (-32768, 32767),
    "INT32": (-(2**31), 2**31 - 1),
}
_NORMAL = float(np.finfo(np.float32).tiny)  # smaller ones are denormal: many cores flush them to zero
_WIDEST = 1e5  # between the channels of one tensor: beyond it the least one is dead, or the greatest an accident
_BIAS_SLACK = 0.02  # of the output's scale, as LiteRT asks
_LEAST_FACTOR, _MOST_FACTOR = 2.0**-32, 256.0
_MOVES = frozenset(
    {
        "RESHAPE",
        "SQUEEZE",
        "EXPAND_DIMS",
        "TRANSPOSE",
        "SLICE",
        "STRIDED_SLICE",
        "GATHER",
        "SPLIT",
        "SPACE_TO_DEPTH",
        "DEPTH_TO_SPACE",
        "MAX_POOL_2D",
        "RESIZE_NEAREST_NEIGHBOR",
        "TILE",
        "REVERSE_V2",
    }
)
# The scale and the zero points of int8 and uint8 that LiteRT's kernels have built in.
_FIXED = {"SOFTMAX": (1 / 256, -128, 0), "LOGISTIC": (1 / 256, -128, 0), "TANH": (1 / 128, 0, 128)}
_WORST = 5
_COVERED = 1.5  # steps by which a range may miss what the interface promises: it and its step were rounded
_CUT = 0.1  # of the pixels' range: less are the brightest and darkest that no calibration image had
_FULL = 0.25  # of the steps used: less loses two bits


def real_range(tensor: Tensor) -> tuple[float, float] | None:
    """The least and the largest value that a tensor with one scale can hold; None of any other."""
    limits = LIMITS.get(tensor.kind)
    if limits is None or len(tensor.scale) != 1:
        return None
    zero = tensor.zero[0] if tensor.zero else 0
    return (limits[0] - zero) * tensor.scale[0], (limits[1] - zero) * tensor.scale[0]


def range_words(tensor: Tensor) -> str:
    """`-2.1 to 2.6 in steps of 0.0186`; "" of what has no range."""
    found = real_range(tensor)
    return "" if found is None else f", {found[0]:.4g} to {found[1]:.4g} in steps of {tensor.scale[0]:.4g}"


def worst_layers(model: Model) -> str:
    """The layers whose channels' weights differ most in range, the worst first: there steps are coarsest."""
    ranked = []
    for op in model.operators:
        if op.name in LAYERS and op.inputs[1].kind in QUANTISED:
            scale = [each for each in op.inputs[1].scale if math.isfinite(each) and each > 0]
            if len(scale) > 1:
                ranked.append((max(scale) / min(scale), op.label))
    ranked.sort(key=lambda each: -each[0])
    return "; ".join(f"{label}: {ratio:,.1f} times" for ratio, label in ranked[:_WORST])


def range_findings(model: Model, promised: Sequence[TensorRecord] = ()) -> tuple[Finding, ...]:
    """All that scales show; `promised`: the inputs of the interface that came with the file, if any."""
    rules = (_degenerate, _unequal, _zeros, _biases, _factors, _moves, _fixed)
    found = [finding for rule in rules for finding in rule(model)]
    return (*found, *_interface(model, promised))


def _tensors(model: Model) -> Iterator[tuple[str, Tensor]]:
    """Every tensor that an operator gives or reads, once, and how a finding names it."""
    seen: set[int] = set()
    for op in model.operators:
        for tensor in (*op.outputs, *op.inputs):
            if id(tensor) not in seen:
                seen.add(id(tensor))
                yield f"{op.label}: {tensor.name}", tensor
    for graph in model.subgraphs:
        for tensor in (*graph.inputs, *graph.outputs):
            if id(tensor) not in seen:
                seen.add(id(tensor))
                yield tensor.name, tensor


def _degenerate(model: Model) -> Iterator[Finding]:
    hit = [
        name
        for name, tensor in _tensors(model)
        if any(not math.isfinite(each) or each < _NORMAL for each in tensor.scale)
    ]
    if hit:
        what = "scales of zero, below zero, denormal or not finite: these tensors hold nothing but one value"
        fix = "calibrate again, on images that reach these layers; or mend what divides by zero in training"
        yield Finding("degenerate-scale", "fault", what, fix, tuple(hit))


def _unequal(model: Model) -> Iterator[Finding]:
    wide, equal = [], []
    for name, tensor in _tensors(model):
        scale = np.asarray(tensor.scale)
        if len(scale) < 2 or not np.isfinite(scale).all() or scale.min() < _NORMAL:
            continue
        if tensor.kind in QUANTISED and scale.min() == scale.max() and not tensor.uniform:
            equal.append(name)
        if scale.max() > _WIDEST * scale.min():
            wide.append(name)
    if wide:
        what = (
            f"channels of one tensor whose scales differ {_WIDEST:,.0f} times and more: some are dead, or one is wild"
        )
        fix = "prune channels of no weight; fold batch norms of tiny variance; equalise the layers"
        yield Finding("scale-ratio", "warning", what, fix, tuple(wide))
    if equal:
        what = "one scale for each channel, and all of them equal: the channels were never looked at one by one"
        yield Finding(
            "equal-scales", "warning", what, "convert again with scales of each channel's own range", tuple(equal)
        )


def _zeros(model: Model) -> Iterator[Finding]:
    def outside(tensor: Tensor) -> bool:
        low, high = LIMITS.get(tensor.kind, (-math.inf, math.inf))
        return bool(tensor.scale) and any(not low <= zero <= high for zero in tensor.zero)

    hit = tuple(name for name, tensor in _tensors(model) if outside(tensor))
    if hit:
        what = "zero points that the type cannot store: real zero, and with it padding, is not representable"
        yield Finding("zero-point", "fault", what, "convert again: a range has to contain zero", hit)


def _scales(op: Operator) -> tuple[NDArray[np.float64], NDArray[np.float64], float] | None:
    """Of a quantised layer: the products of its input's and weights' scales, its bias's, its output's."""
    if op.name not in LAYERS:
        return None
    first, *_ = LAYERS[op.name]
    source, weights, sink = op.inputs[first], op.inputs[1], op.outputs[0]
    if any(each.kind not in LIMITS or not each.scale for each in (source, weights, sink)):
        return None
    if len(source.scale) != 1 or len(sink.scale) != 1 or not 0 < sink.scale[0] < math.inf:
        return None
    bias = op.inputs[3 if first else 2 :][:1]  # none, or one
    with np.errstate(all="ignore"):
        products = np.asarray(source.scale) * np.asarray(weights.scale)
    return products, np.asarray(bias[0].scale if bias else ()), sink.scale[0]


def _biases(model: Model) -> Iterator[Finding]:
    hit = []
    for op in model.operators:
        found = _scales(op)
        if found is None or not len(found[1]):
            continue
        products, bias, sink = found
        apart = len(bias) not in (1, len(products)) or not bool(np.all(np.abs(products - bias) <= _BIAS_SLACK * sink))
        if apart:
            hit.append(op.label)
    if hit:
        what = "a bias whose scale is not that of its input times its weights: it is refused, or added wrongly"
        yield Finding("bias-scale", "fault", what, "convert again: a tool changed one of the three", tuple(hit))


def _factors(model: Model) -> Iterator[Finding]:
    hit = []
    for op in model.operators:
        found = _scales(op)
        if found is None:
            continue
        factors = found[0] / found[2]
        if not bool(np.all((factors >= _LEAST_FACTOR) & (factors < _MOST_FACTOR))):
            hit.append(op.label)
    if hit:
        what = "input scale times weight scale over output scale is outside of 2^-32 to 256: XNNPACK does not take it"
        fix = "calibrate again: the output's range does not fit what the layer gives"
        yield Finding("requantisation", "fault", what, fix, tuple(hit))


def _moves(model: Model) -> Iterator[Finding]:
    hit = []
    for op in model.operators:
        sources = [each for each in op.inputs if each.kind in QUANTISED and not each.constant and len(each.scale) == 1]
        if op.name not in _MOVES or len(sources) != 1:
            continue
        source = sources[0]
        sinks = [each for each in op.outputs if each.kind == source.kind and len(each.scale) == 1]
        if any((each.scale, each.zero) != (source.scale, source.zero) for each in sinks):
            hit.append(op.label)
    if hit:
        what = "operators that only move values, with another scale behind than before: every value changes there"
        yield Finding(
            "scale-changed", "fault", what, "give both sides one scale, or write a QUANTIZE between", tuple(hit)
        )


def _fixed(model: Model) -> Iterator[Finding]:
    hit = []
    for op in model.operators:
        if op.name not in _FIXED or not op.outputs or op.outputs[0].kind not in ("INT8", "UINT8"):
            continue
        sink, (scale, signed, unsigned) = op.outputs[0], _FIXED[op.name]
        zero = signed if sink.kind == "INT8" else unsigned
        if len(sink.scale) != 1 or not math.isclose(sink.scale[0], scale, rel_tol=1e-3) or sink.zero != (zero,):
            hit.append(op.label)
    if hit:
        what = "softmax, sigmoid or tanh with a scale of their own: LiteRT's kernels have 1/256 and 1/128 built in"
        yield Finding(
            "fixed-range", "fault", what, "convert again: LiteRT refuses these, or answers wrongly", tuple(hit)
        )


def _interface(model: Model, promised: Sequence[TensorRecord]) -> Iterator[Finding]:
    """Each input beside what the interface says will be given to it."""
    for tensor, record in zip(model.subgraphs[0].inputs, promised, strict=False):
        if tensor.kind.lower() != record.dtype:
            what = f"{tensor.name} is {tensor.kind.lower()}; its interface says {record.dtype}"
            yield Finding("interface-type", "fault", what, "write the interface again, with the file: ofa-edge build")
        found = real_range(tensor)
        if found is None or record.picture is None:
            continue
        low, high = picture_range(record.picture)
        step = tensor.scale[0]
        beside = f"{tensor.name} holds {found[0]:.4g} to {found[1]:.4g}; its pixels become {low:.4g} to {high:.4g}"
        cut = max(found[0] - low, 0.0) + max(high - found[1], 0.0)
        if cut > _COVERED * step:
            severity: Severity = "fault" if cut > _CUT * (high - low) else "warning"
            fix = "calibrate on images normalised as the interface says; or correct mean and std"
            yield Finding("input-clipped", severity, f"{beside}: what is beyond is cut off", fix)
        elif high - low < _FULL * (found[1] - found[0]):
            share = (high - low) / (found[1] - found[0])
            what = f"{beside}: {100 * share:.0f} % of the steps are used"
            yield Finding("input-coarse", "warning", what, "calibrate on images normalised as the interface says")


def picture_range(picture: PictureRecord) -> tuple[float, float]:
    """What pixels become: the least and the largest of all channels."""
    low, high = picture.value_range
    pairs = list(zip(picture.mean, picture.std, strict=True))
    return min((low - mean) / std for mean, std in pairs), max((high - mean) / std for mean, std in pairs)
