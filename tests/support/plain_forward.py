"""The reference's networks written out in plain functions over a state_dict: no layer, slice rule or space of ours.

Once-For-All, ICLR 2020, sections 3.2 and 3.3, and its published package: the first channels of each weight, kernels by
their transforms, the first blocks of each stage.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

State = Mapping[str, Tensor]
Activation = Callable[[Tensor], Tensor]
Choice = tuple[int, float]  # kernel and expand ratio
STRIDES = {"ofa_mobilenetv3": (2, 2, 2, 1, 2), "ofa_proxyless": (2, 2, 2, 1, 2, 1)}
SWISH_STAGES, GATED_STAGES = (2, 3, 4), (1, 3, 4)  # of MobileNetV3


def relu6(x: Tensor) -> Tensor:
    return x.clamp(0, 6)


def h_swish(x: Tensor) -> Tensor:
    return x * relu6(x + 3) / 6


def divisible(value: float) -> int:
    rounded = max(8, int(value + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * value else rounded


def norm(x: Tensor, state: State, name: str, eps: float) -> Tensor:
    weight, bias, mean, var = (
        state[f"{name}.{part}"][: x.shape[1], None, None] for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / (var + eps).sqrt() * weight + bias


def shrunk(state: State, name: str, kernel: int) -> Tensor:
    """Depthwise kernels at 7, 5 or 3."""
    weight = state[f"{name}.conv.weight"]
    for larger in (7, 5):
        if kernel < larger:
            inside = weight[:, 0, 1:-1, 1:-1].flatten(1)
            side = larger - 2
            weight = (inside @ state[f"{name}.{larger}to{side}_matrix"].T).reshape(-1, 1, side, side)
    return weight


def gate(x: Tensor, state: State, name: str) -> Tensor:
    middle = divisible(x.shape[1] // 4)
    y = x.mean((2, 3), keepdim=True)
    reduce, expand = (state[f"{name}.fc.{part}.weight"] for part in ("reduce", "expand"))
    y = F.conv2d(y, reduce[:middle, : x.shape[1]], state[f"{name}.fc.reduce.bias"][:middle]).relu()
    y = F.conv2d(y, expand[: x.shape[1], :middle], state[f"{name}.fc.expand.bias"][: x.shape[1]])
    return x * relu6(y + 3) / 6


def mbconv(
    x: Tensor, state: State, name: str, choice: Choice, stride: int, act: Activation, squeeze: bool, eps: float
) -> Tensor:
    kernel, expand = choice
    middle = divisible(round(x.shape[1] * expand))
    y = F.conv2d(x, state[f"{name}.inverted_bottleneck.conv.conv.weight"][:middle, : x.shape[1]])
    y = act(norm(y, state, f"{name}.inverted_bottleneck.bn.bn", eps))
    weight = shrunk(state, f"{name}.depth_conv.conv", kernel)[:middle]
    y = F.conv2d(y, weight, None, stride, kernel // 2, groups=middle)
    y = act(norm(y, state, f"{name}.depth_conv.bn.bn", eps))
    y = gate(y, state, f"{name}.depth_conv.se") if squeeze else y
    y = F.conv2d(y, state[f"{name}.point_linear.conv.conv.weight"][:, :middle])
    return norm(y, state, f"{name}.point_linear.bn.bn", eps)


def kept(depths: Sequence[int], most: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Stage, position and number (from 0) of each elastic block that runs."""
    starts = [sum(most[:stage]) for stage in range(len(most))]
    for stage, (depth, start) in enumerate(zip(depths, starts, strict=True)):
        yield from ((stage, position, start + position) for position in range(depth))


def mobile(x: Tensor, state: State, family: str, config: Mapping[str, Sequence[int]]) -> Tensor:
    """MobileNetV3 or ProxylessNAS: `config` has ks and e of every block of the supernet, and d."""
    v3, strides = family == "ofa_mobilenetv3", STRIDES[family]
    eps = 1e-5 if v3 else 1e-3
    ends = h_swish if v3 else relu6
    x = ends(norm(F.conv2d(x, state["first_conv.conv.weight"], None, 2, 1), state, "first_conv.bn", eps))
    first = "blocks.0.conv"
    y = F.conv2d(x, state[f"{first}.depth_conv.conv.weight"], None, 1, 1, groups=x.shape[1])
    y = norm(y, state, f"{first}.depth_conv.bn", eps)
    y = y.relu() if v3 else relu6(y)
    y = norm(F.conv2d(y, state[f"{first}.point_linear.conv.weight"]), state, f"{first}.point_linear.bn", eps)
    x = x + y if v3 else y
    most = [4] * 5 if v3 else [4] * 5 + [1]
    for stage, position, block in kept(config["d"], most):
        act = h_swish if v3 and stage in SWISH_STAGES else torch.relu if v3 else relu6
        squeeze, stride = v3 and stage in GATED_STAGES, 1 if position else strides[stage]
        choice = config["ks"][block], config["e"][block]
        y = mbconv(x, state, f"blocks.{block + 1}.conv", choice, stride, act, squeeze, eps)
        x = x + y if position else y
    if v3:
        x = h_swish(norm(F.conv2d(x, state["final_expand_layer.conv.weight"]), state, "final_expand_layer.bn", eps))
        x = h_swish(F.conv2d(x.mean((2, 3), keepdim=True), state["feature_mix_layer.conv.weight"]))
    else:
        x = relu6(norm(F.conv2d(x, state["feature_mix_layer.conv.weight"]), state, "feature_mix_layer.bn", eps))
    x = x.mean((2, 3))
    return x @ state["classifier.linear.weight"].T + state["classifier.linear.bias"]


def residual_conv(x: Tensor, state: State, name: str, channels: int, stride: int = 1) -> Tensor:
    """Convolution, batch norm, ReLU; elastic in width."""
    weight = state[f"{name}.conv.conv.weight"][:channels, : x.shape[1]]
    return norm(F.conv2d(x, weight, None, stride, weight.shape[-1] // 2), state, f"{name}.bn.bn", 1e-5)


def resnet(x: Tensor, state: State, config: Mapping[str, Sequence[float]], ratios: Sequence[float]) -> Tensor:
    """ResNet-50D: `config` in the reference's form, d (the stem's first), e of every bottleneck, w as indices."""
    chosen = [ratios[int(index)] for index in config["w"]]
    bases = (32, 64, 256, 512, 1024, 2048)
    widths = [divisible(base * ratio) for base, ratio in zip(bases, chosen, strict=True)]
    x = residual_conv(x, state, "input_stem.0", widths[0], 2).relu()
    if config["d"][0] == 2:
        x = x + residual_conv(x, state, "input_stem.1.conv", widths[0]).relu()
    x = residual_conv(x, state, "input_stem.2", widths[1]).relu()
    x = F.max_pool2d(x, 3, 2, 1)
    base, strides = (2, 2, 4, 2), (1, 2, 2, 2)
    depths = [always + int(more) for always, more in zip(base, config["d"][1:], strict=True)]
    for stage, position, block in kept(depths, [always + 2 for always in base]):
        name, out = f"blocks.{block}", widths[2 + stage]
        middle, stride = divisible(round(out * config["e"][block])), 1 if position else strides[stage]
        y = residual_conv(x, state, f"{name}.conv1", middle).relu()
        y = residual_conv(y, state, f"{name}.conv2", middle, stride).relu()
        y = residual_conv(y, state, f"{name}.conv3", out)
        if position == 0:
            x = ceiled_mean(x, stride)
            x = residual_conv(x, state, f"{name}.downsample", out)
        x = (x + y).relu()
    x = x.mean((2, 3))
    return x @ state["classifier.linear.linear.weight"][:, : x.shape[1]].T + state["classifier.linear.linear.bias"]


def ceiled_mean(x: Tensor, stride: int) -> Tensor:
    """Means of stride x stride windows; the last one of an odd map is cut off, and divided by what it holds."""
    edges = [*range(0, x.shape[-1], stride), x.shape[-1]]
    rows = torch.stack([x[:, :, a:b].sum(2) / (b - a) for a, b in pairwise(edges)], 2)
    return torch.stack([rows[..., a:b].sum(3) / (b - a) for a, b in pairwise(edges)], 3)
