"""Random regularisation of one forward pass: dropout on the features, drop-path on the residual blocks."""

import torch
from torch import Tensor


class Noise:
    """The draws of one forward pass.

    Masks are drawn for the whole batch and cut to this process's rows, so that a run over several processes sees what
    one process with the whole batch does.

    Args:
        seed: of the draws.
        dropout: share of the features that are dropped.
        drop_path: chance that the last residual block is skipped for an image; earlier ones proportionally less
            (stochastic depth, Huang et al., ECCV 2016).
        batch: images in the whole batch.
        rows: which of them this process holds.
    """

    def __init__(self, seed: int, dropout: float, drop_path: float, batch: int, rows: slice) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.dropout, self.drop_path = dropout, drop_path
        self.batch, self.rows = batch, rows

    def features(self, x: Tensor) -> Tensor:
        """Dropout on features [N, F]."""
        return x * self._mask(x.shape[1], self.dropout, x) if self.dropout else x

    def path(self, x: Tensor, depth: float) -> Tensor:
        """Drop a residual block's output [N, C, H, W] for some images; `depth` is its place in the network, 0..1."""
        rate = self.drop_path * depth
        return x * self._mask(1, rate, x).view(-1, 1, 1, 1) if rate else x

    def _mask(self, columns: int, rate: float, like: Tensor) -> Tensor:
        kept = torch.rand(self.batch, columns, generator=self.generator)[self.rows] >= rate
        return kept.to(like) / (1 - rate)
