"""What a run will do before it does it: the steps of each phase, their learning rates, and what they cost.

Cost is counted in multiply-accumulates of one run: a forward and backward pass counts three forward passes, a teacher's
forward pass one. Recipes are compared at equal cost, never at equal epochs.
"""

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ofa_edge import cost
from ofa_edge.errors import ConfigError, DataError
from ofa_edge.space import Space, Subnet
from ofa_edge.training.recipe import Choice, Phase, Recipe

FORWARD_BACKWARD = 3
HEAD_SUBNETS = 8  # whose features a head in closed form is fitted to
_HEAD_VIEWS, _HEAD_IMAGES = 4, 4096  # of each image, up to so many in all
_SAMPLES = 512  # random subnets behind an expected cost


def warmup_cosine(step: int, steps: int, warmup: int, start: float = 0.0, floor: float = 0.0) -> float:
    """The share of the highest rate at a step: linear from `start` over `warmup` steps, then a cosine to `floor`."""
    if step < warmup:
        return start + (1 - start) * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return max(floor, (1 + math.cos(math.pi * done)) / 2)


@dataclass(frozen=True)
class PhasePlan:
    """One phase of a run."""

    phase: Phase
    space: Space  # what is elastic in it
    start: int  # step of the run that it begins with
    steps: int
    lr: float  # the highest
    warmup_steps: int
    macs_per_image: float  # expected, of one step
    finished: tuple[float, ...]  # expand ratios trained before, if several: sorting keeps their channels apart

    @property
    def end(self) -> int:
        """The step behind its last one."""
        return self.start + self.steps

    def learning_rate(self, step: int) -> float:
        """The rate at a step of the phase: linear warm-up, then a cosine to `final_lr`."""
        phase = self.phase
        return self.lr * warmup_cosine(step, self.steps, self.warmup_steps, phase.warmup_from, phase.final_lr)

    def subnet_weight(self, step: int) -> float:
        """The weight of the gradients of all subnets but the largest, at a step of the phase."""
        ramp = self.phase.ramp * self.steps
        return min(1.0, (step + 1) / ramp) if ramp >= 1 else 1.0

    def resolutions(self) -> tuple[int, ...]:
        """The input sizes that batches are drawn from."""
        return self.phase.resolutions or self.space.resolutions

    def subnet(self, choice: Choice, resolution: int, rng: np.random.Generator) -> Subnet:
        """A subnet for a step."""
        if choice == "largest":
            return self.space.largest(resolution)
        if choice == "smallest":
            return self.space.smallest(resolution)
        return self.space.subnet(self.space.sample(rng, 1, resolution)[0])


@dataclass(frozen=True)
class RunPlan:
    """All phases of a run.

    Attributes:
        batch: images of a step, over all processes.
        steps_per_epoch: whole batches of the training set.
        head_macs: expected cost of a head that is fitted before the first step.
    """

    phases: tuple[PhasePlan, ...]
    batch: int
    steps_per_epoch: int
    head_macs: float = 0.0

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.phases[-1].end

    @property
    def macs(self) -> float:
        """Expected cost of the whole run."""
        return self.head_macs + self.macs_until(self.steps)

    def at(self, step: int) -> PhasePlan:
        """The phase that a step of the run is in."""
        return next(part for part in self.phases if step < part.end)

    def macs_until(self, step: int) -> float:
        """Expected cost of the first `step` steps, and of no head before them."""
        return sum(part.macs_per_image * self.batch * max(0, min(step, part.end) - part.start) for part in self.phases)


def steps_per_epoch(images: int, batch: int, processes: int) -> int:
    """Whole batches of a training set, `batch` images a process. Raises DataError if there is not one."""
    if images < batch * processes:
        raise DataError(
            "too few training images",
            f"{images} images, batches of {batch} in {processes} process{'es' if processes > 1 else ''}",
            "lower the batch, or add images",
        )
    return images // (batch * processes)


def plan_run(recipe: Recipe, space: Space, images: int, processes: int = 1) -> RunPlan:
    """Lay out a recipe over a training set of that many images. Raises DataError if they make no batch."""
    batch = recipe.batch * processes
    per_epoch = steps_per_epoch(min(images, recipe.data.limit or images), recipe.batch, processes)
    scale = recipe.scale
    if recipe.min_steps is not None:
        scale = max(scale, recipe.min_steps / (per_epoch * sum(phase.epochs for phase in recipe.phases)))
    phases: list[PhasePlan] = []
    start = 0
    trained: set[float] = set()
    for phase in recipe.phases:
        steps = max(1, round(phase.epochs * scale * per_epoch))
        elastic = _elastic(phase, space)
        part = PhasePlan(
            phase=phase,
            space=elastic,
            start=start,
            steps=steps,
            lr=phase.lr * batch / recipe.lr_batch if recipe.lr_batch else phase.lr,
            warmup_steps=min(steps, round(phase.warmup_epochs * scale * per_epoch)),
            macs_per_image=expected_macs(space, elastic, phase),
            finished=tuple(sorted(trained)) if len(trained) > 1 else (),
        )
        trained |= _trained_expands(elastic, phase)
        phases.append(part)
        start += steps
    fitted = recipe.start is not None and recipe.start.ridge is not None
    return RunPlan(tuple(phases), batch, per_epoch, _head_macs(space, images) if fitted else 0.0)


def head_views(images: int) -> int:
    """Augmented images that each subnet sees while a head is fitted to training images, as many as that."""
    return min(_HEAD_VIEWS * images, max(images, _HEAD_IMAGES))


def _head_macs(space: Space, images: int) -> float:
    """Expected cost of a fitted head, its subnets' calibration not counted."""
    sampled = space.sample(np.random.default_rng(0), _SAMPLES)
    ends = [float(cost.macs(space, end)) for end in (space.largest(), space.smallest())]
    mean = float(cost.macs_table(space)(sampled).mean())
    return head_views(images) * (sum(ends) + (HEAD_SUBNETS - len(ends)) * mean)


def _trained_expands(elastic: Space, phase: Phase) -> set[float]:
    """The expand ratios of the subnets that a phase draws: of the largest and the smallest alone, only the ends."""
    ratios = elastic.expands
    of = {"largest": {ratios[-1]}, "smallest": {ratios[0]}, "random": set(ratios)}
    return set().union(*(of[choice] for choice in phase.subnets))


def passes(phase: Phase) -> int:
    """Forward passes that a step of a subnet costs: no gradient goes below a head that is trained alone."""
    return FORWARD_BACKWARD if phase.train == "all" else 1


def _elastic(phase: Phase, space: Space) -> Space:
    """The part of the space that a phase trains. Raises ConfigError where the space does not have it."""
    try:
        return space.restricted(
            kernels=phase.kernels, expands=phase.expands, depths=phase.depths, width_ratios=phase.width_ratios
        )
    except ConfigError as error:
        raise ConfigError(
            f"phase '{phase.name}' of the recipe trains what the space does not have",
            f"{error.what}: {error.why}",
            "give the space these choices, or the phase those of the space: the recipe ofa is for kernels 3,5,7, "
            "expand ratios 3,4,6 and depths 2,3,4",
        ) from error


@functools.cache
def expected_macs(space: Space, elastic: Space, phase: Phase) -> float:
    """Expected cost of one image in a step of a phase."""
    rng = np.random.default_rng(0)
    table = cost.macs_table(elastic)
    total = 0.0
    for resolution in phase.resolutions or space.resolutions:
        mean = {
            "largest": float(cost.macs(elastic, elastic.largest(resolution))),
            "smallest": float(cost.macs(elastic, elastic.smallest(resolution))),
            "random": float(table(elastic.sample(rng, _SAMPLES, resolution)).mean()),
        }
        total += passes(phase) * sum(mean[choice] for choice in phase.subnets)
        if phase.distill == "teacher":
            total += cost.macs(space, space.largest(resolution))
    return total / len(phase.resolutions or space.resolutions)


def scale_for(recipe: Recipe, space: Space, images: int, macs: float) -> float:
    """The `scale` at which a recipe costs that many MACs, to the rounding of steps."""
    return recipe.scale * macs / plan_run(recipe, space, images).macs


def describe(recipe: Recipe, run: RunPlan, images: int) -> list[str]:
    """A run in words, a line for each phase; `images` are those that it may train on."""
    used = min(images, recipe.data.limit or images)
    lines = [
        f"'{recipe.name}' on {recipe.data.dataset}: {used}{'' if used == images else f' of {images}'} training images, "
        f"{recipe.data.held_out_images} held out, {run.steps_per_epoch} steps of {run.batch} an epoch, "
        f"{run.steps} steps and {run.macs / 1e12:.3g} T MACs in all"
    ]
    if run.head_macs:
        share = 100 * run.head_macs / run.macs
        lines.append(f"  head: in closed form, on features of {HEAD_SUBNETS} subnets; {share:.0f} % of the cost")
    return lines + [_described(part, run) for part in run.phases]


def _described(part: PhasePlan, run: RunPlan) -> str:
    phase, space = part.phase, part.space
    elastic = ""
    if set(phase.subnets) != {"largest"}:
        elastic = f"kernels {_list(space.kernels)}, expand {_list(space.expands)}, depth {_list(space.depths)}"
        elastic += f", width {_list(space.width_ratios)}; " if space.width_ratios else "; "
    source = {"none": "labels", "teacher": "the frozen full net", "largest": f"the largest ({phase.divergence})"}
    return (
        f"  {phase.name}: {part.steps} steps ({part.steps / run.steps_per_epoch:.1f} epochs), lr {part.lr:.4g}, "
        f"{' + '.join(phase.subnets)} at {_list(sorted(set(part.resolutions())))} px; {elastic}"
        f"from {source[phase.distill]}{', channels sorted first' if phase.sort_channels else ''}"
        f"{', the head alone' if phase.train == 'head' else ''}; "
        f"{100 * part.macs_per_image * part.steps * run.batch / run.macs:.0f} % of the cost"
    )


def _list(values: Iterable[object]) -> str:
    return ",".join(str(value) for value in values)
