"""The processes of one training run: `torchrun --nproc-per-node N -m ofa_edge train ...`, or one process alone.

Every process draws the same subnets and the same augmentation, and works on its rows of the batch; gradients are
averaged, batch norms see the whole batch. So N processes with a batch of B do what one with a batch of N x B does, to
the rounding of floating point. torch's DistributedDataParallel is not used: it expects one backward pass a step over
the same parameters, and a step here has several, each over another subnet's.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ofa_edge.errors import ConfigError, DeviceLostError, UnsupportedError

PATIENCE = timedelta(minutes=30)  # the first process measures accuracy between phases while the others wait


@dataclass(frozen=True)
class World:
    """This process's place among the processes of a run."""

    rank: int = 0
    size: int = 1
    group: Any = None

    @classmethod
    def join(cls, device: str = "cpu") -> "World":
        """Join the run that torchrun started this process for; a world of one where it did not.

        Raises:
            ConfigError: the environment's variables name no run.
        """
        if os.environ.get("WORLD_SIZE", "1") == "1":
            return cls()
        on_gpu = device.startswith("cuda")
        if device == "cuda":  # every process has a GPU of its own; "cuda" alone is the first one's
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        try:
            dist.init_process_group("nccl" if on_gpu else "gloo", timeout=PATIENCE)
        except ValueError as error:  # a variable is missing or no number
            raise ConfigError(
                "the environment names no run to join",
                f"WORLD_SIZE={os.environ['WORLD_SIZE']}: {error}",
                "start with torchrun --nproc-per-node N, or unset WORLD_SIZE",
            ) from error
        return cls(dist.get_rank(), dist.get_world_size(), dist.group.WORLD)

    @staticmethod
    def will_be_first() -> bool:
        """Whether this process, before it has joined, is the one that speaks."""
        return os.environ.get("RANK", "0") == "0"

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and speaks."""
        return self.rank == 0

    def leave(self) -> None:
        """Leave the run; of no effect for a process alone."""
        if self.group is not None:
            dist.destroy_process_group()

    def rows(self, batch: int) -> slice:
        """This process's rows of the whole batch, `batch` images a process."""
        return slice(self.rank * batch, (self.rank + 1) * batch)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Average gradients over the processes, in place. All hold gradients for the same parameters."""
        if self.group is None:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = self.average(torch.cat([gradient.flatten() for gradient in gradients]))
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()

    def average(self, values: Tensor) -> Tensor:
        """The mean of a tensor over the processes."""
        if self.group is None:
            return values
        total = values.clone()
        try:
            dist.all_reduce(total, group=self.group)
        except RuntimeError as error:
            raise lost(error) from error
        return total / self.size


def is_loss(error: BaseException) -> bool:
    """Whether an exception comes from a collective operation that another process did not take part in."""
    if isinstance(error, dist.DistError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in ("gloo", "onnection", "NCCL"))


def lost(error: BaseException) -> DeviceLostError:
    """The error of a run that one of its processes left."""
    return DeviceLostError(
        "another process of this training run ended",
        str(error).splitlines()[0].partition(". This is")[0] if str(error) else type(error).__name__,
        "run the same command again: it continues from the last checkpoint",
    )


def check_device(name: str) -> None:
    """Raise UnsupportedError if torch cannot train on a device of that name here."""
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnsupportedError(f"cannot train on device '{name}'", why, "--on cpu") from error
