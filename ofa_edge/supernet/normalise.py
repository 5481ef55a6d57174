"""Batch normalisation for elastic widths and for batches that are spread over processes."""

from typing import Any, cast

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn import functional as F


class BatchNorm(nn.BatchNorm2d):
    """Batch norm whose active channels are an argument.

    Attributes:
        group: processes over which a training batch is spread (`torch.distributed` process group), None for one alone.
            Mean and variance are then those of the whole batch. (torch's own SyncBatchNorm runs on GPUs only.)
    """

    group: Any = None

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same shape, all channels active."""
        assert self.running_mean is not None
        assert self.running_var is not None
        return self.normalise(x, self.weight, self.bias, self.running_mean, self.running_var)

    def normalise(self, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        """Normalise with views of the parameters and statistics, cut to x's channels.

        In training the statistics are updated in place, through the views.
        """
        momentum = self.momentum or 0.0
        if self.training:
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
            if self.group is not None:
                return self._over_processes(x, weight, bias, mean, var)
        return F.batch_norm(x, mean, var, weight, bias, self.training, momentum, self.eps)

    def _over_processes(self, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        """The whole batch's moments are means of the processes' moments: every process holds as many images."""
        world = torch.distributed.get_world_size(self.group)
        # The mean goes round first: the mean of squared deviations loses no digits, the mean of squares would.
        batch_mean = _sum(x.mean((0, 2, 3)), self.group) / world
        centred = x - batch_mean.view(1, -1, 1, 1)
        squares = centred.square().mean((0, 2, 3))
        batch_var = _sum(squares, self.group) / world
        count = world * x.numel() // x.shape[1]
        momentum = self.momentum or 0.0
        with torch.no_grad():
            mean.lerp_(batch_mean.detach(), momentum)
            var.lerp_(batch_var.detach() * (count / max(1, count - 1)), momentum)
        scale = weight * torch.rsqrt(batch_var + self.eps)
        return centred * scale.view(1, -1, 1, 1) + bias.view(1, -1, 1, 1)


class _Sum(torch.autograd.Function):
    """The sum of a tensor over processes. Every process's loss depends on it, so its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, group: Any) -> Tensor:
        ctx.group = group
        total = values.clone()
        torch.distributed.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        total = gradient.clone()
        torch.distributed.all_reduce(total, group=ctx.group)
        return total, None


def _sum(values: Tensor, group: Any) -> Tensor:
    return cast(Tensor, _Sum.apply(values, group))  # type: ignore[no-untyped-call]  # torch has no types for it


def synchronise(net: nn.Module, group: Any) -> None:
    """Let every batch norm of a network see the batches of all processes of `group`."""
    for module in net.modules():
        if isinstance(module, BatchNorm):
            module.group = group
