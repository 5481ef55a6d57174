"""BN re-calibration (Once-For-All, section 3.3): an extracted network gets the statistics of its own activations."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from ofa_edge.errors import DataError
from ofa_edge.supernet.static import StaticNet, require_images

_ROWS = 4096  # values a channel that are in float64 at a time


class _Moments:
    """Weighted sums of batch means and variances of one layer's input, in float64."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.mean = torch.zeros(channels, dtype=torch.float64)
        self.square = torch.zeros(channels, dtype=torch.float64)
        self.var = torch.zeros(channels, dtype=torch.float64)

    def add(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Take a batch [N, C, H, W] in; returns its own mean and biased variance [C].

        Sums are in float64: PyTorch's batch norm adds channels-last images up in float32, which is 1e-4 of a variance
        off and depends on the number of threads.
        """
        rows = x.movedim(1, -1).reshape(-1, x.shape[1])
        total = torch.zeros(x.shape[1], dtype=torch.float64, device=x.device)
        squares = torch.zeros_like(total)
        for part in torch.split(rows, _ROWS):
            values = part.double()
            total += values.sum(0)
            squares += values.square().sum(0)
        mean = (total / len(rows)).cpu()
        var = ((squares / len(rows)).cpu() - mean.square()).clamp_min(0)
        self.count += len(x)
        self.mean += len(x) * mean
        self.square += len(x) * mean.square()
        self.var += len(x) * var
        return mean, var

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
        ConfigError: they are not of the subnet's resolution.
    """
    layers = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    moments = [_Moments(layer.num_features) for layer in layers]
    handles = [layer.register_forward_pre_hook(_record(m)) for layer, m in zip(layers, moments, strict=True)]
    net.eval()
    try:
        with torch.no_grad():
            for batch in batches:
                require_images(batch, net.space, net.subnet)
                net(batch)
    finally:
        for handle in handles:
            handle.remove()
    if not moments[0].count:
        raise DataError("no calibration images", "BN re-calibration was given an empty set", "add training images")
    for layer, moment in zip(layers, moments, strict=True):
        _set_statistics(layer, *moment.result(pooled))
    net.calibrated = True
    return net


def _set_statistics(layer: nn.BatchNorm2d, mean: Tensor, var: Tensor) -> None:
    assert layer.running_mean is not None
    assert layer.running_var is not None
    layer.running_mean.copy_(mean)
    layer.running_var.copy_(var)


def _record(moments: _Moments) -> Callable[[nn.BatchNorm2d, tuple[Tensor, ...]], None]:
    def hook(layer: nn.BatchNorm2d, args: tuple[Tensor, ...]) -> None:
        _set_statistics(layer, *moments.add(args[0]))  # the layer, in eval mode, normalises by its batch

    return hook
