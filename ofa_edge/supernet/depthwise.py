"""Depthwise convolution with a weight gradient that is fast on CPUs.

On maps of 8x8 and below, the CPU's own weight gradient for kernels of 5 and more takes several times as long as all
the rest of the layer, and such maps are most of a small supernet. Here it is a batch of matrix products instead: every
input pixel against every output pixel, summed over the images, from which the kernel's taps are then gathered.
"""

import functools
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (torch's own convention)

LARGEST_MAP = 8


def depthwise_conv2d(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Depthwise convolution with padding k//2. x [N, C, H, W], weight [C, 1, k, k] -> [N, C, H', W']."""
    kernel = weight.shape[-1]
    small = max(x.shape[2:]) <= LARGEST_MAP
    if kernel >= 5 and small and x.device.type == "cpu" and torch.is_grad_enabled() and weight.requires_grad:
        return _SmallMapDepthwise.apply(x, weight, stride)  # type: ignore[no-any-return, no-untyped-call]
    return F.conv2d(x, weight, None, stride, kernel // 2, 1, x.shape[1])


def depthwise_weight_grad(x: Tensor, grad: Tensor, kernel: int, stride: int) -> Tensor:
    """Gradient of the weight [C, 1, k, k] from the input x [N, C, H, W] and the output's gradient [N, C, H', W']."""
    batch, channels, height, width = x.shape
    out_height, out_width = grad.shape[2:]
    # Whole copies first: a batched product of strided matrices would copy them one by one.
    pixels = x.permute(1, 2, 3, 0).reshape(channels, height * width, batch).contiguous()
    outputs = grad.permute(1, 2, 3, 0).reshape(channels, out_height * out_width, batch).contiguous()
    products = torch.bmm(pixels, outputs.transpose(1, 2)).view(channels, -1)
    taps = products @ _taps((height, width), (out_height, out_width), kernel, stride).to(x)
    return taps.view(channels, 1, kernel, kernel)


@functools.lru_cache(maxsize=64)
def _taps(size: tuple[int, int], out_size: tuple[int, int], kernel: int, stride: int) -> Tensor:
    """0/1 matrix [H * W * H' * W', k * k]: which pairs of input and output pixel each tap of the kernel joins."""
    axes = []
    for length, out_length in zip(size, out_size, strict=True):
        inputs = torch.arange(length)[:, None, None]
        outputs = torch.arange(out_length)[None, :, None]
        axes.append((inputs == outputs * stride + torch.arange(kernel) - kernel // 2).float())
    joined = torch.einsum("yok,xpl->yxopkl", *axes)
    return joined.reshape(-1, kernel * kernel)


class _SmallMapDepthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return F.conv2d(x, weight, None, stride, weight.shape[-1] // 2, 1, x.shape[1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        grad = grads[0]
        x, weight = ctx.saved_tensors
        stride, kernel, channels = ctx.stride, weight.shape[-1], x.shape[1]
        pad = kernel // 2
        if stride == 1:
            grad_input = F.conv2d(grad, weight.flip(2, 3), None, 1, pad, 1, channels)
        else:
            grad_input = torch.ops.aten.convolution_backward(
                grad, x, weight, None, [stride] * 2, [pad] * 2, [1, 1], False, [0, 0], channels, [True, False, False]
            )[0]
        return grad_input, depthwise_weight_grad(x, grad, kernel, stride), None
