"""DARTS: continuous relaxation, bilevel optimisation (Liu, Simonyan, Yang, ICLR 2019, arXiv 1806.09055).

Every block computes all candidates and adds them up with softmax weights (eq. 2). Weights learn on one half of the
images, architecture parameters on the other, in turns (algorithm 1), in the first-order form (xi = 0, section 2.3),
which the paper found a little worse at a fraction of the cost. Adam on alpha with beta (0.5, 0.999) and decay 1e-3, as
in section 3.1; its rate is 10 times the paper's, for a search this short. DARTS itself knows no latency: the expected
latency is added to the loss on the second half, so that it answers the same question as the others.
"""

import numpy as np
import torch
from mixture import derive, mixed
from numpy.typing import NDArray
from setting import Setting, Steering
from torch.nn import functional as F

ALPHA_LR = 3e-3


def search(setting: Setting) -> list[int]:
    """The choice of each block."""
    latencies = setting.latencies
    net, alphas, train, valid = setting.begin(0.5)
    weights, steering = setting.optimizer(net), Steering(setting.budget_ms)
    architecture = torch.optim.Adam(alphas, ALPHA_LR, betas=(0.5, 0.999), weight_decay=1e-3)
    for step in range(setting.steps):
        x, labels = next(valid)
        shares = [alpha.softmax(0) for alpha in alphas]
        expected = latencies.expected(shares)
        loss = F.cross_entropy(net(x, mixed(shares)), labels)
        loss = loss + steering.weight * expected / setting.budget_ms
        architecture.zero_grad()
        loss.backward()
        architecture.step()
        steering.move(expected.item())
        x, labels = next(train)
        fixed = [alpha.detach().softmax(0) for alpha in alphas]
        setting.anneal(weights, step, setting.steps)
        weights.zero_grad()
        F.cross_entropy(net(x, mixed(fixed)), labels).backward()
        weights.step()
    return derive([_scores(alpha) for alpha in alphas], latencies, setting.budget_ms)


def _scores(alpha: torch.Tensor) -> NDArray[np.float64]:
    return np.asarray(alpha.detach().log_softmax(0).numpy(), dtype=np.float64)
