"""ONNX -> Relax, TVM's graph language: checked first, and an operator that TVM cannot take is named with its node.

`tvm` and `cuda` compile what this module returns.
"""

import bisect
import contextlib
import io
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofa_edge.errors import ConversionError, ToolMissingError, UnsupportedError
from ofa_edge.vocabulary import Precision

if TYPE_CHECKING:
    import onnx

INT8_REASON = (
    "the TVM path compiles the float network; calibration and per-channel scales for int8 belong to the TFLite path"
)

_SAYS_NOTHING = re.compile(
    r"Traceback|File \"|#|\d+: |\[bt\]|-->|\||\^|(Error message|Offending call):?$|@?[IRT]\.|\W+$"
)
_RELAX_CALL = re.compile(r"\bR\.((?:\w+\.)*\w+)\(")


def import_onnx(path: Path, precision: Precision = "fp32", *, half_sums: bool = False) -> Any:
    """Read an ONNX file as a Relax module with one function `main`, its weights inside.

    Args:
        path: a model with float32 inputs of fixed shape, batch 1.
        precision: "fp32", or "fp16" (see `half_precision`).
        half_sums: with fp16, sum in float16 too.

    Returns:
        A `tvm.IRModule`: float32 in, float32 out, whatever the precision.

    Raises:
        ConversionError: not an ONNX file, an input that is not fixed, or an operator that TVM cannot take.
        UnsupportedError: int8.
        ToolMissingError: TVM is not installed.
    """
    if precision not in ("fp32", "fp16"):
        raise UnsupportedError(
            f"TVM with {precision} is not supported", INT8_REASON, "--precision fp16, or --runtime tflite"
        )
    require_tvm()
    model = _load(path)
    _check_input(model, path)
    try:
        module = _to_relax(model)
    except Exception as error:
        raise _name_culprit(model, path, error) from error
    return half_precision(module, half_sums=half_sums) if precision == "fp16" else module


def require_tvm() -> None:
    """Raise `ToolMissingError` where TVM's compiler cannot be imported."""
    try:
        from tvm import relax  # noqa: F401  (TVM with its runtime only has no relax)
    except ImportError as error:
        raise ToolMissingError(
            "TVM's compiler is not installed", str(error), "pip install apache-tvm, without TVM_USE_RUNTIME_LIB set"
        ) from error


def half_precision(module: Any, *, half_sums: bool = False) -> Any:
    """Keep weights and activations in float16; convolutions and matrix products accumulate in float32.

    With `half_sums` they accumulate in float16: twice the speed on a core with float16 arithmetic, for some 10 dB.
    Global pooling stays in float32 (a sum over hundreds of float16 values loses bits), and so do input and output.

    Given a convolution of float32 tensors
        y = conv2d(x, w)
    Result
        y = astype(conv2d(astype(x, float16), w16, out_dtype=float32), float16)
    """
    from tvm import relax

    from ofa_edge.export.tvm.schedules.layout import fold_constants

    fold = relax.transform.FoldConstant()
    mixed = relax.transform.ToMixedPrecision(out_dtype="float16" if half_sums else "float32")
    return fold(fold_constants(mixed(without_clip(fold(fold_constants(module))))))


def said(error: BaseException) -> str:
    """The first line of an error of TVM that says something, and the Relax operator that it is about.

    What says nothing: the head of a traceback, frames, comments ("# Metadata omitted"), and excerpts of programs.
    """
    lines = [line.strip() for line in str(error).splitlines()]
    told = next((line for line in lines if line and not _SAYS_NOTHING.match(line)), type(error).__name__)
    operator = _RELAX_CALL.search(str(error))
    about = f"operator {operator[1]}: " if operator and operator[1] not in told else ""
    return f"{about}{told}"[:500]


def _load(path: Path) -> "onnx.ModelProto":
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except (DecodeError, OSError, onnx.checker.ValidationError) as error:
        raise ConversionError(
            f"not a valid ONNX model: {path.name}", f"{path}: {said(error)}", "export the network again"
        ) from error
    return model


def _check_input(model: "onnx.ModelProto", path: Path) -> None:
    """Every dimension of an input fixed, batch 1: the compiled code is specialised to it."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    shapes = [[axis.dim_value for axis in value.type.tensor_type.shape.dim] for value in inputs]
    fixed = all(min(shape, default=1) > 0 for shape in shapes)
    if shapes and fixed and (len(shapes) > 1 or shapes[0][:1] == [1]):
        return
    found = ", ".join(f"{value.name} {shape}" for value, shape in zip(inputs, shapes, strict=True)) or "none"
    raise ConversionError(
        f"TVM needs inputs of fixed shape, one alone with batch 1: {path.name}",
        f"inputs found (0 means not fixed): {found}",
        "export the network for one sample of a fixed size",
    )


def _to_relax(model: "onnx.ModelProto") -> Any:
    from tvm.relax.frontend.onnx import from_onnx

    # The importer prints to stdout before it raises, and stdout is for results. Its warnings repeat onnx's checker,
    # which has passed the whole model and has no say in the prefixes of `_name_culprit`.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return from_onnx(model, keep_params_in_input=False)


def _name_culprit(model: "onnx.ModelProto", path: Path, error: Exception) -> ConversionError:
    """Find the node at which the import fails: prefixes of the node list import up to it, and none from it on."""
    import onnx

    def fails(count: int) -> bool:
        prefix = onnx.ModelProto()
        prefix.CopyFrom(model)
        del prefix.graph.node[count:]
        del prefix.graph.output[:]
        prefix.graph.output.append(onnx.ValueInfoProto(name=prefix.graph.node[-1].output[0]))
        try:
            _to_relax(prefix)
        except Exception:
            return True
        return False

    counts = range(1, len(model.graph.node) + 1)
    index = bisect.bisect_left(counts, True, key=fails)
    if index == len(counts):  # every node imports; the failure lies in the whole
        return ConversionError(f"TVM cannot import {path.name}", said(error), "check the model with onnx.checker")
    node = model.graph.node[index]
    return ConversionError(
        f"TVM cannot convert operator {node.op_type}",
        f"node '{node.name or node.output[0]}' (number {index} of {len(counts)}) in {path.name}: {said(error)}",
        "replace the operator in the network, or build with --runtime tflite",
    )


def without_clip(module: Any) -> Any:
    """Write `clip` as relu and minimum: ToMixedPrecision of TVM 0.27 does not know clip.

    Constants must be folded: a bound that is a variable stays.

    Given
        y = clip(x, 0, 6)
    or, which is how the importer writes ONNX's Clip,
        y = call_tir(minimum, (call_tir(maximum, (x, const(0))), const(6)))
    Result
        y = minimum(nn.relu(x), const(6))
    """
    from tvm import ir, relax

    @relax.expr_functor.mutator
    class ClipRewriter(relax.PyExprMutator):  # type: ignore[misc]  # TVM has no types
        def visit_call_(self, call: Any) -> Any:
            call = super().visit_call_(call)
            name = getattr(call.op, "name", "")
            if name == "relax.call_tir":
                function, operands = call.args[0].name_hint.rstrip("0123456789"), list(call.args[1])
                if function in ("maximum", "minimum") and isinstance(operands[-1], ir.GenericConst):
                    return _bounded(function, operands[0], float(operands[-1].value.numpy()))
            if name != "relax.clip":
                return call
            low, high = (float(getattr(bound.value, "value", bound.value)) for bound in call.args[1:])
            return _bounded("minimum", self.builder_.emit(_bounded("maximum", call.args[0], low)), high)

    rewriter = ClipRewriter(module)
    rewriter.builder_.update_func(module.get_global_var("main"), rewriter.visit_expr(module["main"]))
    return rewriter.builder_.get()


def _bounded(function: str, x: Any, bound: float) -> Any:
    """Maximum or minimum of a tensor and a number, as an operator that ToMixedPrecision knows."""
    from tvm import relax

    if function == "maximum" and bound == 0.0:
        return relax.op.nn.relu(x)
    return getattr(relax.op, function)(x, relax.const(bound, str(x.ty.dtype)))
