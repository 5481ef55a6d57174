"""Numbers rounded to int8 while training: in the forward pass to the steps of the artifact, in the backward pass not.

Activations have one range a tensor, with 0 on a step (asymmetric); weights one scale an output channel, the largest at
127 (symmetric): what TFLite's int8 asks for. Gradients pass through what was rounded and stop at what was cut off (the
straight-through estimator: Jacob et al., CVPR 2018, section 3; Krishnamoorthi, arXiv 1806.08342, section 2.4).

`torch.fake_quantize_*` are torch's own operators; nothing of the deprecated torch.ao is used.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

LEAST, MOST, LARGEST_WEIGHT = -128, 127, 127
_SHARES, _VALUES, _POWER = 13, 2048, 3


@dataclass(frozen=True)
class Kind:
    """What is known of a value's range before it is seen.

    Attributes:
        fixed: its ends, where they are known.
        floor: the value below which nothing reads it apart: no step is spent on what lies lower.
        whole: whether every value counts, however rare: of the input, and of logits, two of which would tie.
    """

    fixed: tuple[float, float] | None = None
    floor: float | None = None
    whole: bool = False


USUAL = Kind()


def fitting(values: Tensor, kind: Kind) -> Tensor:
    """The ends [2] of the range that loses least of a batch's values, by the mean third power, as `fit_ranges` has it.

    0 lies within. The upper end is chosen first, then the lower one beside it.
    """
    flat = values.detach().flatten()
    low, high = flat.amin().clamp(max=0), flat.amax().clamp(min=0)
    if kind.floor is not None:
        low = low.clamp(min=kind.floor)
    if kind.whole:
        return torch.stack([low, high])
    some = flat[:: _stride(len(flat))].clamp(min=low)
    shares = torch.linspace(1, 0.4, _SHARES, device=flat.device)
    high = _best(some, low.expand(_SHARES), high * shares)[1]
    if kind.floor is None:
        low = _best(some, low * shares, high.expand(_SHARES))[0]
    return torch.stack([low, high])


def _stride(count: int) -> int:
    """Prime to the count, so that all channels and pixels are met alike: one that divides it may see corners alone."""
    stride = max(1, count // _VALUES)
    while math.gcd(stride, count) > 1:
        stride -= 1
    return stride


def _best(values: Tensor, lows: Tensor, highs: Tensor) -> tuple[Tensor, Tensor]:
    scales, zeros = steps_of(torch.stack([lows, highs], 1))
    scale, zero = scales[:, None], zeros[:, None]
    stored = ((values[None] / scale).round() + zero).clamp(LEAST, MOST)
    lost = (((stored - zero) * scale - values[None]).abs() ** _POWER).mean(1)
    place = lost.argmin()
    return lows[place], highs[place]


def steps_of(ends: Tensor) -> tuple[Tensor, Tensor]:
    """Scales and zero points (int32) [...] of ranges [..., 2]."""
    scale = ((ends[..., 1] - ends[..., 0]) / (MOST - LEAST)).clamp(min=1e-9)
    zero = torch.nan_to_num((LEAST - ends[..., 0] / scale).round()).clamp(LEAST, MOST)
    return scale, zero.to(torch.int32)


def rounded(values: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    """A tensor in steps of one scale."""
    return torch.fake_quantize_per_tensor_affine(values, scale, zero, LEAST, MOST)


def rounded_weight(weight: Tensor) -> Tensor:
    """Weights [out, ...] in steps of their output channel's largest."""
    scale = weight.detach().abs().flatten(1).amax(1).clamp(min=1e-9) / LARGEST_WEIGHT
    zero = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -LARGEST_WEIGHT, LARGEST_WEIGHT)
