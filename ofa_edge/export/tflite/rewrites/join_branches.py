"""Convolutions of one value that are only added to each other, as one convolution.

Networks are trained with several branches a layer and deployed with one (RepVGG, MobileOne, RepViT, RepGhost); a file
that was exported as it was trained has them all.

Given::

    a = Conv(x, w3, b3, pads=[1, 1, 1, 1])       w3 [out, in, 3, 3]
    c = Conv(x, w1, b1)                          w1 [out, in, 1, 1]
    n = BatchNormalization(x, ...)               k * x + o, a factor and an offset for each channel
    y = Add(Add(a, c), n)

Result::

    y = Conv(x, w3 + pad(w1) + k * I, b3 + b1 + o, pads=[1, 1, 1, 1])

A small kernel is laid where its taps meet the same pixels as before; x itself, as a shortcut, is a one at that place.
Exact but for rounding. (Ding et al., CVPR 2021, arXiv 2101.03697, section 3.3.)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.onnx.graph import Graph
from ofa_edge.export.onnx.nodes import Node


def join_branches(graph: Graph) -> Graph:
    """Join each convolution with the convolutions, the batch norm and the value itself that it is added to."""
    search = _Search(graph)
    constants = dict(graph.constants)
    joined: dict[str, Node] = {}
    for node in graph.nodes:
        found = search.layer(node.output) if node.op == "Add" else None
        if found is None or not found.convolves:
            continue
        weight, bias = f"{node.output}/kernel", f"{node.output}/bias"
        constants |= {weight: found.kernel.astype(np.float32), bias: found.bias.astype(np.float32)}
        joined[node.output] = Node("Conv", node.name, (found.source, weight, bias), node.output, found.attributes)
    if not joined:
        return graph
    changed = replace(graph, nodes=tuple(joined.get(node.output, node) for node in graph.nodes), constants=constants)
    return changed.still_read()


@dataclass(frozen=True)
class _Layer:
    """A convolution: kernel [out, in / groups, kH, kW] and bias [out] in float64, pads top, left, bottom, right.

    `convolves`: it takes the place of one that was there.
    """

    source: str
    kernel: NDArray[np.float64]
    bias: NDArray[np.float64]
    groups: int
    strides: tuple[int, ...] = (1, 1)
    dilations: tuple[int, ...] = (1, 1)
    pads: tuple[int, ...] = (0, 0, 0, 0)
    convolves: bool = False

    @property
    def attributes(self) -> dict[str, object]:
        """As ONNX has them."""
        lists = {"strides": self.strides, "dilations": self.dilations, "pads": self.pads}
        sizes = {"kernel_shape": list(self.kernel.shape[2:]), "group": self.groups}
        return {**sizes, **{name: list(values) for name, values in lists.items()}}

    def in_groups(self, groups: int) -> NDArray[np.float64] | None:
        """Its kernel with fewer groups, which only one that is depthwise has: zeros beside the diagonal."""
        channels = len(self.kernel)
        if groups == self.groups:
            return self.kernel
        if self.groups != channels or self.kernel.shape[1] != 1 or channels % groups:
            return None
        wide = np.zeros((channels, channels // groups, *self.kernel.shape[2:]))
        wide[np.arange(channels), np.arange(channels) % (channels // groups)] = self.kernel[:, 0]
        return wide

    def with_added(self, other: "_Layer") -> "_Layer | None":
        """The sum of both as one, where the other's taps are among its own."""
        addend = other.in_groups(self.groups)
        if addend is None or self.strides != other.strides or len(addend) != len(self.kernel):
            return None
        kernel = self.kernel.copy()
        places = []
        for axis, dilation in enumerate(self.dilations):
            taps, own = addend.shape[2 + axis], kernel.shape[2 + axis]
            before, behind = (self.pads[axis + end] - other.pads[axis + end] for end in (0, 2))
            first = before // dilation
            aligned = before % dilation == 0 and 0 <= first <= own - taps
            if not aligned or behind != (own - taps) * dilation - before:
                return None
            if taps > 1 and other.dilations[axis] != dilation:
                return None
            places.append(slice(first, first + taps))
        kernel[:, :, places[0], places[1]] += addend
        convolves = self.convolves or other.convolves
        return replace(self, kernel=kernel, bias=self.bias + other.bias, convolves=convolves)


@dataclass
class _Search:
    """What makes each value of a graph, and the layers found so far."""

    graph: Graph
    makers: Mapping[str, Node] = field(init=False)
    uses: Mapping[str, int] = field(init=False)
    known: dict[str, _Layer | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.makers = {node.output: node for node in self.graph.nodes}
        self.uses = self.graph.uses()

    def layer(self, name: str) -> _Layer | None:
        """The one convolution that makes a value, or would."""
        if name not in self.known:
            maker = self.makers.get(name)
            find = {"Conv": self._conv, "BatchNormalization": self._norm, "Add": self._sum}
            self.known[name] = find[maker.op](maker) if maker is not None and maker.op in find else None
        return self.known[name]

    def _conv(self, node: Node) -> _Layer | None:
        weight, given = (*node.inputs[1:], "")[:2]
        kernel, bias = self.graph.constant(weight), self.graph.constant(given)
        explicit = node.attributes.get("auto_pad", b"NOTSET") == b"NOTSET"
        if kernel is None or kernel.ndim != 4 or (given and bias is None) or not explicit:
            return None
        return _Layer(
            node.inputs[0],
            kernel.astype(np.float64),
            np.zeros(len(kernel)) if bias is None else bias.astype(np.float64),
            int(node.attributes.get("group", 1)),
            tuple(node.attributes.get("strides", (1, 1))),
            tuple(node.attributes.get("dilations", (1, 1))),
            tuple(node.attributes.get("pads", (0, 0, 0, 0))),
            convolves=True,
        )

    def _norm(self, node: Node) -> _Layer | None:
        given = [self.graph.constant(name) for name in node.inputs[1:5]]
        unknown = any(each is None for each in given) or node.inputs[0] not in self.graph.maps
        if unknown or node.attributes.get("training_mode", 0):
            return None
        scale, offset, mean, variance = (np.asarray(each, np.float64) for each in given)
        factor = scale / np.sqrt(variance + float(node.attributes.get("epsilon", 1e-5)))
        return _Layer(node.inputs[0], factor[:, None, None, None], offset - factor * mean, len(factor))

    def _sum(self, node: Node) -> _Layer | None:
        left, right = (self.layer(name) if self.uses[name] == 1 else None for name in node.inputs)
        if left is None and right is None:
            return None
        left = left or _itself(node.inputs[0], right)
        right = right or _itself(node.inputs[1], left)
        if left is None or right is None or left.source != right.source:
            return None
        return left.with_added(right) or right.with_added(left)


def _itself(name: str, beside: _Layer | None) -> _Layer | None:
    """A value as a layer of what the layer beside it reads, if it is that."""
    if beside is None or beside.source != name:
        return None
    channels = beside.kernel.shape[1] * beside.groups
    return _Layer(name, np.ones((channels, 1, 1, 1)), np.zeros(channels), channels)
