"""Depthwise convolution with a weight gradient that is fast on CPUs.

The CPU's own weight gradient for kernels of 5 and 7 takes several times as long as all the rest of the layer; that of
3x3 kernels does not. So it is computed in another way on the maps that most of a supernet works on:

- up to 8x8, as a batch of matrix products: every input pixel against every output pixel, summed over the images, from
  which the kernel's taps are then gathered;
- up to 16x16, at stride 1, as that of several 3x3 kernels, each over a shifted input: four cover the taps of a 5x5,
  nine those of a 7x7.

On larger maps the shifted copies cost what they save.
"""

import functools
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

LARGEST_MAP, LARGEST_SHIFTED_MAP = 8, 16


def depthwise_conv2d(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Depthwise convolution with padding k//2. x [N, C, H, W], weight [C, 1, k, k] -> [N, C, H', W']."""
    kernel = weight.shape[-1]
    small = max(x.shape[2:]) <= (LARGEST_SHIFTED_MAP if stride == 1 else LARGEST_MAP)
    full = x.dtype == weight.dtype != torch.bfloat16
    trained = torch.is_grad_enabled() and weight.requires_grad and full
    if kernel >= 5 and small and trained and x.device.type == "cpu":
        return _Depthwise.apply(x, weight, stride)  # type: ignore[no-untyped-call]  # torch has no types for it
    return F.conv2d(x, weight, None, stride, kernel // 2, 1, x.shape[1])


def depthwise_weight_grad(x: Tensor, grad: Tensor, kernel: int, stride: int) -> Tensor:
    """Gradient of the weight [C, 1, k, k] from the input x [N, C, H, W] and the output's gradient [N, C, H', W']."""
    if stride == 1 and max(x.shape[2:]) > LARGEST_MAP:
        return _by_shifts(x, grad, kernel)
    return _by_products(x, grad, kernel, stride)


def _by_shifts(x: Tensor, grad: Tensor, kernel: int) -> Tensor:
    """The 3x3 gradients that together hold all taps, at stride 1."""
    channels, height, width = grad.shape[1:]
    pad = kernel // 2
    padded = F.pad(x, (pad, pad, pad, pad))
    result = x.new_empty(channels, 1, kernel, kernel)
    part = x.new_empty(channels, 1, 3, 3)
    rest = (part, None, [1, 1], [0, 0], [1, 1], False, [0, 0], channels, [False, True, False])
    for top in range(0, kernel - 1, 2):
        for left in range(0, kernel - 1, 2):
            shifted = padded[:, :, top : top + height + 2, left : left + width + 2]
            shifted = shifted.contiguous(memory_format=torch.channels_last)
            found = torch.ops.aten.convolution_backward(grad, shifted, *rest)[1]
            result[:, :, top : top + 3, left : left + 3] = found
    return result


def _by_products(x: Tensor, grad: Tensor, kernel: int, stride: int) -> Tensor:
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


class _Depthwise(torch.autograd.Function):
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
