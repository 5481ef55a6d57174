"""Depthwise convolution with a weight gradient that is fast on CPUs.

oneDNN's weight gradient for kernels of 5 and 7 takes several times as long as all the rest of the layer; where a kernel
has three columns or fewer, however many rows, it does not. So it is computed in another way:

- as that of kernels of two and three columns, which together hold all taps: each is a stride-1 convolution over a part
  of the padded input; at stride 2 over the input's even or odd rows and columns;
- on maps up to 6x6 as a batch of matrix products: every input pixel against every output pixel, summed over the images,
  from which the kernel's taps are then gathered.

At stride 2 on maps up to 16x16 the copies cost what they save.
"""

import functools
import itertools
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

LARGEST_PRODUCTS = 6  # pixels of a side
SMALLEST_STRIDED = 17
COLUMNS = {1: (1,), 2: (2,), 3: (3,), 4: (2, 2), 5: (3, 2), 7: (3, 2, 2)}  # of the kernels that make up one so wide


def depthwise_conv2d(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Depthwise convolution with padding k//2. x [N, C, H, W], weight [C, 1, k, k] -> [N, C, H', W']."""
    kernel = weight.shape[-1]
    faster = kernel in (5, 7) and (stride == 1 or not LARGEST_PRODUCTS < max(x.shape[2:]) < SMALLEST_STRIDED)
    full = x.dtype == weight.dtype != torch.bfloat16
    trained = torch.is_grad_enabled() and weight.requires_grad and full
    if faster and trained and x.device.type == "cpu":
        return _Depthwise.apply(x, weight, stride)  # type: ignore[no-untyped-call]  # torch has no types for it
    return F.conv2d(x, weight, None, stride, kernel // 2, 1, x.shape[1])


def depthwise_weight_grad(x: Tensor, grad: Tensor, kernel: int, stride: int) -> Tensor:
    """Gradient of the weight [C, 1, k, k] from the input x [N, C, H, W] and the output's gradient [N, C, H', W']."""
    if max(x.shape[2:]) <= LARGEST_PRODUCTS:
        return _by_products(x, grad, kernel, stride)
    return _by_columns(x, grad, kernel, stride)


def _by_columns(x: Tensor, grad: Tensor, kernel: int, stride: int) -> Tensor:
    """The gradients of kernels a few columns wide that together hold all taps."""
    channels, height, width = grad.shape[1:]
    pad = kernel // 2
    right, below = (
        (out - 1) * stride + kernel - pad - size for out, size in ((width, x.shape[3]), (height, x.shape[2]))
    )
    padded = F.pad(x, (pad, right, pad, below))
    result = x.new_empty(channels, 1, kernel, kernel)
    for top, left in itertools.product(range(stride), repeat=2):
        phase, taps = padded[:, :, top::stride, left::stride], result[:, :, top::stride, left::stride]
        rows, first = taps.shape[2], 0
        for columns in COLUMNS[taps.shape[3]]:
            part = phase[:, :, : height + rows - 1, first : first + width + columns - 1]
            part = part.contiguous(memory_format=torch.channels_last)
            like = x.new_empty(channels, 1, rows, columns)
            rest = (None, [1, 1], [0, 0], [1, 1], False, [0, 0], channels, [False, True, False])
            taps[..., first : first + columns] = torch.ops.aten.convolution_backward(grad, part, like, *rest)[1]
            first += columns
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
