"""Networks of which nothing is at its initial value, so that a part left out cannot hide."""

import torch
from torch import nn


def shake(net: nn.Module, spread: float = 0.2, matrices: float = 0.1) -> None:
    """Random running statistics, scales, shifts and kernel matrices; `spread` of means and shifts."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, spread)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, spread)
    for name, parameter in net.named_parameters():
        if "matrix" in name:
            parameter.data.add_(matrices * torch.randn_like(parameter))
