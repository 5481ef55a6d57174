"""A classifier from elsewhere, whose answers are learnt beside the labels.

It is asked of the very views that the network sees: a teacher is worth most where it is consistent (L. Beyer et al.,
Knowledge distillation: A good teacher is patient and consistent, CVPR 2022). What runs it is not known here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ofa_edge.data.dataset import Images
from ofa_edge.data.preprocess import Pixels
from ofa_edge.errors import ConfigError
from ofa_edge.training.losses import taught_loss
from ofa_edge.training.recipe import TeacherRecipe


@dataclass(frozen=True)
class Teacher:
    """A classifier of the run's classes.

    Attributes:
        recipe: what it is and how it counts; part of what decides a run.
        ask: images uint8 [N, H, W, C] -> logits float32 [N, classes], in the order of the run's classes; of one image
            the same whatever stands beside it.
        facts: what was measured of it, as JSON values.
        notes: what was assumed and found, a sentence each.
    """

    recipe: TeacherRecipe
    ask: Callable[[Pixels], NDArray[np.float32]]
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def facts_of(teacher: Teacher | None) -> dict[str, Any]:
    """What a run's figures say of its teacher; nothing where it had none."""
    if teacher is None:
        return {}
    return {"teacher": {**teacher.recipe.model_dump(mode="json"), **teacher.facts}}


def require_same(recipe: TeacherRecipe | None, teacher: Teacher | None) -> None:
    """Raise ConfigError where a recipe and a run have not the same teacher."""
    if recipe != (None if teacher is None else teacher.recipe):
        what = "a [teacher] without its file" if teacher is None else "a teacher that the recipe does not name"
        raise ConfigError(what, f"[teacher] of the recipe: {recipe}", "--teacher FILE.onnx, or no [teacher]")


class Lessons:
    """What a teacher says during a run.

    Args:
        teacher: that is asked.
        images: the training images.
    """

    def __init__(self, teacher: Teacher, images: Images) -> None:
        self.teacher, self._images = teacher, images
        self._stored: Tensor | None = None

    def answers(self, pixels: Pixels, rows: NDArray[np.int64]) -> Tensor:
        """Logits [B, classes] for views uint8 [B, r, r, C] of the training images of these numbers [B]."""
        if self.teacher.recipe.views == "each":
            return torch.from_numpy(self.teacher.ask(pixels))
        if self._stored is None:  # made anew after a restart, and the same then
            self._stored = torch.from_numpy(self.teacher.ask(self._images.pixels))
        return self._stored[rows]

    def loss(self, logits: Tensor, answers: Tensor) -> Tensor:
        """What a network's logits [B, classes] are away from answers of the same images, times the weight: a scalar."""
        return self.teacher.recipe.weight * taught_loss(logits, answers, self.teacher.recipe.temperature)
