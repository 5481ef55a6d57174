"""exp, sigmoid, tanh and erf as sums of products: LLVM calls the C library for each value of a vector otherwise.

Given
    y = exp(x)
Result, with n = round(x / log 2) and r = x - n log 2
    y = 2**n * (1 + r + r**2 * p(r))

Within two units in the last place of float32 (exp and sigmoid), 4e-7 relative (tanh, erf). Not a number stays
what it is. Coefficients: Cephes (exp), Eigen (tanh, erf), which ONNX Runtime, TensorFlow and XNNPACK use likewise.
"""

from collections.abc import Callable, Sequence
from typing import Any

_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
_EXP_BOUNDS = (-87.33654, 88.37626)
_LOG2_E, _LN2_HIGH, _LN2_LOW = 1.44269504088896341, 0.693359375, -2.12194440e-4
_ROUNDER = 12582912.0  # 1.5 * 2**23: a float32 added to it is rounded to a whole number, which its low bits hold
_TANH = (
    (-2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08, 1.48572235717979e-05,
     6.37261928875436e-04, 4.89352455891786e-03),
    (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03),
)  # fmt: skip
_ERF = (
    (-2.72614225801306e-10, 2.77068142495902e-08, -2.10102402082508e-06, -5.69250639462346e-05, -7.34990630326855e-04,
     -2.95459980854025e-03, -1.60960333262415e-02),
    (-1.45660718464996e-05, -2.13374055278905e-04, -1.68282697438203e-03, -7.37332916720468e-03,
     -1.42647390514189e-02),
)  # fmt: skip


def with_curves(func: Any) -> Any:
    """A function whose transcendental calls are written out; itself where it has none."""
    import tvm_ffi
    from tvm import ir

    def replaced(call: Any) -> Any:
        curve = _CURVES.get(getattr(call.op, "name", ""))
        kind = str(call.ty.dtype)
        if curve is None or kind not in ("float32", "float16"):
            return call
        argument = call.args[0]
        return curve(argument) if kind == "float32" else curve(argument.astype("float32")).astype("float16")

    body = tvm_ffi.structural_map(func.body, (ir.Call, replaced))
    return func if body.same_as(func.body) else func.with_body(body)


def _bound(value: Any, body: Callable[[Any], Any]) -> Any:
    """`body` of a variable that stands for `value`, which is computed once."""
    from tvm import tirx
    from tvm.ir.prim import expr as prim

    variable = tirx.Var("x", "float32")
    return prim.Let(variable, value, body(variable))


def _polynomial(x: Any, coefficients: Sequence[float]) -> Any:
    total: Any = _number(coefficients[0])
    for each in coefficients[1:]:
        total = total * x + _number(each)
    return total


def _clamped(x: Any, low: float, high: float) -> Any:
    """Comparisons that not-a-number passes through."""
    from tvm import tirx

    return tirx.Select(x < _number(low), _number(low), tirx.Select(x > _number(high), _number(high), x))


def _exp(argument: Any) -> Any:
    from tvm import tirx

    def of_shifted(x: Any, shifted: Any) -> Any:
        whole = shifted - _number(_ROUNDER)
        rest = x - whole * _number(_LN2_HIGH) - whole * _number(_LN2_LOW)
        power = tirx.reinterpret("float32", (tirx.reinterpret("int32", shifted) + 127) << 23)
        return _bound(rest, lambda r: (_polynomial(r, _EXP) * r * r + r + _number(1.0)) * power)

    def of_clamped(x: Any) -> Any:
        return _bound(x * _number(_LOG2_E) + _number(_ROUNDER), lambda shifted: of_shifted(x, shifted))

    return _bound(argument, lambda given: _bound(_clamped(given, *_EXP_BOUNDS), of_clamped))


def _sigmoid(argument: Any) -> Any:
    return _number(1.0) / (_number(1.0) + _exp(_number(0.0) - argument))


def _rational(argument: Any, bound: float, over: Sequence[float], under: Sequence[float]) -> Any:
    """X * over(x**2) / under(x**2), beyond the bound as at it."""

    def of_clamped(x: Any) -> Any:
        return _bound(x * x, lambda square: x * _polynomial(square, over) / _polynomial(square, under))

    return _bound(argument, lambda given: _bound(_clamped(given, -bound, bound), of_clamped))


def _tanh(argument: Any) -> Any:
    return _rational(argument, 9.0, *_TANH)


def _erf(argument: Any) -> Any:
    return _rational(argument, 4.0, *_ERF)


def _number(value: float) -> Any:
    from tvm import tirx

    return tirx.const(value, "float32")


_CURVES: dict[str, Callable[[Any], Any]] = {
    "tirx.exp": _exp,
    "tirx.sigmoid": _sigmoid,
    "tirx.tanh": _tanh,
    "tirx.erf": _erf,
}
