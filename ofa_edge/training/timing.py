"""How long a run will take on this machine: a few real steps of each phase and one subnet's measurement, timed.

The steps are those of the run itself, with its data and its batch, on a copy of the network that is thrown away; files
that a step writes (a teacher) go to a temporary folder. Times are per multiply-accumulate, since steps draw subnets.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ofa_edge import cost
from ofa_edge.data.dataset import Images
from ofa_edge.space import Space
from ofa_edge.supernet.evaluate import measure
from ofa_edge.supernet.network import Supernet
from ofa_edge.training import freed_memory
from ofa_edge.training.plan import RunPlan
from ofa_edge.training.recipe import Recipe
from ofa_edge.training.teacher import Teacher
from ofa_edge.training.trainer import Trainer

STEPS = 3  # timed in each phase, after one that warms up
_PATIENCE_S = 8.0  # a phase's timing ends behind the step that reaches this
_IMAGES = 500  # that a measured subnet answers
_SAMPLES = 512  # random subnets behind a mean cost


@dataclass(frozen=True)
class Estimate:
    """Seconds that a run will take.

    Attributes:
        phases: of each phase.
        steps: that were timed in all.
        measuring: of everything measured afterwards, and after each phase.
    """

    phases: tuple[float, ...]
    steps: int
    measuring: float

    @property
    def seconds(self) -> float:
        """In all."""
        return sum(self.phases) + self.measuring


def estimate(
    recipe: Recipe,
    space: Space,
    train: Images,
    calibration: Images,
    measured: int,
    *,
    device: str = "cpu",
    teacher: Teacher | None = None,
) -> Estimate:
    """Time a recipe on this machine, in one process. Nothing is kept of the steps.

    Args:
        recipe: resolved.
        space: `recipe.make_space(...)`.
        train: training images.
        calibration: images that subnets are calibrated on.
        measured: images that go through a random subnet when all is measured, those of its calibration included.
        device: torch device of the training; measurements run on the CPU.
        teacher: that the recipe's [teacher] names.
    """
    with tempfile.TemporaryDirectory() as folder, freed_memory.kept():
        trainer = Trainer(recipe, space, train, Path(folder), device, teacher=teacher)
        timed = [_phase_seconds(trainer.time_step, trainer.plan, index) for index in range(len(trainer.plan.phases))]
        net = trainer.net.to("cpu")
    return Estimate(
        phases=tuple(seconds for seconds, _ in timed),
        steps=sum(steps for _, steps in timed),
        measuring=measured * _seconds_an_image(net, recipe, calibration),
    )


def _phase_seconds(time_step: Callable[[int], tuple[float, float]], plan: RunPlan, index: int) -> tuple[float, int]:
    part = plan.phases[index]
    time_step(part.start)
    seconds = macs = 0.0
    steps = 0
    for step in range(part.start + 1, part.start + 1 + STEPS):
        if seconds > _PATIENCE_S:
            break
        taken, its_macs = time_step(min(step, part.end - 1))  # a shorter phase gives its last step again
        seconds, macs, steps = seconds + taken, macs + its_macs, steps + 1
    return seconds / macs * part.macs_per_image * plan.batch * part.steps, steps


def _seconds_an_image(net: Supernet, recipe: Recipe, images: Images) -> float:
    """Seconds for an image through the mean random subnet, calibrated on as many images as it answers."""
    space = net.space
    rng = np.random.default_rng(0)
    mean = float(cost.macs_table(space)(space.sample(rng, _SAMPLES)).mean())
    part = images.sample(_IMAGES)
    subnet = space.subnet(space.sample(rng, 1)[0])
    preprocessing = recipe.preprocessing(space.resolutions[-1])
    measure(net, subnet, part, part, preprocessing)  # warms up
    started = time.perf_counter()
    measure(net, subnet, part, part, preprocessing)
    seconds = time.perf_counter() - started
    return seconds / (2 * len(part)) * mean / cost.macs(space, subnet)
