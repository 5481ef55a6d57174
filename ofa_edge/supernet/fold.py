"""Batch norm folding: in inference, a convolution and the batch norm behind it are one convolution.

    y = gamma * (w * x - mean) / sqrt(var + eps) + beta  =  (gamma / sqrt(var + eps) * w) * x + bias'

(Jacob et al., CVPR 2018, section 3.2.)
"""

import copy
import itertools

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ofa_edge.errors import ConversionError


def fold_batch_norm(net: nn.Module) -> nn.Module:
    """Copy `net` with every batch norm folded into the convolution in front of it.

    Two layouts are known: a module whose attributes `conv` and `bn` are the pair, and a batch norm that directly
    follows a convolution in an `nn.Sequential`. The arithmetic is done in float64 and rounded once.

    Returns:
        The copy, in evaluation mode, its batch norms replaced by identities. `net` is left as it was.

    Raises:
        ConversionError: a batch norm stands in neither layout, or the network's statistics are not its own
            (`net.calibrated` is False), so that what would be folded in is wrong.
    """
    if getattr(net, "calibrated", True) is False:
        raise ConversionError(
            "this network's batch norms are not calibrated",
            "a subnet fresh from the supernet carries statistics blended over all subnets; its answers mean nothing",
            "calibrate its batch norms on training images before export",
        )
    folded = copy.deepcopy(net).eval()
    for parent in folded.modules():
        for conv_name, norm_name in _pairs(parent):
            conv, norm = parent.get_submodule(conv_name), parent.get_submodule(norm_name)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and _fits(conv, norm):
                setattr(parent, conv_name, _fuse(conv, norm))
                setattr(parent, norm_name, nn.Identity())
    _check_nothing_left(folded)
    return folded


def _pairs(parent: nn.Module) -> list[tuple[str, str]]:
    """Names of the children of `parent` that may be a convolution and its batch norm."""
    children = dict(parent.named_children())
    if isinstance(parent, nn.Sequential):
        names = list(children)
        return list(itertools.pairwise(names))
    return [("conv", "bn")] if {"conv", "bn"} <= children.keys() else []


def _fits(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> bool:
    return conv.out_channels == norm.num_features and norm.running_mean is not None


def _fuse(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    dtype = conv.weight.dtype
    return fuse_conv_bn_eval(conv.double(), norm.double()).to(dtype)


def _check_nothing_left(net: nn.Module) -> None:
    for name, module in net.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            raise ConversionError(
                f"cannot fold the batch norm '{name}' ({type(module).__name__})",
                "no convolution of the same width stands directly in front of it, or it keeps no running statistics",
                "name the pair `conv` and `bn` in one module, or put them one behind the other in an nn.Sequential",
            )
