"""What the literature has for few images and small nets, tried on the move of `transfer.py`; and a teacher's worth.

    python benchmarks/transfer_tried.py teacher --folder runs/transfer     # a classifier of the four classes
    python benchmarks/transfer.py run --folder runs/transfer --images 20 --way small --way netaug ...

    ridge          a head in closed form in place of the head's phase of `one_head`, and as many steps
    ridge_labels   likewise, and all subnets of a step learn the labels too
    ridge10_labels likewise, the head's weights held a hundred times as small
    ridge_slow     `ridge` at a quarter of its rate
    low_rates      `train --from` with the rates that `transfer` has for few images (no [many]), where there are many
    doubled_rates  likewise twice as high, and as unequal in the layers as for few images
    high_rates     likewise with those that it has for many ([many] from the first image on), where there are few
    small          the smallest probe alone, by the phases of `one_head`, from the labels
    netaug         likewise, and in each step a random subnet, which contains it, learns the labels too (NetAug,
                   arXiv 2110.08890: a tiny net is trained as a part of larger ones); subnets = ["smallest", "random"]
    taught         `small`, and what a teacher says of each view (`--teacher`)
    taught_stored  `small`, and what it says of each stored image, once (views = "stored")
    taught_warm    `taught`, at temperature 4
    aware          `one_head`, the random subnets of a step drawn from one eighth of the space by cost, which moves by
                   at most one to the next step (ElasticViT, arXiv 2303.09730: complexity-aware sampling)
    moved_taught   `one_head`, and what the teacher says of each view

The teacher is a small ResNet trained on 1,000 images of each of the four classes.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ofa_edge import cost
from ofa_edge.api.models import as_onnx
from ofa_edge.data.dataset import Dataset
from ofa_edge.data.open import open_dataset
from ofa_edge.schema import changed
from ofa_edge.space import Space
from ofa_edge.supernet.zoo import IMAGENET_MEAN, IMAGENET_STD
from ofa_edge.training.recipe import Recipe, TeacherRecipe
from ofa_edge.training.step import StepFunction, TrainingStep, recipe_step
from ofa_edge.training.teacher import Teacher
from ofa_edge.workflows.teacher import given_teacher, read_teacher

ALONE = ("small", "netaug", "taught", "taught_stored", "taught_warm")
LONG: dict[str, tuple[float, dict[str, Any]]] = {  # the head's ridge, and what is changed in the phase
    "ridge": (0.1, {}),
    "ridge_labels": (0.1, {"labels": True}),
    "ridge10_labels": (10.0, {"labels": True}),
    "ridge_slow": (0.1, {"lr": 0.01}),
}
RATES: dict[str, dict[str, Any]] = {
    "low_rates": {"many": None},
    "doubled_rates": {"many": {"images": 1, "lr": 2, "layer_decay": 0.9}},
    "high_rates": {"many": {"images": 1, "lr": 2, "layer_decay": 1.0}},
}
WAYS = (*RATES, *LONG, *ALONE, "aware", "moved_taught")
SMALL = "k3 e3 d2"
_TEACHER = {"taught_stored": {"views": "stored"}, "taught_warm": {"temperature": 4.0}}  # others: each view, as it is
_POOL, _LEVELS, _SIZE, _EPOCHS, _BATCH = 4096, 8, 24, 24, 64


def prepared(way: str, recipe: Recipe, data: Dataset, folder: Path) -> tuple[Recipe, StepFunction, Teacher | None]:
    """A way's recipe, its step and its teacher."""
    if way in RATES:
        return recipe, recipe_step, None
    if way in LONG:
        phases = tuple(changed(phase, **LONG[way][1]) for phase in recipe.phases[1:])
        return changed(recipe, phases=phases), recipe_step, None
    space = recipe.make_space(len(data.class_names))
    if way == "aware":
        return recipe, complexity_aware(space, recipe.seed), None
    if way in ALONE:
        trained = ("smallest", "random") if way == "netaug" else ("smallest",)
        phases = tuple(changed(phase, subnets=trained, distill="none") for phase in recipe.phases)
        recipe = changed(recipe, phases=phases)
    if way in ("small", "netaug"):
        return recipe, recipe_step, None
    given = given_teacher(folder / "teacher.onnx")
    assert given is not None
    how = TeacherRecipe(**{"temperature": 1.0, **_TEACHER.get(way, {})})
    teacher = read_teacher(given, data.train, data.test, data.class_names, how)
    return changed(recipe, teacher=teacher.recipe), recipe_step, teacher


def complexity_aware(space: Space, seed: int) -> StepFunction:
    """A step whose random subnets cost about the same, and about as much as those of the step before."""
    rng, pool = np.random.default_rng(seed), space.sample(np.random.default_rng(5), _POOL, _SIZE)
    levels = np.array_split(np.argsort(cost.macs_table(space)(pool)[:, 0]), _LEVELS)
    state = {"level": _LEVELS // 2}

    def take(step: TrainingStep) -> Sequence[Tensor]:
        choices = step.part.phase.subnets
        state["level"] = int(np.clip(state["level"] + rng.integers(-1, 2), 0, _LEVELS - 1))
        drawn = iter(rng.choice(levels[state["level"]], len(choices), replace=False))
        step.subnets = tuple(
            space.subnet(pool[next(drawn)]) if choice == "random" else subnet
            for choice, subnet in zip(choices, step.subnets, strict=True)
        )
        return recipe_step(step)

    return take


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv(channels, channels), _conv(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.body(x)
        return out


def _conv(read: int, written: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(nn.Conv2d(read, written, 3, stride, 1, bias=False), nn.BatchNorm2d(written), nn.ReLU())


def make_teacher(folder: Path) -> None:
    """Train the teacher and write its ONNX file, which names its classes."""
    import onnx

    torch.manual_seed(0)
    data = open_dataset("image-folder", folder / "data" / "new-1000-0", size=_SIZE, channels=3)
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (IMAGENET_MEAN, IMAGENET_STD))
    x = (torch.from_numpy(data.train.pixels).permute(0, 3, 1, 2).float() - mean) / std
    y = torch.from_numpy(data.train.labels)
    body = (_conv(3, 32), _conv(32, 64, 2), _Block(64), _conv(64, 128, 2), _Block(128))
    net = nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, len(data.class_names)))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    steps = len(x) // _BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=_EPOCHS * steps)
    for _ in range(_EPOCHS):
        order = torch.randperm(len(x))
        for step in range(steps):
            rows = order[step * _BATCH : (step + 1) * _BATCH]
            loss = nn.functional.cross_entropy(net(_moved(x[rows])), y[rows], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    path = as_onnx(net.eval(), (1, 3, _SIZE, _SIZE), folder)
    model = onnx.load(path)
    model.metadata_props.add(key="labels", value="\n".join(data.class_names))
    onnx.save(model, folder / "teacher.onnx")
    path.unlink()


def _moved(x: Tensor) -> Tensor:
    x = torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x, x.flip(3))
    top, left = torch.randint(0, 7, (2,)).tolist()
    return nn.functional.pad(x, (3, 3, 3, 3))[:, :, top : top + _SIZE, left : left + _SIZE]


def main() -> None:
    """Run a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("teacher",))
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    make_teacher(options.folder)


if __name__ == "__main__":
    main()
