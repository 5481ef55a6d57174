"""What all methods share: the space and data, the latency model, the budget, and how much a search may train."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from mixture import Latencies, Mixture
from torch import Tensor, nn

from ofa_edge.data.dataset import Images
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.data.sampling import stratified_split
from ofa_edge.space import Space
from ofa_edge.training.batches import Batches
from ofa_edge.training.distributed import World
from ofa_edge.training.recipe import AugmentRecipe

BATCH = 128
Stream = Iterator[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Setting:
    """One search.

    Attributes:
        space: one resolution.
        images: that the search sees: a share of the training images (FBNet searches on a tenth of the classes,
            ProxylessNAS and DARTS on parts of the training set, MnasNet trains each sample for 5 epochs).
        preprocessing, augment: as the networks are trained with afterwards.
        latencies: milliseconds of every candidate, and of what is fixed.
        budget_ms: which the network must meet.
        steps: of the weights.
        seed: of all draws.
    """

    space: Space
    images: Images
    preprocessing: Preprocessing
    augment: AugmentRecipe
    latencies: Latencies
    budget_ms: float
    steps: int
    seed: int = 0
    lr: float = 0.1
    weight_decay: float = 3e-5

    def stream(self, images: Images, seed: int) -> Stream:
        """Endless training batches: images [B, C, r, r] and labels [B]."""
        size = self.space.resolutions[-1]
        batch = min(BATCH, len(images))
        batches = Batches(images, [size], self.preprocessing, self.augment, batch, seed, World())
        step = 0
        while True:
            yield batches.get(step, size, batches.generator(step))
            step += 1

    def begin(self, share: float) -> tuple[Mixture, list[Tensor], Stream, Stream]:
        """A new network, its architecture parameters, and batches for the one (`share` of the images) and the other."""
        torch.manual_seed(self.seed)
        net = Mixture(self.space).train()
        alphas = [torch.zeros(len(row), requires_grad=True) for row in self.latencies.blocks]
        first, second = self.halves(share)
        return net, alphas, self.stream(first, self.seed), self.stream(second, self.seed + 1)

    def halves(self, share: float) -> tuple[Images, Images]:
        """Images for the weights, and images for the architecture."""
        rest, first = stratified_split(self.images.labels, round(share * len(self.images)), self.seed)
        return self.images.take(first), self.images.take(rest)

    def optimizer(self, module: nn.Module) -> torch.optim.SGD:
        """SGD of the weights; `anneal` moves its rate."""
        return torch.optim.SGD(
            module.parameters(), self.lr, momentum=0.9, nesterov=True, weight_decay=self.weight_decay
        )

    def anneal(self, optimizer: torch.optim.Optimizer, step: int, steps: int) -> None:
        """Cosine from `lr` to 0, after a warm-up over the first tenth."""
        warm = min(1.0, (step + 1) / max(1, steps // 10))
        for group in optimizer.param_groups:
            group["lr"] = self.lr * warm * 0.5 * (1 + np.cos(np.pi * step / steps))


@dataclass
class Steering:
    """The weight of a latency term, moved until the expected latency meets the budget.

    Each paper finds its weight by trials. Multiplying it by what the last step missed is one trial instead of many, and
    the same for every method that has such a weight.
    """

    budget_ms: float
    weight: float = 0.1
    rate: float = 0.05
    bounds: tuple[float, float] = field(default=(1e-3, 10.0))

    def move(self, expected_ms: float) -> None:
        """After a step of the architecture."""
        factor = (expected_ms / self.budget_ms) ** self.rate
        self.weight = float(np.clip(self.weight * factor, *self.bounds))
