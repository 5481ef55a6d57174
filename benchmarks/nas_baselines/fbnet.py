"""FBNet: Gumbel-softmax over all candidates, latency in the loss (Wu et al., CVPR 2019, arXiv 1812.03443).

Each block adds up its candidates with weights from a Gumbel-softmax (eq. 6, 7) whose temperature falls exponentially
from 5. Loss: CE * alpha * log(LAT)^beta with alpha 0.2, beta 0.6 (eq. 3, section 4.1), LAT the expected latency of the
draw by the table (eq. 4, 5). Weights learn on 80 % of the images by SGD, theta on 20 % by Adam with rate 0.01 and decay
5e-4 (section 4.1). Theta rests for the first tenth, while the weights warm up. The network is drawn from the
distribution that theta ends with; here its likeliest one.
"""

import numpy as np
import torch
from mixture import derive, mixed
from setting import Setting
from torch.nn import functional as F

ALPHA, BETA = 0.2, 0.6
HOT, COLD = 5.0, 0.1  # 5 * 0.956^90 is 0.087
THETA_LR, THETA_DECAY = 0.01, 5e-4
WEIGHT_STEPS = 4  # of the weights for one of theta: 80 % of the images against 20 %


def search(setting: Setting) -> list[int]:
    """The choice of each block."""
    latencies = setting.latencies
    net, thetas, train, valid = setting.begin(0.8)
    weights = setting.optimizer(net)
    architecture = torch.optim.Adam(thetas, THETA_LR, weight_decay=THETA_DECAY)
    for step in range(setting.steps):
        temperature = HOT * (COLD / HOT) ** (step / setting.steps)
        x, labels = next(train)
        drawn = [F.gumbel_softmax(theta.detach(), temperature) for theta in thetas]
        setting.anneal(weights, step, setting.steps)
        weights.zero_grad()
        F.cross_entropy(net(x, mixed(drawn)), labels).backward()
        weights.step()
        if step < setting.steps // 10 or step % WEIGHT_STEPS:
            continue
        x, labels = next(valid)
        drawn = [F.gumbel_softmax(theta, temperature) for theta in thetas]
        # The paper's table is in microseconds; what counts is that the logarithm is positive.
        latency = 1e3 * latencies.expected(drawn)
        error = F.cross_entropy(net(x, mixed(drawn)), labels)
        loss = error * ALPHA * torch.log(latency) ** BETA
        architecture.zero_grad()
        loss.backward()
        architecture.step()
    scores = [np.asarray(theta.detach().log_softmax(0).numpy(), dtype=np.float64) for theta in thetas]
    return derive(scores, latencies, setting.budget_ms)
