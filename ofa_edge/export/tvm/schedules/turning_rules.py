"""How each operator is computed from operands whose axes lie in another order; what is not here is a border."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from ofa_edge.export.tvm.schedules.axes import Order, as_given, channels_last, reduced, reshaped, transposed
from ofa_edge.export.tvm.schedules.kept import Kept, Values, shape_of

Rule = Callable[[Any, Values], Kept | None]

_UNARY = (
    "abs ceil clip cos erf exp floor isfinite isinf isnan log logical_not negative round rsqrt sigmoid sign sin sqrt"
    " square tan tanh trunc astype nn.gelu nn.gelu_tanh nn.leakyrelu nn.relu nn.selu nn.silu nn.softplus"
)
_BROADCAST = (
    "add subtract multiply divide floor_divide floor_mod mod power maximum minimum where equal not_equal less"
    " less_equal greater greater_equal logical_and logical_or logical_xor"
)
FEW_CHANNELS = 4  # of a picture
_DATA, _WEIGHTS = {1: "NWC", 2: "NHWC", 3: "NDHWC"}, {1: "WIO", 2: "HWIO", 3: "DHWIO"}


def _convolution(call: Any, values: Values) -> Kept | None:
    from tvm import relax

    attrs = call.attrs
    rank = len(shape_of(call.args[0]))
    name = f"conv{rank - 2}d"
    given = {1: ("NCW", "OIW"), 2: ("NCHW", "OIHW"), 3: ("NCDHW", "OIDHW")}[rank - 2]
    if (str(attrs.data_layout), str(attrs.kernel_layout), str(attrs.out_layout)) != (*given, given[0]):
        return None
    order = channels_last(rank)
    weights = values.in_order(call.args[1], (*range(2, rank), 1, 0))
    if (made := _of_planes(call, weights, values)) is not None:
        return Kept(made, order)
    data = values.in_order(call.args[0], order)
    made = getattr(relax.op.nn, name)(
        data,
        weights,
        _ints(attrs.strides),
        _ints(attrs.padding),
        _ints(attrs.dilation),
        int(attrs.groups),
        _DATA[rank - 2],
        _WEIGHTS[rank - 2],
        out_dtype=attrs.out_dtype or None,
    )
    return Kept(values.emit(made), order)


def _of_planes(call: Any, weights: Any, values: Values) -> Any | None:
    """A window over the few channels of a picture, [1, C, H, W], read where they lie; None where it is another.

    Each value is used by all output channels, so that its neighbours need not be channels: a transpose of the picture
    would cost a third of the convolution. Where a multiply-add takes its operand from memory; NEON loads neighbours
    at once, and needs 2 % more instructions this way.
    """
    from tvm import te, topi

    attrs, data = call.attrs, values.lookup(call.args[0])
    shape, kernel = shape_of(call.args[0]), shape_of(weights)
    if not values.planes or len(shape) != 4 or data.order != as_given(4):
        return None
    if shape[1] > FEW_CHANNELS or int(attrs.groups) != 1:
        return None
    if math.prod(kernel[:2]) == 1 or str(attrs.out_dtype or call.ty.dtype) != str(call.ty.dtype):
        return None
    (tall, wide), (down, across) = map(_ints, (attrs.strides, attrs.dilation))
    top, left, bottom, right = _ints(attrs.padding)

    def convolution(picture: Any, window: Any) -> Any:
        around = ([0, 0, top, left], [0, 0, bottom, right])
        padded = topi.nn.pad(picture, *around, name="padded") if any(map(any, around)) else picture
        dy, dx, c = (te.reduce_axis((0, size), name) for size, name in zip(kernel, ("dy", "dx", "c"), strict=False))
        height, width = shape_of(call)[2:]
        return te.compute(
            (shape[0], height, width, kernel[3]),
            lambda n, y, x, f: te.sum(
                padded[n, c, y * tall + dy * down, x * wide + dx * across] * window[dy, dx, c, f], axis=[dy, dx, c]
            ),
            name="convolution",
        )

    return values.computed("conv2d", convolution, data.value, weights)


def _ints(numbers: Any) -> list[int]:
    return [int(number) for number in numbers]


def _pooling(call: Any, values: Values) -> Kept | None:
    from tvm import relax

    attrs = call.attrs
    rank = len(shape_of(call.args[0]))
    if not str(attrs.layout).startswith("NC") or attrs.layout != attrs.out_layout:
        return None
    order, layout = channels_last(rank), _DATA[rank - 2]
    make = getattr(relax.op.nn, call.op.name.removeprefix("relax.nn."))
    data = values.in_order(call.args[0], order)
    if "adaptive" in call.op.name:
        made = make(data, attrs.output_size, layout)
    else:
        window = map(_ints, (attrs.pool_size, attrs.strides, attrs.padding, attrs.dilation))
        made = make(data, *window, bool(attrs.ceil_mode), bool(attrs.count_include_pad), layout)
    return Kept(values.emit(made), order)


def _resize(call: Any, values: Values) -> Kept | None:
    from tvm import relax

    attrs, order = call.attrs, channels_last(4)
    if str(attrs.layout) != "NCHW":
        return None
    made = relax.op.image.resize2d(
        values.in_order(call.args[0], order),
        call.args[1],
        tuple(float(getattr(n, "value", n)) for n in attrs.roi),
        "NHWC",
        attrs.method,
        attrs.coordinate_transformation_mode,
        attrs.rounding_method,
        attrs.cubic_alpha,
        attrs.cubic_exclude,
        attrs.extrapolation_value,
        attrs.out_dtype or None,
    )
    return Kept(values.emit(made), order)


def _unary(call: Any, values: Values) -> Kept:
    from tvm import relax

    kept = values.lookup(call.args[0])
    return Kept(values.emit(relax.Call(call.op, [kept.value, *call.args[1:]], call.attrs, call.ty_args)), kept.order)


def _broadcast(call: Any, values: Values) -> Kept | None:
    """In the order of the largest operand; among equals, one that lies otherwise than the graph says."""
    from tvm import relax

    operands, shapes = [values.lookup(each) for each in call.args], [shape_of(each) for each in call.args]
    rank = max(map(len, shapes))
    orders = [
        (math.prod(shape), each.order) for each, shape in zip(operands, shapes, strict=True) if len(shape) == rank
    ]
    order = max(orders)[1]  # the graph's own is the least of all orders
    arguments = [_spread(each, shape, order, values) for each, shape in zip(call.args, shapes, strict=True)]
    return Kept(values.emit(relax.Call(call.op, arguments, call.attrs, call.ty_args)), order)


def _spread(operand: Any, shape: tuple[int, ...], order: Order, values: Values) -> Any:
    """An operand that fits to others in an order; of fewer axes, it has to have those that the graph means."""
    from tvm import ir, relax

    rank = len(order)
    if len(shape) == rank:
        return values.in_order(operand, order)
    if math.prod(shape) == 1 or order == as_given(rank):
        return values.in_order(operand, as_given(len(shape)))
    whole = (*[1] * (rank - len(shape)), *shape)
    plain = values.in_order(operand, as_given(len(shape)))
    if isinstance(plain, ir.GenericConst):
        moved = plain.value.numpy().reshape(whole).transpose(order)
        return relax.const(moved.copy(), str(plain.value.dtype))
    return values.moved(Kept(values.emit(relax.op.reshape(plain, whole)), as_given(rank)), order)


def _reduction(call: Any, values: Values) -> Kept:
    from tvm import relax

    kept, attrs = values.lookup(call.args[0]), call.attrs
    rank = len(kept.order)
    axes = [int(axis) % rank for axis in attrs.axis] if attrs.axis is not None else list(range(rank))
    keep = bool(attrs.keepdims)
    make = getattr(relax.op, call.op.name.removeprefix("relax."))
    made = make(kept.value, sorted(kept.order.index(axis) for axis in axes), keep)
    return Kept(values.emit(made), reduced(kept.order, axes, keep=keep))


def _softmax(call: Any, values: Values) -> Kept:
    from tvm import relax

    kept = values.lookup(call.args[0])
    axis = int(call.attrs.axis) % len(kept.order)
    make = getattr(relax.op.nn, call.op.name.removeprefix("relax.nn."))
    return Kept(values.emit(make(kept.value, kept.order.index(axis))), kept.order)


def _transpose(call: Any, values: Values) -> Kept:
    kept = values.lookup(call.args[0])
    rank = len(kept.order)
    axes = call.attrs.axes
    axes = list(range(rank))[::-1] if axes is None else [int(axis) % rank for axis in axes]
    return Kept(kept.value, transposed(kept.order, axes))


def _reshape(call: Any, values: Values) -> Kept | None:
    from tvm import relax

    kept, before, after = values.lookup(call.args[0]), shape_of(call.args[0]), shape_of(call)
    order = reshaped(before, kept.order, after)
    if order is None or kept.order == as_given(len(before)):
        return None
    return Kept(values.emit(relax.op.reshape(kept.value, [after[axis] for axis in order])), order)


def _concat(call: Any, values: Values) -> Kept | None:
    from tvm import relax

    parts = list(call.args[0]) if isinstance(call.args[0], relax.Tuple) else None
    if parts is None or call.attrs.axis is None:
        return None
    order = _most(parts, values)
    axis = int(call.attrs.axis) % len(order)
    return Kept(
        values.emit(relax.op.concat([values.in_order(each, order) for each in parts], order.index(axis))), order
    )


def _most(parts: list[Any], values: Values) -> Order:
    """The order in which most numbers of some tensors lie."""
    numbers: dict[Order, int] = {}
    for each in parts:
        order = values.lookup(each).order
        numbers[order] = numbers.get(order, 0) + math.prod(shape_of(each))
    return max(numbers, key=lambda order: (numbers[order], order))


def _split(call: Any, values: Values) -> Kept:
    from tvm import relax

    kept, attrs = values.lookup(call.args[0]), call.attrs
    parts = attrs.indices_or_sections
    parts = [int(n) for n in parts] if hasattr(parts, "__len__") else int(parts)
    place = kept.order.index(int(attrs.axis) % len(kept.order))
    return Kept(values.emit(relax.op.split(kept.value, parts, place)), kept.order)


def _slice(call: Any, values: Values) -> Kept:
    from tvm import relax

    kept = values.lookup(call.args[0])
    rank = len(kept.order)
    axes, *rest = ([int(getattr(n, "value", n)) for n in each] for each in call.args[1:])
    places = [kept.order.index(axis % rank) for axis in axes]
    bounds = bool(call.attrs.assume_inbound)
    return Kept(values.emit(relax.op.strided_slice(kept.value, places, *rest, assume_inbound=bounds)), kept.order)


def _pad(call: Any, values: Values) -> Kept:
    from tvm import relax

    kept, attrs = values.lookup(call.args[0]), call.attrs
    widths = [int(n) for n in attrs.pad_width]
    moved = [width for axis in kept.order for width in widths[2 * axis : 2 * axis + 2]]
    made = relax.op.nn.pad(kept.value, moved, attrs.pad_mode, float(getattr(attrs.pad_value, "value", attrs.pad_value)))
    return Kept(values.emit(made), kept.order)


RULES: Mapping[str, Rule] = {
    f"relax.{name}": rule
    for names, rule in (
        (_UNARY, _unary),
        (_BROADCAST, _broadcast),
        ("nn.conv1d nn.conv2d nn.conv3d", _convolution),
        ("nn.max_pool1d nn.max_pool2d nn.max_pool3d nn.avg_pool1d nn.avg_pool2d nn.avg_pool3d", _pooling),
        ("nn.adaptive_avg_pool1d nn.adaptive_avg_pool2d nn.adaptive_avg_pool3d", _pooling),
        ("image.resize2d", _resize),
        ("mean sum max min prod variance std", _reduction),
        ("nn.softmax nn.log_softmax", _softmax),
        ("permute_dims", _transpose),
        ("reshape expand_dims squeeze flatten nn.batch_flatten", _reshape),
        ("concat", _concat),
        ("split", _split),
        ("strided_slice", _slice),
        ("nn.pad", _pad),
    )
    for name in names.split()
}
