"""ProxylessNAS: binarised paths (Cai, Zhu, Han, ICLR 2019, arXiv 1812.00332).

Weights: one path of each block is drawn (eq. 2) and trained alone. Architecture parameters: two paths of each block are
drawn, the others masked out; binary gates choose one of the two, and the gradient by the gates stands in for that by
the probabilities (eq. 3, 4, section 3.2.2); the two are then rescaled so that the paths that were not drawn keep their
probability. Loss: CE + lambda * E[latency] (eq. 5, 6). Half of the images for each, in turns; Adam on alpha with the
paper's rate, 0.006 (section 4.1: beta 0, 0.999, as in its code).
"""

import numpy as np
import torch
from mixture import Mixture, Weighted, derive, one_path
from setting import Setting, Steering
from torch import Tensor
from torch.nn import functional as F

ALPHA_LR = 6e-3


def search(setting: Setting) -> list[int]:
    """The choice of each block."""
    latencies = setting.latencies
    net, alphas, train, valid = setting.begin(0.5)
    weights, steering = setting.optimizer(net), Steering(setting.budget_ms)
    architecture = torch.optim.Adam(alphas, ALPHA_LR, betas=(0.0, 0.999))
    for step in range(setting.steps):
        x, labels = next(train)
        path = [int(torch.multinomial(alpha.detach().softmax(0), 1)) for alpha in alphas]
        setting.anneal(weights, step, setting.steps)
        weights.zero_grad()
        F.cross_entropy(net(x, one_path(path)), labels).backward()
        weights.step()
        x, labels = next(valid)
        expected = _architecture_step(net, alphas, architecture, setting, steering.weight, x, labels)
        steering.move(expected)
    scores = [np.asarray(alpha.detach().log_softmax(0).numpy(), dtype=np.float64) for alpha in alphas]
    return derive(scores, latencies, setting.budget_ms)


def _architecture_step(
    net: Mixture,
    alphas: list[Tensor],
    optimizer: torch.optim.Optimizer,
    setting: Setting,
    weight: float,
    x: Tensor,
    labels: Tensor,
) -> float:
    """One step of the architecture parameters; the expected latency before it."""
    drawn = [torch.multinomial(alpha.detach().softmax(0), 2) for alpha in alphas]
    gates = []
    for alpha, two in zip(alphas, drawn, strict=True):
        active = torch.multinomial(alpha.detach()[two].softmax(0), 1)
        gates.append(F.one_hot(active[0], 2).float().requires_grad_())

    def choose(index: int) -> Weighted:
        return [(int(drawn[index][place]), gates[index][place]) for place in (0, 1)]

    F.cross_entropy(net(x, choose), labels).backward()
    optimizer.zero_grad()
    expected = setting.latencies.expected([alpha.softmax(0) for alpha in alphas])
    (weight * expected / setting.budget_ms).backward()
    for alpha, two, gate in zip(alphas, drawn, gates, strict=True):
        p = alpha.detach()[two].softmax(0)
        assert gate.grad is not None
        assert alpha.grad is not None
        # eq. 4: dL/d alpha_i = sum_j dL/dg_j p_j (delta_ij - p_i)
        by_gate = p * (gate.grad - (gate.grad * p).sum())
        alpha.grad[two] += by_gate
    before = [alpha.detach().clone() for alpha in alphas]
    optimizer.step()
    _keep_the_others(alphas, before, drawn)
    return expected.item()


def _keep_the_others(alphas: list[Tensor], before: list[Tensor], drawn: list[Tensor]) -> None:
    """Shift each pair so that the sum of its exponentials is what it was; the others stay where they were."""
    with torch.no_grad():
        for alpha, old, two in zip(alphas, before, drawn, strict=True):
            shift = old[two].logsumexp(0) - alpha[two].logsumexp(0)
            moved = alpha[two] + shift
            alpha.copy_(old)
            alpha[two] = moved
