"""MnasNet: reinforcement learning with a latency-aware reward (Tan et al., CVPR 2019, arXiv 1807.11626).

A recurrent controller draws one choice for each block. Each network drawn is trained for a short while and scored:
reward = ACC * (LAT / T)^w, w = 0 within T and -1 beyond (eq. 2, 3: the hard constraint; the paper prefers the soft one,
w = -0.07 on both sides, for fronts, and here one budget must be met). The controller learns by proximal policy
optimisation (section 4.2; the clipped form of Schulman et al., arXiv 1707.06347). The paper draws about 8,000 networks
and trains each for 5 epochs. The answer is the best within the target of those drawn; if none is, the one of the
highest reward, brought within it by what the controller minds least.
"""

import numpy as np
import torch
from mixture import derive, subnet_of
from numpy.typing import NDArray
from setting import Setting
from torch import Tensor, nn
from torch.nn import functional as F

from ofa_edge.supernet.network import initialise
from ofa_edge.supernet.static import StaticNet

BEYOND = -1.0  # w where a network is slower than T
SAMPLES, ROUND = 40, 5  # networks drawn, and how many between two updates of the controller
CLIP, EPOCHS, RATE, ENTROPY = 0.2, 5, 5e-3, 1e-3


class Controller(nn.Module):
    """An LSTM that reads the last choice and gives the scores of the next block's candidates."""

    def __init__(self, sizes: list[int], width: int = 32) -> None:
        super().__init__()
        self.sizes = sizes
        self.embed = nn.Embedding(max(sizes) + 1, width)  # the last one starts a sequence
        self.cell = nn.LSTMCell(width, width)
        self.head = nn.Linear(width, max(sizes))

    def forward(self, rows: Tensor | None, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Draw `count` sequences, or score `rows` [N, blocks]: choices, their log-probability [N], the entropy."""
        last = torch.full((count,), max(self.sizes))
        state: tuple[Tensor, Tensor] | None = None
        choices, log, entropy = [], torch.zeros(count), torch.zeros(())
        for index, size in enumerate(self.sizes):
            state = self.cell(self.embed(last), state)
            table = torch.distributions.Categorical(logits=self.head(state[0])[:, :size])
            last = table.sample() if rows is None else rows[:, index]
            choices.append(last)
            log = log + table.log_prob(last)
            entropy = entropy + table.entropy().mean()
        return torch.stack(choices, 1), log, entropy


def search(setting: Setting) -> list[int]:
    """The choice of each block."""
    torch.manual_seed(setting.seed)
    controller = Controller([len(row) for row in setting.latencies.blocks])
    optimizer = torch.optim.Adam(controller.parameters(), RATE)
    baseline: float | None = None
    best: tuple[bool, float, list[int]] = (False, 0.0, [])
    for _ in range(SAMPLES // ROUND):
        with torch.no_grad():
            rows, old, _ = controller(None, ROUND)
        rewards = []
        for row in rows.tolist():
            latency = setting.latencies.total(row)
            accuracy = _short_training(setting, row)
            within = latency <= setting.budget_ms
            rewards.append(accuracy if within else accuracy * (latency / setting.budget_ms) ** BEYOND)
            best = max(best, (within, rewards[-1], row))
        mean = float(np.mean(rewards))
        baseline = mean if baseline is None else 0.8 * baseline + 0.2 * mean
        advantage = torch.tensor(rewards) - baseline
        advantage = advantage / (advantage.std() + 1e-6)
        for _ in range(EPOCHS):
            _, log, entropy = controller(rows, ROUND)
            ratio = (log - old).exp()
            clipped = ratio.clamp(1 - CLIP, 1 + CLIP)
            loss = -torch.min(ratio * advantage, clipped * advantage).mean() - ENTROPY * entropy
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    within, _, chosen = best
    return chosen if within else derive(_around(controller, chosen), setting.latencies, setting.budget_ms)


def _around(controller: Controller, chosen: list[int]) -> list[NDArray[np.float64]]:
    """The controller's log-probabilities of every choice, one block changed at a time; the chosen one on top."""
    scores = []
    for index, size in enumerate(controller.sizes):
        rows = torch.tensor(chosen).repeat(size, 1)
        rows[:, index] = torch.arange(size)
        with torch.no_grad():
            row = controller(rows, size)[1].numpy().astype(np.float64)
        row[chosen[index]] = float(row.max()) + 1e-9
        scores.append(row)
    return scores


def _short_training(setting: Setting, choices: list[int]) -> float:
    """Accuracy on the held-out fifth after `setting.steps` steps."""
    torch.manual_seed(setting.seed)
    net = StaticNet(setting.space, subnet_of(setting.space, choices))
    initialise(net)
    first, second = setting.halves(0.8)
    train, optimizer = setting.stream(first, setting.seed), setting.optimizer(net)
    net.train()
    for step in range(setting.steps):
        x, labels = next(train)
        setting.anneal(optimizer, step, setting.steps)
        optimizer.zero_grad()
        F.cross_entropy(net(x), labels).backward()
        optimizer.step()
    net.eval()
    size = setting.space.resolutions[-1]
    x = torch.from_numpy(setting.preprocessing.at(size).normalise(second.resized(size).pixels))
    with torch.no_grad():
        return float((net(x).argmax(1) == torch.from_numpy(second.labels)).float().mean())
