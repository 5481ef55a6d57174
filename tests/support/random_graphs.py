"""Random small graphs of many operators, each a chain with branches back to earlier values, as ONNX text."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

START = (1, 8, 9, 10)


@dataclass
class Drawn:
    """A graph as it grows: [1, C, H, W] throughout, C even.

    Attributes:
        random: decides everything.
        value: the newest value's name.
        shape: its shape.
        earlier: values before it, with their shapes.
        lines: nodes so far.
        weights: constants so far.
        kinds: of operators, in order.
    """

    random: np.random.Generator
    value: str = "input"
    shape: tuple[int, ...] = START
    earlier: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    weights: dict[str, Any] = field(default_factory=dict)
    kinds: list[str] = field(default_factory=list)

    def weight(self, *shape: int) -> str:
        """A constant of random numbers that keeps sums near 1."""
        fan = max(1, int(np.prod(shape[1:])))
        return self.constant((self.random.normal(size=shape) / fan**0.5).astype(np.float32))

    def constant(self, value: Any) -> str:
        self.weights[f"c{len(self.weights)}"] = np.asarray(value)
        return f"c{len(self.weights) - 1}"

    def node(self, text: str, *outputs: str) -> str:
        """Append `text`, an operator with its inputs; the name of its output."""
        names = outputs or (f"v{len(self.lines)}",)
        self.lines.append(f"{', '.join(names)} = {text}")
        return names[0]

    def to(self, value: str, *shape: int) -> None:
        """The chain goes on from `value`."""
        self.earlier.append((self.value, self.shape))
        self.value, self.shape = value, (1, *shape)


def draw(seed: int, length: int = 7) -> Drawn:
    """A graph of about `length` operators, beginning with a convolution."""
    graph = Drawn(np.random.default_rng(seed))
    _dense(graph)
    for _ in range(length):
        name = str(graph.random.choice(sorted(STEPS)))
        graph.kinds.append(name)
        STEPS[name](graph)
    graph.node(f"Identity({graph.value})", "logits")
    return graph


def _conv(graph: Drawn, outputs: int, kernel: int, extra: str, groups: int = 1) -> str:
    weight = graph.weight(outputs, graph.shape[1] // groups, kernel, kernel)
    return graph.node(f"Conv<group={groups}, {extra}>({graph.value}, {weight}, {graph.weight(outputs)})")


def _dense(graph: Drawn) -> None:
    _, _, h, w = graph.shape
    graph.to(_conv(graph, 12, 3, "pads=[1,1,1,1]"), 12, h, w)


def _pointwise(graph: Drawn) -> None:
    _, _, h, w = graph.shape
    graph.to(_conv(graph, 8, 1, "strides=[1,1]"), 8, h, w)


def _grouped(graph: Drawn) -> None:
    _, c, h, w = graph.shape
    graph.to(_conv(graph, c, 3, "pads=[1,1,1,1]", 2), c, h, w)


def _depthwise(graph: Drawn) -> None:
    _, c, h, w = graph.shape
    graph.to(_conv(graph, c, 3, "pads=[1,1,1,1]", c), c, h, w)


def _dilated(graph: Drawn) -> None:
    _, _, h, w = graph.shape
    graph.to(_conv(graph, 8, 3, "pads=[2,2,2,2], dilations=[2,2]"), 8, h, w)


def _asymmetric(graph: Drawn) -> None:
    _, _, h, w = graph.shape
    graph.to(_conv(graph, 8, 3, "pads=[0,1,2,2]"), 8, h, w + 1)


def _line(graph: Drawn) -> None:
    _, c, h, w = graph.shape
    flat = graph.node(f"Reshape({graph.value}, {graph.constant([1, c, h * w])})")
    made = graph.node(f"Conv<pads=[1,1]>({flat}, {graph.weight(8, c, 3)})")
    graph.to(graph.node(f"Reshape({made}, {graph.constant([1, 8, h, w])})"), 8, h, w)


def _volume(graph: Drawn) -> None:
    _, c, h, w = graph.shape
    deep = graph.node(f"Reshape({graph.value}, {graph.constant([1, c // 2, 2, h, w])})")
    made = graph.node(f"Conv<pads=[1,1,1,1,1,1]>({deep}, {graph.weight(4, c // 2, 3, 3, 3)})")
    pooled = graph.node(f"MaxPool<kernel_shape=[2,1,1], strides=[2,1,1]>({made})")
    graph.to(graph.node(f"Reshape({pooled}, {graph.constant([1, 4, h, w])})"), 4, h, w)


def _transposed(graph: Drawn) -> None:
    _, c, h, w = graph.shape
    if h * w > 150:
        return
    made = graph.node(f"ConvTranspose<strides=[2,2]>({graph.value}, {graph.weight(c, 6, 2, 2)})")
    graph.to(made, 6, 2 * h, 2 * w)


def _maximum(graph: Drawn) -> None:
    _, c, h, w = graph.shape
    graph.to(graph.node(f"MaxPool<kernel_shape=[3,3], pads=[1,1,1,1]>({graph.value})"), c, h, w)


def _average(graph: Drawn) -> None:
    _, c, h, w = graph.shape
    counted = int(graph.random.integers(2))
    text = f"AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad={counted}>({graph.value})"
    graph.to(graph.node(text), c, h, w)


def _gate(graph: Drawn) -> None:
    gate = graph.node(f"Sigmoid({graph.node(f'GlobalAveragePool({graph.value})')})")
    graph.to(graph.node(f"Mul({graph.value}, {gate})"), *graph.shape[1:])


def _resize(graph: Drawn) -> None:
    _, c, h, w = graph.shape
    if h * w > 150:
        return
    mode = str(graph.random.choice(["nearest", "linear"]))
    how = {"nearest": 'coordinate_transformation_mode="asymmetric", nearest_mode="floor"', "linear": ""}[mode]
    scales = graph.constant(np.array([1, 1, 2, 2], np.float32))
    graph.to(
        graph.node(f'Resize<mode="{mode}"{", " + how if how else ""}>({graph.value}, , {scales})'), c, 2 * h, 2 * w
    )


def _join(graph: Drawn) -> None:
    _, c, h, w = graph.shape
    others = [(name, shape) for name, shape in graph.earlier if shape[2:] == (h, w) and shape[1] + c <= 24]
    if others:
        name, shape = others[int(graph.random.integers(len(others)))]
        graph.to(graph.node(f"Concat<axis=1>({graph.value}, {name})"), c + shape[1], h, w)


def _residual(graph: Drawn) -> None:
    others = [name for name, shape in graph.earlier if shape == graph.shape]
    if others:
        graph.to(graph.node(f"Add({graph.value}, {others[0]})"), *graph.shape[1:])


def _halves(graph: Drawn) -> None:
    _, c, h, w = graph.shape
    first = f"v{len(graph.lines)}"
    graph.node(f"Split<axis=1>({graph.value}, {graph.constant([c // 2, c // 2])})", first, f"{first}b")
    graph.to(graph.node(f"Concat<axis=1>({first}b, {first})"), c, h, w)


def _cut(graph: Drawn) -> None:
    _, c, h, w = graph.shape
    if h > 4 and w > 4:
        bounds = (graph.constant(each) for each in ([1, 0], [h, w], [2, 3], [1, 2]))
        text = f"Slice({graph.value}, {', '.join(bounds)})"
        graph.to(graph.node(text), c, h - 1, (w + 1) // 2)


def _shuffle(graph: Drawn) -> None:
    _, c, h, w = graph.shape
    pairs = graph.node(f"Reshape({graph.value}, {graph.constant([1, 2, c // 2, h, w])})")
    turned = graph.node(f"Transpose<perm=[0,2,1,3,4]>({pairs})")
    graph.to(graph.node(f"Reshape({turned}, {graph.constant([1, c, h, w])})"), c, h, w)


def _normalised(graph: Drawn) -> None:
    """As ConvNeXt does: channels last by hand, normalised, and back."""
    _, c, h, w = graph.shape
    last = graph.node(f"Transpose<perm=[0,2,3,1]>({graph.value})")
    normal = graph.node(f"LayerNormalization<axis=-1>({last}, {graph.weight(c)}, {graph.weight(c)})")
    graph.to(graph.node(f"Transpose<perm=[0,3,1,2]>({normal})"), c, h, w)


def _centred(graph: Drawn) -> None:
    axes = [[1], [2, 3], [1, 3], [3]][int(graph.random.integers(4))]
    mean = graph.node(f"ReduceMean<axes={axes}, keepdims=1>({graph.value})")
    graph.to(graph.node(f"Sub({graph.value}, {mean})"), *graph.shape[1:])


def _dropped(graph: Drawn) -> None:
    """A reduction that drops its axis, and what is broadcast from fewer axes."""
    peak = graph.node(f"ReduceMax<axes=[2], keepdims=0>({graph.value})")
    row = graph.node(f"ReduceMean<axes=[1], keepdims=0>({peak})")
    graph.to(graph.node(f"Add({graph.value}, {row})"), *graph.shape[1:])


def _softmax(graph: Drawn) -> None:
    axis = int(graph.random.integers(1, 4))
    graph.to(graph.node(f"Softmax<axis={axis}>({graph.value})"), *graph.shape[1:])


def _product(graph: Drawn) -> None:
    _, c, h, w = graph.shape
    graph.to(graph.node(f"MatMul({graph.value}, {graph.weight(w, 6)})"), c, h, 6)


def _attention(graph: Drawn) -> None:
    _, c, h, w = graph.shape
    tokens = graph.node(f"Reshape({graph.value}, {graph.constant([1, c, h * w])})")
    turned = graph.node(f"Transpose<perm=[0,2,1]>({tokens})")
    scores = graph.node(f"Softmax({graph.node(f'MatMul({turned}, {tokens})')})")
    mixed = graph.node(f"Transpose<perm=[0,2,1]>({graph.node(f'MatMul({scores}, {turned})')})")
    graph.to(graph.node(f"Reshape({mixed}, {graph.constant([1, c, h, w])})"), c, h, w)


def _chosen(graph: Drawn) -> None:
    _, c, h, w = graph.shape
    picked = graph.random.permutation(c)[: max(2, c // 2) // 2 * 2]
    graph.to(graph.node(f"Gather<axis=1>({graph.value}, {graph.constant(picked)})"), len(picked), h, w)


def _padded(graph: Drawn) -> None:
    _, c, h, w = graph.shape
    mode = str(graph.random.choice(["constant", "reflect", "edge"]))
    widths = graph.constant([0, 0, 1, 0, 0, 0, 0, 2])
    graph.to(graph.node(f'Pad<mode="{mode}">({graph.value}, {widths})'), c, h + 1, w + 2)


def _instances(graph: Drawn) -> None:
    c = graph.shape[1]
    text = f"InstanceNormalization({graph.value}, {graph.weight(c)}, {graph.weight(c)})"
    graph.to(graph.node(text), *graph.shape[1:])


def _groups(graph: Drawn) -> None:
    _, c, h, w = graph.shape
    joined = graph.node(f"Reshape({graph.value}, {graph.constant([1, 2, -1])})")
    normal = graph.node(f"InstanceNormalization({joined}, {graph.weight(2)}, {graph.weight(2)})")
    graph.to(graph.node(f"Reshape({normal}, {graph.constant([1, c, h, w])})"), c, h, w)


def _curve(graph: Drawn) -> None:
    kind = str(graph.random.choice(["Relu", "Sigmoid", "Tanh", "Erf", "HardSwish", "Elu", "Softplus", "LeakyRelu"]))
    graph.to(graph.node(f"{kind}({graph.value})"), *graph.shape[1:])


def _slopes(graph: Drawn) -> None:
    graph.to(graph.node(f"PRelu({graph.value}, {graph.weight(graph.shape[1], 1, 1)})"), *graph.shape[1:])


def _blocks(graph: Drawn) -> None:
    _, c, h, w = graph.shape
    if c % 4 == 0 and h * w < 150:
        graph.to(graph.node(f"DepthToSpace<blocksize=2>({graph.value})"), c // 4, 2 * h, 2 * w)
        if graph.shape[1] % 2:
            _pointwise(graph)


def _repeated(graph: Drawn) -> None:
    _, c, h, w = graph.shape
    if c <= 8:
        graph.to(graph.node(f"Tile({graph.value}, {graph.constant([1, 2, 1, 1])})"), 2 * c, h, w)


STEPS: dict[str, Callable[[Drawn], None]] = {
    "dense": _dense,
    "pointwise": _pointwise,
    "grouped": _grouped,
    "depthwise": _depthwise,
    "dilated": _dilated,
    "asymmetric": _asymmetric,
    "line": _line,
    "volume": _volume,
    "transposed convolution": _transposed,
    "maximum": _maximum,
    "average": _average,
    "gate": _gate,
    "resize": _resize,
    "concat": _join,
    "residual": _residual,
    "split": _halves,
    "slice": _cut,
    "shuffle": _shuffle,
    "layer norm": _normalised,
    "reduction": _centred,
    "dropped axis": _dropped,
    "softmax": _softmax,
    "product": _product,
    "attention": _attention,
    "gather": _chosen,
    "pad": _padded,
    "instance norm": _instances,
    "group norm": _groups,
    "curve": _curve,
    "slopes": _slopes,
    "blocks": _blocks,
    "repeat": _repeated,
}
