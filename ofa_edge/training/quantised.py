"""A static network as it answers in int8, to be trained: every value is rounded where the artifact rounds it.

The places are those of TFLite's conversion (docs/tflite.md): after each convolution with its ReLU, within a hard swish
at its gate and its product, after means, products and sums, and in each part of a large depthwise kernel. They go by
the names of the values in the network's ONNX file, so that a conversion finds them.

Batch norms are folded with the statistics that the network has, frozen from the first step on: a fine-tuned network
starts from calibrated ones, batches of training are small, and what is rounded then is what the artifact rounds.
(Krishnamoorthi, section 3.2.2, freezes them at some time in the run; Jacob et al. fold by the statistics of batches.)
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (torch's own convention)

from ofa_edge.errors import UnsupportedError
from ofa_edge.records.ranges import RangesRecord, StepsRecord
from ofa_edge.supernet.layers import (
    Bottleneck,
    Classifier,
    ConvBN,
    DepthwiseBN,
    Downsample,
    FeatureMix,
    GlobalPool,
    MBConv,
    Residual,
    SqueezeExcite,
    StemConv,
)
from ofa_edge.supernet.static import StaticNet
from ofa_edge.training.rounding import USUAL, Kind, fitting, rounded, rounded_weight, steps_of

INPUT, LOGITS = "input", "logits"
_FOLLOW = 0.05  # a later batch's say in a range


@dataclass(frozen=True)
class Taps:
    """A part of a depthwise kernel that the artifact computes by itself.

    Attributes:
        tag: what its value's name ends in.
        rows, columns: of the kernel, evenly spaced about its centre.
    """

    tag: str
    rows: tuple[int, ...]
    columns: tuple[int, ...]


Split = Callable[[int, tuple[int, int]], Sequence[Taps]]
"""The parts of a depthwise kernel of that size on a map of that height and width, the one with the centre first."""


class QuantisedNet(nn.Module):
    """Shares the weights of a static network, which it is the int8 form of.

    Args:
        net: calibrated; trained through this one.
        split: how the artifact splits depthwise kernels.

    Attributes:
        net: likewise.
        ends: the least and the largest value of each place [places, 2].
        seen: batches that ranges were taken from.
        watching: whether ranges follow what is seen.
        before_classifier: applied to the features in training; dropout goes here.

    Raises:
        UnsupportedError: a layer whose int8 form is not known.
    """

    ends: Tensor
    seen: Tensor

    def __init__(self, net: StaticNet, split: Split) -> None:
        super().__init__()
        self.net, self.split = net, split
        self.watching, self._rounding = False, False
        self.before_classifier: Callable[[Tensor], Tensor] = lambda x: x
        self._kinds: dict[str, Kind] = {}
        self._found: dict[str, Tensor] = {}
        size = net.subnet.resolution
        device = next(net.parameters()).device
        with torch.no_grad():
            self(torch.zeros(1, net.space.in_channels, size, size, device=device))
        self._places = {name: place for place, name in enumerate(self._kinds)}
        fixed = [kind.fixed or (0.0, 0.0) for kind in self._kinds.values()]
        self.register_buffer("ends", torch.tensor(fixed, device=device))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64, device=device))
        self._rounding = True

    def calibrate(self, batches: Iterable[Tensor]) -> None:
        """Take first ranges from batches of training images [N, C, H, W], which run in fp32."""
        self.eval()
        self._rounding = False
        try:
            with torch.no_grad(), self.watched():
                for batch in batches:
                    self(batch.to(self.ends.device))
                    self.follow()
        finally:
            self._rounding = True

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Ranges of what runs within are kept for `follow`."""
        self.watching = True
        try:
            yield
        finally:
            self.watching = False

    def follow(self, average: Callable[[Tensor], Tensor] = lambda found: found) -> None:
        """Move the ranges towards those of the batch seen last; `average`: over the processes of a run."""
        found = self.ends.clone()
        for name, ends in self._found.items():
            found[self._places[name]] = ends
        self._found.clear()
        found = average(found)
        weight = max(1 / (int(self.seen) + 1), _FOLLOW)
        whole = torch.tensor([[kind.whole] for kind in self._kinds.values()], device=found.device)
        widest = torch.stack([torch.minimum(self.ends, found)[:, 0], torch.maximum(self.ends, found)[:, 1]], 1)
        self.ends.copy_(torch.where(whole, widest, self.ends.lerp(found, weight)))
        self.seen.add_(1)

    @property
    def ranges(self) -> RangesRecord:
        """What the artifact takes over."""
        scales, zeros = (part.cpu().tolist() for part in steps_of(self.ends))
        values = {name: StepsRecord(scale=scales[place], zero=zeros[place]) for name, place in self._places.items()}
        return RangesRecord(precision="int8", values=values)

    def take(self, ranges: RangesRecord) -> None:
        """Use ranges that an earlier training settled. Raises KeyError where they are another network's."""
        with torch.no_grad():
            for name, place in self._places.items():
                self.ends[place] = torch.tensor(ranges.values[name].range)

    def forward(self, x: Tensor) -> Tensor:
        """Images [N, C, r, r] -> logits [N, classes]."""
        x = self.round(INPUT, x, Kind(whole=True))
        for name, child in self.net.named_children():
            layers = child.named_children() if isinstance(child, nn.ModuleList) else (("", child),)
            for number, layer in layers:
                x = self.run(f"/{name}.{number}" if number else f"/{name}", layer, x)
        return x

    def run(self, path: str, layer: nn.Module, x: Tensor) -> Tensor:
        """One layer's int8 form."""
        form = _FORMS.get(type(layer))
        if form is None:
            raise _no_form(path, layer)
        return form(self, path, layer, x)

    def round(self, value: str, x: Tensor, kind: Kind = USUAL) -> Tensor:
        """A value in the steps of its place."""
        self._kinds.setdefault(value, kind)
        if self.watching and kind.fixed is None:
            self._found[value] = fitting(x, kind)
        if not self._rounding:
            return x
        scale, zero = steps_of(self.ends[self._places[value]])
        return rounded(x, scale, zero)

    def weight(self, weight: Tensor) -> Tensor:
        """Weights [out, ...] in their steps."""
        return rounded_weight(weight) if self._rounding else weight


def _no_form(path: str, layer: nn.Module) -> UnsupportedError:
    return UnsupportedError(
        f"no quantisation-aware training of {type(layer).__name__}",
        f"layer {path.removeprefix('/')}: its int8 form is not known",
        "leave out --qat; --max-drop of build leaves layers of an int8 artifact in fp32",
    )


def made_by(node: str) -> str:
    """The name of what a node gives, in the ONNX file."""
    return f"{node}_output_0"


def _convolved(q: QuantisedNet, value: str, conv: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A convolution as the artifact computes it; what it gives is not rounded yet, for its activation comes first."""
    stride: Any = conv.stride
    parts = _parts(q, conv, x)
    if not parts:
        return F.conv2d(x, q.weight(weight), bias, stride, conv.padding, conv.dilation, conv.groups)
    total = None
    for number, taps in enumerate(parts):
        part = weight[:, :, list(taps.rows)][:, :, :, list(taps.columns)]
        padding = [conv.kernel_size[0] // 2 - taps.rows[0], conv.kernel_size[1] // 2 - taps.columns[0]]
        dilation = [each[1] - each[0] if len(each) > 1 else 1 for each in (taps.rows, taps.columns)]
        made = F.conv2d(x, q.weight(part), None if number else bias, stride, padding, dilation, conv.groups)
        if len(parts) > 1:
            made = q.round(f"{value}/{taps.tag}", made)
        if number > 1:
            assert total is not None
            total = q.round(f"{value}/sum{number - 1}", total)
        total = made if total is None else total + made
    assert total is not None
    return total


def _parts(q: QuantisedNet, conv: nn.Conv2d, x: Tensor) -> Sequence[Taps]:
    if conv.groups == 1 or conv.groups != conv.in_channels:
        return ()
    return q.split(conv.kernel_size[0], (x.shape[2], x.shape[3]))


def _activated(q: QuantisedNet, value: str, path: str, act: nn.Module, x: Tensor) -> Tensor:
    """What an activation gives, in steps; `value` is the name of what it reads."""
    if isinstance(act, nn.Identity):
        return q.round(value, x)
    if isinstance(act, nn.Hardswish):
        return _hard_swish(q, value, made_by(f"{path}/HardSwish"), x)
    node = {nn.ReLU: "Relu", nn.ReLU6: "Clip"}.get(type(act))
    if node is None:
        raise _no_form(path, act)
    return q.round(made_by(f"{path}/{node}"), act(x))


def _hard_swish(q: QuantisedNet, read: str, made: str, x: Tensor) -> Tensor:
    """Two operators in the artifact, the gate and the product: whatever lies below -3 is as good as -3."""
    x = q.round(read, x, Kind(floor=-3.0))
    gate = q.round(f"{made}/gate", F.relu6(x + 3), Kind(fixed=(0.0, 6.0)))
    return q.round(made, x * gate / 6)


def _folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return conv.weight * factor.view(-1, 1, 1, 1), norm.bias - norm.running_mean * factor


def _conv_bn(q: QuantisedNet, path: str, layer: ConvBN, x: Tensor) -> Tensor:
    value = made_by(f"{path}/conv/Conv")
    x = _activated(
        q, value, f"{path}/act", layer.act, _convolved(q, value, layer.conv, x, *_folded(layer.conv, layer.bn))
    )
    return q.run(f"{path}/se", layer.get_submodule("se"), x) if hasattr(layer, "se") else x


def _squeeze_excite(q: QuantisedNet, path: str, layer: SqueezeExcite, x: Tensor) -> Tensor:
    reduce, expand = (cast(nn.Conv2d, layer.fc[name]) for name in ("reduce", "expand"))
    gate = _mean(q, path, x)
    gate = F.relu(F.conv2d(gate, q.weight(reduce.weight), reduce.bias))
    gate = q.round(made_by(f"{path}/Relu"), gate)
    gate = F.hardsigmoid(F.conv2d(gate, q.weight(expand.weight), expand.bias))
    gate = q.round(made_by(f"{path}/HardSigmoid"), gate, Kind(fixed=(0.0, 1.0)))
    return q.round(made_by(f"{path}/Mul"), x * gate)


def _mean(q: QuantisedNet, path: str, x: Tensor) -> Tensor:
    if x.shape[2:] == (1, 1):
        return x  # no operator is left of it
    return q.round(made_by(f"{path}/ReduceMean"), x.mean((2, 3), keepdim=True))


def _mbconv(q: QuantisedNet, path: str, layer: MBConv, x: Tensor) -> Tensor:
    x = q.run(f"{path}/inverted_bottleneck", layer.inverted_bottleneck, x)
    return q.run(f"{path}/point_linear", layer.point_linear, q.run(f"{path}/depth_conv", layer.depth_conv, x))


def _stem_conv(q: QuantisedNet, path: str, layer: StemConv, x: Tensor) -> Tensor:
    return q.run(f"{path}/point_linear", layer.point_linear, q.run(f"{path}/depth_conv", layer.depth_conv, x))


def _residual(q: QuantisedNet, path: str, layer: Residual, x: Tensor) -> Tensor:
    made = q.run(f"{path}/conv", layer.conv, x)
    return q.round(made_by(f"{path}/Add"), made + x) if layer.shortcut else made


def _feature_mix(q: QuantisedNet, path: str, layer: FeatureMix, x: Tensor) -> Tensor:
    value = made_by(f"{path}/conv/Conv")
    return _hard_swish(q, value, made_by(f"{path}/HardSwish"), F.conv2d(x, q.weight(layer.conv.weight)))


def _classifier(q: QuantisedNet, path: str, layer: Classifier, x: Tensor) -> Tensor:
    del path
    features = torch.flatten(x, 1)
    if q.training:
        features = q.before_classifier(features)
    linear = layer.linear
    return q.round(LOGITS, F.linear(features, q.weight(linear.weight), linear.bias), Kind(whole=True))


def _bottleneck(q: QuantisedNet, path: str, layer: Bottleneck, x: Tensor) -> Tensor:
    made = x
    for name in ("conv1", "conv2", "conv3"):
        made = q.run(f"{path}/{name}", layer.get_submodule(name), made)
    if isinstance(layer.downsample, Downsample):
        x = q.run(f"{path}/downsample", layer.downsample, x)
    return _activated(q, made_by(f"{path}/Add"), f"{path}/act", layer.act, made + x)


def _downsample(q: QuantisedNet, path: str, layer: Downsample, x: Tensor) -> Tensor:
    """A pooling is a convolution of equal weights in the artifact.

    Where windows reach over the far side, a map of factors behind it makes up for what they miss.
    """
    if isinstance(layer.avg_pool, nn.AvgPool2d) and x.shape[2:] != (1, 1):
        value, kernel = made_by(f"{path}/avg_pool/AveragePool"), cast(int, layer.avg_pool.kernel_size)
        down, right = (-length % kernel for length in x.shape[2:])
        if down or right:
            pad = (0, right, 0, down)
            share = 1 / F.avg_pool2d(F.pad(torch.ones_like(x[:1, :1]), pad), kernel)
            x = q.round(f"{value}/sum", F.avg_pool2d(F.pad(x, pad), kernel)) * share
        else:
            x = F.avg_pool2d(x, kernel)
        x = q.round(value, x)
    value = made_by(f"{path}/conv/Conv")
    return q.round(value, _convolved(q, value, layer.conv, x, *_folded(layer.conv, layer.bn)))


_FORMS: dict[type[nn.Module], Callable[[QuantisedNet, str, Any, Tensor], Tensor]] = {
    ConvBN: _conv_bn,
    DepthwiseBN: _conv_bn,
    SqueezeExcite: _squeeze_excite,
    MBConv: _mbconv,
    StemConv: _stem_conv,
    Residual: _residual,
    FeatureMix: _feature_mix,
    GlobalPool: lambda q, path, layer, x: _mean(q, path, x),
    Classifier: _classifier,
    Bottleneck: _bottleneck,
    Downsample: _downsample,
    nn.MaxPool2d: lambda q, path, layer, x: layer(x),  # what it gives are values that it reads
}
