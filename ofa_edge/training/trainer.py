"""The trainer of supernets: runs a recipe's phases, each step over several subnets whose gradients are summed."""

import dataclasses
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from ofa_edge import cost
from ofa_edge.data.dataset import Images
from ofa_edge.errors import WeightsError
from ofa_edge.space import CLASSIFIER, Space, Subnet, layout
from ofa_edge.supernet.network import Supernet
from ofa_edge.supernet.noise import Noise
from ofa_edge.supernet.normalise import synchronise
from ofa_edge.supernet.sorting import sort_channels
from ofa_edge.supernet.static import StaticNet
from ofa_edge.supernet.weights import load_static, save_static
from ofa_edge.training.balance import class_weights
from ofa_edge.training.batches import Batches
from ofa_edge.training.checkpoint import Position
from ofa_edge.training.distributed import World
from ofa_edge.training.optimizer import clip_gradients, make_optimizer, set_learning_rate
from ofa_edge.training.plan import PhasePlan, passes, plan_run
from ofa_edge.training.recipe import Recipe
from ofa_edge.training.run import Progress, Run
from ofa_edge.training.step import StepFunction, TrainingStep, recipe_step, step_identity
from ofa_edge.training.teacher import Lessons, Teacher

TEACHER = "teacher.safetensors"


def layer_shares(space: Space, decay: float) -> Callable[[str], float]:
    """Share of the learning rate of each parameter, by its name: `decay` to the number of layers behind its own."""
    places = [place.source for place in layout(space, space.largest())]
    shares = {f"{name}.": decay**behind for behind, name in enumerate(reversed(places))}
    return lambda name: next((share for prefix, share in shares.items() if name.startswith(prefix)), 1.0)


class Trainer:
    """One training run.

    Args:
        recipe: what to do.
        space: the search space, `recipe.make_space(...)`.
        train: training images, held-out ones removed.
        folder: where the checkpoint and the log go.
        device: torch device.
        world: the processes of the run, this one alone by default.
        after_phase: called by the first process after each phase; once more where a run is resumed right there.
        log_every: steps between two lines of the log.
        step_function: computes the gradients of a step; by default as the recipe says. What a run is expected to cost
            is the recipe's in any case.
        start: what the run begins with, in place of random weights; of the same space, and trained in place.
        teacher: that the recipe's [teacher] names.
    """

    def __init__(
        self,
        recipe: Recipe,
        space: Space,
        train: Images,
        folder: Path,
        device: str = "cpu",
        world: World | None = None,
        after_phase: Callable[[PhasePlan, Supernet], None] = lambda phase, net: None,
        log_every: int | None = None,
        step_function: StepFunction = recipe_step,
        start: Supernet | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        self.recipe, self.space, self.folder, self.device = recipe, space, folder, torch.device(device)
        self.world, self.after_phase, self.step_function = world or World(), after_phase, step_function
        if recipe.data.limit is not None:
            train = train.sample(recipe.data.limit, recipe.data.split_seed)
        self.plan = plan_run(recipe, space, len(train), self.world.size)
        sizes = [size for part in self.plan.phases for size in part.resolutions()]
        preprocessing = recipe.preprocessing(space.resolutions[-1])
        balance = recipe.data.balance
        self.batches = Batches(
            train, sizes, preprocessing, recipe.augment, recipe.batch, recipe.seed, self.world, balance
        )
        weights = class_weights(train.labels, space.num_classes) if balance == "loss" else None
        self._class_weights = None if weights is None else weights.to(self.device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.net = Supernet(space) if start is None else start
        self.net.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch names no such overload
        if recipe.zero_gamma:
            for norm in self.net.residual_norms():
                torch.nn.init.zeros_(norm.weight)
        synchronise(self.net, self.world.group)
        self.lessons = None if teacher is None else Lessons(teacher, train)
        self.teacher: nn.Module | None = None  # the frozen full network of phases that learn from it
        optimizer = make_optimizer(
            self.net, recipe.momentum, recipe.weight_decay, layer_shares(space, recipe.layer_decay)
        )
        self._trained: str | None = None  # of a network's weights, those that have gradients
        digest = f"{recipe.digest}/{train.digest[:16]}"
        if step_function is not recipe_step:
            digest += f"/{step_identity(step_function)}"
        self._run = Run(self.net, optimizer, folder, digest, self.plan.steps, self.world, log_every)

    @property
    def step(self) -> int:
        """Steps done."""
        return self._run.position.step

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.plan.steps

    @property
    def state(self) -> Supernet:
        """The supernet, as it is after the steps done."""
        return self.net

    @property
    def checkpoint(self) -> Path:
        """The file to resume from."""
        return self._run.checkpoint

    def resume(self) -> bool:
        """Continue from the folder's checkpoint, if there is one."""
        return self._run.resume()

    def run(
        self, on_step: Callable[[Progress], None] = lambda _: None, save_every: float = 60.0, stop_at: int | None = None
    ) -> Supernet:
        """Train to the end (or to step `stop_at`); see `Run.go`."""
        self._run.go(self._take_step, on_step, save_every, stop_at)
        if self.step == self.plan.steps:
            self._finish_phase(self.plan.phases[-1])
        return self.net

    def time_step(self, step: int) -> tuple[float, float]:
        """Take one step, out of turn and without a record; seconds and multiply-accumulates of it. For estimates only.

        Phases are to be gone through in order: the first step of one prepares what its others need.
        """
        started = time.perf_counter()
        progress = self._take_step(Position(step, "", processes=self.world.size))
        self._run.optimizer.step()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter() - started, progress.macs

    def _finish_phase(self, part: PhasePlan) -> None:
        if self.world.first:
            self.after_phase(part, self.net)

    def _take_step(self, position: Position) -> Progress:
        step = position.step
        part = self.plan.at(step)
        self._prepare(part, step)
        rng = self.batches.generator(step)
        resolution = int(rng.choice(part.resolutions()))
        pixels, rows = self.batches.views(step, resolution, rng)
        x, labels = (
            self.batches.normalised(pixels, resolution).to(self.device),
            self.batches.labels[rows].to(self.device),
        )
        taught = None
        if self.lessons is not None:
            taught = partial(self.lessons.loss, answers=self.lessons.answers(pixels, rows).to(self.device))
        subnets = [part.subnet(choice, resolution, rng) for choice in part.phase.subnets]
        noise_seed = int(rng.integers(2**62))

        lr = part.learning_rate(step - part.start)
        set_learning_rate(self._run.optimizer, lr)
        self.net.train()
        self._run.optimizer.zero_grad()
        batch = dataclasses.replace(self._batch(part, step, x, labels, subnets, noise_seed), taught=taught)
        losses = list(self.step_function(batch))
        self.world.average_gradients(self.net.parameters())
        clip_gradients(self.net, self.recipe.clip_norm, self.recipe.clip_value)

        facts = self.world.average(torch.stack([batch.accuracy(), *losses])).tolist()
        macs = position.macs + self.macs_of(part, subnets)
        done = step + 1
        return Progress(
            step=done,
            total_steps=self.plan.steps,
            phase=part.phase.name,
            epoch=done // self.plan.steps_per_epoch,
            lr=lr,
            loss=facts[1],
            accuracy=facts[0],
            subnet_losses=tuple(facts[1:]),
            macs=macs,
            expected_macs=macs + self.plan.macs_until(self.plan.steps) - self.plan.macs_until(done),
            ends_epoch=done % self.plan.steps_per_epoch == 0,
        )

    def _batch(
        self, part: PhasePlan, step: int, x: Tensor, labels: Tensor, subnets: list[Subnet], noise_seed: int
    ) -> TrainingStep:
        """What the step function is given."""
        recipe, rows = self.recipe, self.world.rows(self.recipe.batch)

        def noise(index: int) -> Noise:
            return Noise(noise_seed + index, recipe.dropout, recipe.drop_path, self.plan.batch, rows)

        return TrainingStep(
            supernet=self.net,
            images=x,
            labels=labels,
            subnets=tuple(subnets),
            part=part,
            number=step - part.start,
            recipe=recipe,
            class_weights=self._class_weights,
            teacher=self.teacher if part.phase.distill == "teacher" else None,
            noise=noise,
        )

    def macs_of(self, part: PhasePlan, subnets: list[Subnet]) -> float:
        """What a step of these subnets costs, forward and backward, its teacher included."""
        total = passes(part.phase) * sum(cost.macs(self.space, subnet) for subnet in subnets)
        if part.phase.distill == "teacher":
            total += cost.macs(self.space, self.space.largest(subnets[0].resolution))
        return float(total * self.plan.batch)

    def _prepare(self, part: PhasePlan, step: int) -> None:
        """What a phase's first step wants done, and, after a restart, what its later steps need."""
        if self._trained != part.phase.train:
            self._trained = part.phase.train
            for name, parameter in self.net.named_parameters():
                parameter.requires_grad_(part.phase.train == "all" or name.startswith(f"{CLASSIFIER}."))
        if step == part.start:
            if step:
                self._finish_phase(self.plan.at(step - 1))
            self._run.optimizer.state.clear()  # each phase starts afresh, as separate runs would
        if part.phase.distill == "teacher" and self.teacher is None:
            self.teacher = self._make_teacher(part, step)
        if step == part.start and part.phase.sort_channels:
            self._run.save_before_change()
            sort_channels(self.net, part.finished)

    def _make_teacher(self, part: PhasePlan, step: int) -> nn.Module:
        path = self.folder / TEACHER
        first = next(other for other in self.plan.phases if other.phase.distill == "teacher")
        if step == first.start:
            teacher = self.net.extract(self.space.largest())
            if self.world.first:
                save_static(path, teacher.cpu())
        else:
            teacher = self._saved_teacher(path)
        teacher.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch names no such overload
        synchronise(teacher, self.world.group)
        return teacher

    def _saved_teacher(self, path: Path) -> StaticNet:
        try:
            return load_static(path)
        except WeightsError as error:
            raise WeightsError(
                "no teacher to continue with", error.why, f"remove {self.checkpoint} to start again"
            ) from error
