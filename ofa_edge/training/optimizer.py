"""The optimiser of all runs: SGD with Nesterov momentum, no weight decay on batch norm and biases."""

from collections.abc import Callable

import torch
from torch import nn


def make_optimizer(
    net: nn.Module, momentum: float, weight_decay: float, shares: Callable[[str], float] = lambda name: 1.0
) -> torch.optim.SGD:
    """SGD over a network's parameters (Once-For-All, appendix B; the learning rate is set at each step).

    Args:
        net: the network.
        momentum: of all.
        weight_decay: of all but batch norms and biases.
        shares: share of the learning rate that a parameter has, by its name.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        decay = 0.0 if ".bn." in f".{name}" or name.endswith("bias") else weight_decay
        groups.setdefault((shares(name), decay), []).append(parameter)
    ordered = sorted(groups.items(), key=lambda item: (-item[0][0], -item[0][1]))
    listed = [{"params": part, "weight_decay": decay, "share": share} for (share, decay), part in ordered]
    return torch.optim.SGD(listed, lr=0.1, momentum=momentum, nesterov=momentum > 0)


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Use a learning rate from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["share"]


def clip_gradients(net: nn.Module, norm: float | None, value: float | None) -> None:
    """Clip the total norm and each element, where given."""
    if norm:
        torch.nn.utils.clip_grad_norm_(net.parameters(), norm)
    if value:
        torch.nn.utils.clip_grad_value_(net.parameters(), value)
