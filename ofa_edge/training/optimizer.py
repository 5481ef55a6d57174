"""The optimiser of all runs: SGD with Nesterov momentum, no weight decay on batch norm and biases."""

import torch
from torch import nn


def make_optimizer(net: nn.Module, momentum: float, weight_decay: float) -> torch.optim.SGD:
    """SGD over a network's parameters (Once-For-All, appendix B; the learning rate is set at each step)."""
    plain: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    for name, parameter in net.named_parameters():
        (plain if ".bn." in f".{name}" or name.endswith("bias") else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=0.1, momentum=momentum, nesterov=momentum > 0)


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Use a learning rate from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def clip_gradients(net: nn.Module, norm: float | None, value: float | None) -> None:
    """Clip the total norm and each element, where given."""
    if norm:
        torch.nn.utils.clip_grad_norm_(net.parameters(), norm)
    if value:
        torch.nn.utils.clip_grad_value_(net.parameters(), value)
