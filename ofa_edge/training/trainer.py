"""The trainer: runs a recipe's phases over a supernet, saves as it goes, and resumes where it was killed.

Every random draw (order of images, augmentation, subnets, resolution, dropout) comes from a generator seeded by
(seed, step), so a run that was resumed sees exactly what an uninterrupted one does.
"""

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (torch's own convention)

from ofa_edge.data.augment import augment
from ofa_edge.data.dataset import Images
from ofa_edge.space import Space, Subnet
from ofa_edge.supernet.network import ElasticMBConv, Supernet
from ofa_edge.supernet.noise import Noise
from ofa_edge.supernet.sorting import sort_channels
from ofa_edge.training.checkpoint import Position, load_checkpoint, save_checkpoint
from ofa_edge.training.recipe import Phase, Recipe

_EPOCH_STREAM, _STEP_STREAM = 0, 1


@dataclass(frozen=True)
class Progress:
    """What is known after a step. Losses and accuracy are of that step's batch."""

    step: int
    total_steps: int
    phase: str
    epoch: int
    lr: float
    loss: float  # of the largest subnet
    accuracy: float  # of the largest subnet on its training batch, in percent
    subnet_losses: tuple[float, ...]
    seconds: float  # since this process started training


class Trainer:
    """One training run.

    Args:
        recipe: what to do.
        space: the search space, `recipe.make_space(...)`.
        train: training images, held-out ones removed.
        folder: where the checkpoint and the log go.
        device: torch device.
    """

    def __init__(self, recipe: Recipe, space: Space, train: Images, folder: Path, device: str = "cpu") -> None:
        self.recipe, self.space, self.folder, self.device = recipe, space, folder, torch.device(device)
        train = train.take(slice(recipe.data.limit))
        self.images = {r: train.resized(r).pixels for r in sorted({r for p in recipe.phases for r in p.resolutions})}
        self.labels = torch.from_numpy(train.labels)
        self.steps_per_epoch = len(train) // recipe.batch
        self.total_steps = sum(phase.epochs * self.steps_per_epoch for phase in recipe.phases)
        torch.manual_seed(recipe.seed)
        self.net = Supernet(space)
        self.net.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if recipe.zero_gamma:
            _zero_residual_gammas(self.net)
        self.optimizer = self._make_optimizer()
        self.step = 0

    @property
    def checkpoint(self) -> Path:
        """The file to resume from."""
        return self.folder / "checkpoint.safetensors"

    def resume(self) -> bool:
        """Continue from the folder's checkpoint, if there is one."""
        if not self.checkpoint.exists():
            return False
        self.step = load_checkpoint(self.checkpoint, self.net, self.optimizer, self.recipe.digest).step
        return True

    def save(self) -> None:
        """Write the checkpoint."""
        save_checkpoint(self.checkpoint, self.net, self.optimizer, Position(self.step, self.recipe.digest))

    def run(
        self, on_step: Callable[[Progress], None] = lambda _: None, save_every: float = 60.0, stop_at: int | None = None
    ) -> Supernet:
        """Train to the end (or to step `stop_at`), saving every `save_every` seconds and at the end.

        On an exception, Ctrl-C included, the state after the last whole step is saved before it goes on.
        """
        started = saved = time.monotonic()
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            for progress in self._steps(started, stop_at):
                on_step(progress)
                if progress.step % 50 == 0 or progress.step == self.total_steps:
                    self._log(progress)
                if time.monotonic() - saved > save_every:
                    self.save()
                    saved = time.monotonic()
        finally:
            self.save()
        return self.net

    def _steps(self, started: float, stop_at: int | None) -> Iterator[Progress]:
        end = self.total_steps if stop_at is None else min(stop_at, self.total_steps)
        while self.step < end:
            phase, step_in_phase = self._phase_at(self.step)
            if step_in_phase == 0:
                self._begin(phase)
            lr = self._learning_rate(phase, step_in_phase)
            accuracy, losses = self._train_step(phase, lr)
            self.step += 1
            epoch = self.step // self.steps_per_epoch
            seconds = time.monotonic() - started
            yield Progress(
                self.step, self.total_steps, phase.name, epoch, lr, losses[0], accuracy, tuple(losses), seconds
            )

    def _phase_at(self, step: int) -> tuple[Phase, int]:
        for phase in self.recipe.phases:
            length = phase.epochs * self.steps_per_epoch
            if step < length:
                return phase, step
            step -= length
        raise IndexError(step)

    def _begin(self, phase: Phase) -> None:
        """Prepare a phase: sort channels if asked to; momentum of another arrangement of channels is dropped."""
        if phase.sort_channels:
            sort_channels(self.net)
        self.optimizer.state.clear()

    def _learning_rate(self, phase: Phase, step: int) -> float:
        done = step / (phase.epochs * self.steps_per_epoch)
        cosine = phase.final_lr + (1 - phase.final_lr) * (1 + math.cos(math.pi * done)) / 2
        return phase.lr * cosine * min(1.0, (step + 1) / max(1, phase.warmup_steps))

    def _batch(self, phase: Phase, rng: np.random.Generator) -> tuple[Tensor, Tensor, int]:
        epoch, index = divmod(self.step, self.steps_per_epoch)
        order = np.random.default_rng([self.recipe.seed, _EPOCH_STREAM, epoch]).permutation(len(self.labels))
        chosen = order[index * self.recipe.batch : (index + 1) * self.recipe.batch]
        resolution = int(rng.choice(phase.resolutions))
        pixels = augment(self.images[resolution][chosen], rng, **self.recipe.augment.model_dump())
        x = torch.from_numpy(self.recipe.preprocessing(resolution).normalise(pixels))
        x = x.to(self.device, memory_format=torch.channels_last)
        return x, self.labels[chosen].to(self.device), resolution

    def _train_step(self, phase: Phase, lr: float) -> tuple[float, list[float]]:
        rng = np.random.default_rng([self.recipe.seed, _STEP_STREAM, self.step])
        x, labels, resolution = self._batch(phase, rng)
        noise = Noise(int(rng.integers(2**62)), self.recipe.dropout, 0.0, len(x), slice(None))
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.net.train()
        self.optimizer.zero_grad()
        logits = self.net(x, self.space.largest(resolution), noise)
        loss = F.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        losses = [loss.detach()]
        targets = logits.detach().softmax(1) if phase.distill else labels
        for choice in phase.subnets:
            if choice != "largest":
                loss = F.cross_entropy(self.net(x, self._subnet(choice, resolution, rng)), targets)
                loss.backward()  # type: ignore[no-untyped-call]
                losses.append(loss.detach())
        if self.recipe.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.recipe.clip_norm)
        self.optimizer.step()
        accuracy = (logits.detach().argmax(1) == labels).float().mean() * 100
        return float(accuracy), [float(loss) for loss in losses]

    def _subnet(self, choice: str, resolution: int, rng: np.random.Generator) -> Subnet:
        if choice == "smallest":
            return self.space.smallest(resolution)
        return self.space.subnet(self.space.sample(rng, 1, resolution)[0])

    def _make_optimizer(self) -> torch.optim.Optimizer:
        """SGD with Nesterov momentum; no weight decay on batch norm and biases."""
        plain: list[nn.Parameter] = []
        decayed: list[nn.Parameter] = []
        for name, parameter in self.net.named_parameters():
            (plain if ".bn." in name or name.endswith("bias") else decayed).append(parameter)
        groups = [{"params": decayed, "weight_decay": self.recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        return torch.optim.SGD(groups, lr=0.1, momentum=self.recipe.momentum, nesterov=self.recipe.momentum > 0)

    def _log(self, progress: Progress) -> None:
        record = {
            key: round(value, 5) if isinstance(value, float) else value for key, value in asdict(progress).items()
        }
        record["subnet_losses"] = [round(loss, 5) for loss in progress.subnet_losses]
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")


def _zero_residual_gammas(net: Supernet) -> None:
    for block in net.blocks[1:]:
        conv = block.conv
        if isinstance(conv, ElasticMBConv) and conv.spec.shortcut:
            torch.nn.init.zeros_(conv.get_parameter("point_linear.bn.bn.weight"))
