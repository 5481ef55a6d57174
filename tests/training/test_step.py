"""A step function in place of the recipe's: what it is given, what becomes of it, whose run it is."""

import functools
from pathlib import Path

import pytest
import torch
from tiny_runs import differing, sandwich, shrinking, tensors_of, trainer
from torch import Tensor

from ofa_edge.errors import ConfigError, TrainingError, WeightsError
from ofa_edge.training.recipe import Recipe
from ofa_edge.training.step import TrainingStep, recipe_step


def on_labels(step: TrainingStep) -> list[Tensor]:
    """All subnets learn the labels, whatever the recipe says."""
    return [step.backward(index, step.label_loss(index, step.logits(index))) for index in range(len(step.subnets))]


def silent(step: TrainingStep) -> list[Tensor]:
    return [loss.requires_grad_().sum().detach() for loss in (torch.zeros(1),) * len(step.subnets)]


def from_labels(recipe: Recipe) -> Recipe:
    """The recipe with phases that learn from the labels themselves."""
    phases = [phase.model_copy(update={"distill": "none", "labels": False}) for phase in recipe.phases]
    return recipe.model_copy(update={"phases": tuple(phases)})


@pytest.mark.parametrize("make", [sandwich, shrinking])
def test_a_function_that_does_what_a_recipe_says_gives_its_weights(make, tmp_path: Path) -> None:
    said = tensors_of(trainer(from_labels(make()), tmp_path / "said").run())
    done = tensors_of(trainer(make(), tmp_path / "done", step_function=on_labels).run())
    other = tensors_of(trainer(make(), tmp_path / "other").run())
    assert differing(said, done) == []
    assert differing(said, other) != []


def test_a_run_goes_on_with_the_step_that_it_began_with(tmp_path: Path) -> None:
    run = trainer(sandwich(), tmp_path, step_function=on_labels)
    run.run(stop_at=2)
    assert trainer(sandwich(), tmp_path, step_function=on_labels).resume()
    for step_function in (recipe_step, silent):
        with pytest.raises(WeightsError):
            trainer(sandwich(), tmp_path, step_function=step_function).resume()


def test_a_step_without_its_first_subnet_says_so(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="did not run its first subnet") as caught:
        trainer(sandwich(), tmp_path, step_function=silent).run()
    assert "step.logits" in caught.value.hint


def test_a_step_without_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no source"):
        trainer(sandwich(), tmp_path, step_function=functools.partial(on_labels))
