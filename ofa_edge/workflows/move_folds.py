"""A move with few images, cross-validated: what it is worth, and subnets compared by images that no fold has learnt."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.dataset import Images
from ofa_edge.space import Space
from ofa_edge.supernet.evaluate import subnet_logits
from ofa_edge.supernet.head import Regression
from ofa_edge.supernet.network import Supernet
from ofa_edge.supernet.zoo import SupernetPackage
from ofa_edge.training.package_data import CALIBRATION_IMAGES
from ofa_edge.training.pairs import Examined
from ofa_edge.training.recipe import Recipe
from ofa_edge.training.run import Progress
from ofa_edge.training.step import StepFunction
from ofa_edge.training.teacher import Teacher
from ofa_edge.training.trainer import Trainer
from ofa_edge.training.transfer import begin, fit_new_head
from ofa_edge.workflows.out_of_fold import OutOfFold, cross_validate, fold_folder, in_folds
from ofa_edge.workflows.phase_log import ends

_SHARES = (0.0, 1.0)  # the head alone, or the whole move: both are at hand again when subnets are measured


@dataclass(frozen=True)
class Move:
    """How a supernet gets its head and is trained (`Procedure`)."""

    recipe: Recipe
    package: SupernetPackage
    space: Space
    labels: tuple[str, ...]
    device: str
    step_function: StepFunction
    teacher: Teacher | None
    regressions: dict[str, Regression] = field(default_factory=dict)  # of the heads of each fold, for every ridge

    def headed(self, images: Images, ridge: float) -> Supernet:
        """The supernet with the best linear head for these images."""
        begun = begin(self.recipe, self.package, self.space, self.labels)
        fit_new_head(begun, self.recipe, images, images.sample(CALIBRATION_IMAGES), ridge, self.regressions)
        return begun.net

    def trainer(self, net: Supernet, images: Images, folder: Path) -> Trainer:
        """What trains it further on them, in place, resumed."""
        made = Trainer(
            self.recipe,
            self.space,
            images,
            folder,
            self.device,
            step_function=self.step_function,
            start=net,
            teacher=self.teacher,
        )
        made.resume()
        return made

    def answers(self, net: Supernet, seen: Images, images: Images) -> NDArray[np.float32]:
        """What both ends of the space say of images: logits [2, N, classes]."""
        net = copy.deepcopy(net).to("cpu")
        sizes, calibration = self.recipe.preprocessing(self.space.resolutions[-1]), seen.sample(CALIBRATION_IMAGES)
        both = [pick(self.space.resolutions[-1]) for _, pick in ends(self.space)]
        return np.stack([subnet_logits(net, subnet, calibration, images, sizes) for subnet in both])

    def validated(self, images: Images, folder: Path, on_step: Callable[[Progress], None]) -> OutOfFold:
        """Choose the head's ridge, and whether more than the head is trained (see `cross_validate`)."""
        return cross_validate(self, images, self.recipe.folds, self.recipe.seed, folder, on_step, _SHARES)

    def examined(self, images: Images, folder: Path, found: OutOfFold) -> list[Examined]:
        """Each fold's supernet as it was answered by, and the images that it did not learn."""
        every = []
        for fold, (train, rows) in enumerate(in_folds(images, self.recipe.folds, self.recipe.seed)):
            net = self.headed(train, found.ridge)
            if found.share:
                self.trainer(net, train, fold_folder(folder, fold))
            every.append(Examined(net.to("cpu"), train.sample(CALIBRATION_IMAGES), images.take(rows)))
        return every
