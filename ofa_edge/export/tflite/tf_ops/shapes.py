"""Operators that move elements: axes are written anew where that will do."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ofa_edge.export.tflite.tf_ops.site import Builder, Site
from ofa_edge.export.tflite.tf_ops.values import IMAGE, Value, ordered, plain, raised, reshaped_axes, without


def transpose(site: Site) -> Value:
    """No data are moved: the same tensor under other axes."""
    x = site.x
    order = list(site.attribute("perm", range(x.rank)[::-1]))
    return Value(x.tensor, tuple(order.index(axis) for axis in x.axes))


def reshape(site: Site) -> Value:
    """In ONNX's own order; where only sizes of 1 are in another order nothing has to move first."""
    x = site.x
    wanted = [int(size) for size in site.weight(1)]
    if not site.attribute("allowzero", 0):
        wanted = [x.shape[at] if size == 0 else size for at, size in enumerate(wanted)]
    return _reshaped(site, _resolved(wanted, math.prod(x.shape)))


def flatten(site: Site) -> Value:
    """Two dimensions: what is before the axis, and the rest."""
    shape = site.x.shape
    axis = site.attribute("axis", 1)
    axis = axis if axis >= 0 else axis + len(shape)
    return _reshaped(site, [math.prod(shape[:axis]), math.prod(shape[axis:])])


def _resolved(wanted: list[int], total: int) -> list[int]:
    known = math.prod(size for size in wanted if size != -1)
    return [total // known if size == -1 else size for size in wanted]


def _reshaped(site: Site, shape: list[int]) -> Value:
    axes = reshaped_axes(site.x, shape)
    if axes is None:
        return Value(site.tf.reshape(site.row.tensor, shape), plain(len(shape)))
    return Value(site.tf.reshape(site.x.tensor, [shape[axis] for axis in axes]), axes)


def squeeze(site: Site) -> Value:
    """Without some axes of size 1, or without all of them."""
    x = site.x
    axes = site.integers(1, "axes")
    gone = [axis for axis, size in enumerate(x.shape) if size == 1] if axes is None else axes
    return Value(site.tf.squeeze(x.tensor, x.dims(gone)), without(x, gone))


def unsqueeze(site: Site) -> Value:
    """New axes of size 1, in front of the tensor, wherever ONNX has them."""
    x, axes = site.x, site.integers(1, "axes") or []
    rank = x.rank + len(axes)
    new = sorted(axis % rank for axis in axes)
    old = [axis for axis in range(rank) if axis not in new]
    return Value(raised(site.tf, x, rank).tensor, (*new, *(old[axis] for axis in x.axes)))


_JOINED = 5  # the most that XNNPACK takes at once


def concat(site: Site) -> Value:
    """All in the order of the first computed one; constants follow. Many are joined in groups, then the groups."""
    lead = next((each for each in site.args if isinstance(each, Value)), None)
    if lead is None:
        raise site.node.refused("all of its inputs are constants", "run onnxsim over the model first")
    parts = [
        ordered(site.tf, each, lead.axes).tensor
        if isinstance(each, Value)
        else site.tf.constant(np.ascontiguousarray(np.asarray(each).transpose(lead.axes)))
        for each in site.args
    ]
    dim = lead.dim(site.attribute("axis", 1))
    while len(parts) > _JOINED:
        parts = [site.tf.concat(parts[at : at + _JOINED], dim) for at in range(0, len(parts), _JOINED)]
    return Value(site.tf.concat(parts, dim), lead.axes)


def slice_(site: Site) -> Value:
    """Parts of axes, with steps above 0 or a whole axis backwards."""
    x = site.x
    starts, ends = site.integers(1, "starts") or [], site.integers(2, "ends") or []
    axes = site.integers(3, "axes") or list(range(len(starts)))
    steps = site.integers(4, "steps") or [1] * len(starts)
    cuts = [slice(None)] * x.rank
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        cuts[x.dim(axis)] = slice(*_bounds(x.shape[axis % x.rank], start, end, step))
    if all(cut in (slice(None), slice(0, size, 1)) for cut, size in zip(cuts, x.tensor.shape, strict=True)):
        return x  # TensorFlow would copy it; GhostNet asks for the whole 32 times
    return site.like(x.tensor[tuple(cuts)])


def _bounds(size: int, start: int, end: int, step: int) -> tuple[int, int | None, int]:
    """Numbers that Python reads as ONNX does, which takes ends far outside."""
    low, high, step = slice(start, end, step).indices(size)
    return low, None if step < 0 and high < 0 else high, step


def pad(site: Site) -> Value:
    """By a number, or by mirrored pixels."""
    x = site.x
    pads = site.integers(1, "pads") or []
    axes = site.integers(3, "axes") or list(range(x.rank))
    mode = site.text("mode", "constant")
    if mode not in ("constant", "reflect") or min(pads, default=0) < 0:
        raise site.node.refused(f"mode {mode}, pads {pads}", "constant or reflect, and pads of 0 or more")
    edges = [(0, 0)] * x.rank
    for at, axis in enumerate(axes):
        edges[x.dim(axis)] = (pads[at], pads[at + len(axes)])
    if mode == "reflect":
        return site.like(site.tf.pad(x.tensor, edges, mode="REFLECT"))
    value = float(site.weight(2).item()) if site.given(2) else float(site.attribute("value", 0.0))
    return site.like(site.tf.pad(x.tensor, edges, constant_values=value) if value else site.tf.pad(x.tensor, edges))


def expand(site: Site) -> Value:
    """Repeated along axes of size 1."""
    wanted = [int(size) for size in site.weight(1)]
    x = raised(site.tf, site.x, max(len(wanted), site.x.rank))
    wanted = [1] * (x.rank - len(wanted)) + wanted
    shape = [max(size, want) for size, want in zip(x.shape, wanted, strict=True)]
    return Value(site.tf.broadcast_to(x.tensor, [shape[axis] for axis in x.axes]), x.axes)


def gather(site: Site) -> Value:
    """Elements of one axis, by places that are constant, or computed: as those that an input of whole numbers gives."""
    if isinstance(site.args[1], Value):
        return _gather_computed(site)
    x, places = site.x, site.weight(1)
    axis = site.attribute("axis", 0) % x.rank
    inside = (places % x.shape[axis]).astype(np.int32)
    if places.ndim > 1:
        taken = site.tf.gather(site.row.tensor, inside, axis=axis)
        return Value(taken, plain(x.rank - 1 + places.ndim))
    taken = site.tf.gather(x.tensor, inside, axis=x.dim(axis))
    return Value(taken, without(x, [axis]) if places.ndim == 0 else x.axes)


def _gather_computed(site: Site) -> Value:
    """By places that lie in floats, from 0 on."""
    places = site.value(1)
    places = ordered(site.tf, places, plain(places.rank)).tensor
    table = site.args[0]
    whole = site.tf.constant(table) if isinstance(table, np.ndarray) else site.row.tensor
    axis = site.attribute("axis", 0) % len(whole.shape)
    taken = site.tf.gather(whole, site.tf.cast(places, site.tf.int32), axis=axis)
    return Value(taken, plain(len(whole.shape) - 1 + len(places.shape)))


def tile(site: Site) -> Value:
    """Repeated along each axis."""
    repeats = site.integers(1, "repeats") or []
    return site.like(site.tf.tile(site.x.tensor, [repeats[axis] for axis in site.x.axes]))


_SCATTERED: Mapping[str, tuple[str, float]] = {  # by reduction: how two numbers are joined, and what changes none
    "add": ("add", 0.0),
    "mul": ("multiply", 1.0),
    "max": ("maximum", float(np.finfo(np.float32).min)),
    "min": ("minimum", float(np.finfo(np.float32).max)),
}


def scatter_nd(site: Site) -> Value:
    """Parts replaced, or joined with others, at constant places: each element is taken from one tensor or the other."""
    x, places = site.row, np.moveaxis(site.weight(1), -1, 0)
    given, how = site.args[2], site.text("reduction", "none")
    updates = Value(site.tf.constant(given), plain(given.ndim)) if isinstance(given, np.ndarray) else site.value(2)
    updates = ordered(site.tf, updates, plain(updates.rank))
    total, count = math.prod(x.shape), math.prod(updates.shape)
    targets = np.arange(total).reshape(x.shape)[tuple(places)].reshape(-1)
    flat, more = (site.tf.reshape(each.tensor, [-1]) for each in (x, updates))
    if how == "none":
        source = np.arange(total)
        source[targets] = np.arange(total, total + count)
        taken = site.tf.gather(site.tf.concat([flat, more], 0), source.reshape(x.shape).astype(np.int32))
        return Value(taken, plain(x.rank))
    joined, neutral = _SCATTERED[how]
    more = site.tf.concat([more, site.tf.constant([neutral], site.tf.float32)], 0)
    left = np.arange(count)
    while len(left):  # a place that stands several times gets one of them in each turn
        _, first = np.unique(targets[left], return_index=True)
        source = np.full(total, count)
        source[targets[left[first]]] = left[first]
        flat = getattr(site.tf, joined)(flat, site.tf.gather(more, source.astype(np.int32)))
        left = np.delete(left, first)
    return Value(site.tf.reshape(flat, x.shape), plain(x.rank))


def depth_to_space(site: Site) -> Value:
    """Channels into blocks of pixels, in both of ONNX's orders."""
    x, block = site.image, site.attribute("blocksize", 1)
    batch, channels, height, width = x.shape
    deep = channels // block**2
    if site.text("mode", "DCR") == "DCR":
        return Value(site.tf.nn.depth_to_space(x.tensor, block), IMAGE)
    parts = site.tf.reshape(x.tensor, [batch, height, width, deep, block, block])
    moved = site.tf.transpose(parts, [0, 1, 4, 2, 5, 3])
    return Value(site.tf.reshape(moved, [batch, height * block, width * block, deep]), IMAGE)


def space_to_depth(site: Site) -> Value:
    """Blocks of pixels into channels, in both of ONNX's orders."""
    x, block = site.image, site.attribute("blocksize", 1)
    y = site.tf.nn.space_to_depth(x.tensor, block)
    if site.text("mode", "DCR") == "CRD":
        order = np.arange(block**2 * x.shape[1]).reshape(block**2, x.shape[1]).T.reshape(-1)
        y = site.tf.gather(y, order.astype(np.int32), axis=3)
    return Value(y, IMAGE)


def reduction(name: str) -> Builder:
    """A function of TensorFlow over axes: all of them where none is named."""

    def build(site: Site) -> Value:
        x = site.x
        axes = site.integers(1, "axes")
        if not axes and site.attribute("noop_with_empty_axes", 0):
            return x
        gone = axes or list(range(x.rank))
        keep = bool(site.attribute("keepdims", 1))
        y = getattr(site.tf, name)(x.tensor, x.dims(gone), keepdims=keep)
        return Value(y, x.axes if keep else without(x, gone))

    return build


def reduction_of(before: Callable[[Any, Any], Any], name: str, after: Callable[[Any, Any], Any]) -> Builder:
    """A function of each element, a reduction, and a function of what it gives."""

    def build(site: Site) -> Value:
        inner = Site(site.tf, site.node, (site.like(before(site.tf, site.x.tensor)), *site.args[1:]), site.source)
        reduced = reduction(name)(inner)
        return Value(after(site.tf, reduced.tensor), reduced.axes)

    return build
