"""BN re-calibration (Once-For-All, section 3.3): an extracted network gets the statistics of its own activations."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from ofa_edge.errors import DataError
from ofa_edge.supernet.static import StaticNet


class _Moments:
    """Weighted sums of batch means and variances of one layer's input, in float64."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.mean = torch.zeros(channels, dtype=torch.float64)
        self.square = torch.zeros(channels, dtype=torch.float64)
        self.var = torch.zeros(channels, dtype=torch.float64)

    def add(self, x: Tensor) -> None:
        var, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0)
        mean, var = mean.double().cpu(), var.double().cpu()
        self.count += len(x)
        self.mean += len(x) * mean
        self.square += len(x) * mean.square()
        self.var += len(x) * var

    def result(self, pooled: bool) -> tuple[Tensor, Tensor]:
        mean, var = self.mean / self.count, self.var / self.count
        return mean, var + (self.square / self.count - mean.square()).clamp_min(0) if pooled else var


def recalibrate_bn(net: StaticNet, batches: Iterable[Tensor], *, pooled: bool = False) -> StaticNet:
    """Set every batch norm's running statistics from images, in place, and mark the network as calibrated.

    Each layer normalises with the current batch's mean and biased variance while both are recorded; the running values
    become their averages over the batches, weighted by batch size. That is the reference's formula, which leaves the
    variance between batches out.

    Args:
        net: an extracted network.
        batches: normalised images [N, C, r, r], at the subnet's resolution.
        pooled: add the variance between batches.

    Returns:
        `net`, in eval mode.

    Raises:
        DataError: there are no images.
    """
    layers = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    moments = [_Moments(layer.num_features) for layer in layers]
    handles = [layer.register_forward_pre_hook(_record(m)) for layer, m in zip(layers, moments, strict=True)]
    net.eval()
    try:
        for layer in layers:
            layer.train()
            layer.momentum = 0.0  # normalise with the batch, leave the running values alone
        with torch.inference_mode():
            for batch in batches:
                net(batch)
    finally:
        for layer, handle in zip(layers, handles, strict=True):
            handle.remove()
            layer.momentum = 0.1
        net.eval()
    if not moments[0].count:
        raise DataError("no calibration images", "BN re-calibration was given an empty set", "add training images")
    with torch.no_grad():
        for layer, moment in zip(layers, moments, strict=True):
            mean, var = moment.result(pooled)
            assert layer.running_mean is not None
            assert layer.running_var is not None
            layer.running_mean.copy_(mean)
            layer.running_var.copy_(var)
    net.calibrated = True
    return net


def _record(moments: _Moments) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def hook(_: nn.Module, args: tuple[Tensor, ...]) -> None:
        moments.add(args[0])

    return hook
