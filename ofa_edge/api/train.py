"""Training a supernet, and one subnet of it further."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ofa_edge.errors import ConfigError
from ofa_edge.schema import validated
from ofa_edge.space import Subnet
from ofa_edge.supernet.given_subnet import read_subnet
from ofa_edge.supernet.zoo import DEFAULT, SupernetPackage, open_supernet
from ofa_edge.training.data import load_data, resolve
from ofa_edge.training.distributed import World, check_device
from ofa_edge.training.package_data import training_data
from ofa_edge.training.recipe import Recipe
from ofa_edge.training.recipe_files import joined, load_recipe
from ofa_edge.training.run import Progress
from ofa_edge.training.step import StepFunction, recipe_step
from ofa_edge.training.transfer import METHOD, settled, transfer_recipe
from ofa_edge.workflows.build.base import ModelOptions
from ofa_edge.workflows.finetune import finetune as finetune_network
from ofa_edge.workflows.finetune import finetune_recipe, tuning_teacher
from ofa_edge.workflows.new_head import new_head_data, new_head_recipe, tune_new_head
from ofa_edge.workflows.teacher import given_teacher, taught
from ofa_edge.workflows.train import train as train_supernet

OnProgress = Callable[[Progress], None]


def _silent(*_: object) -> None: ...


@dataclass(frozen=True)
class Trained:
    """A run's folder, which `open_supernet` and every `supernet` argument take, and what was measured.

    Attributes:
        folder: of the run.
        figures: as in its figures.json, or finetune.json; empty in all processes but the first.
    """

    folder: Path
    figures: dict[str, Any]

    def open(self) -> SupernetPackage:
        """The supernet, or the network, with its labels and images."""
        return open_supernet(self.folder)


def train(
    recipe: str | Path | Recipe | None = None,
    *,
    preset: str | Path | None = None,
    start: str | Path | SupernetPackage | None = None,
    keep_classes: bool = False,
    resolutions: Sequence[int] | None = None,
    folds: int | None = None,
    teacher: str | Path | None = None,
    teacher_labels: str | Path | None = None,
    teacher_shape: str | None = None,
    teacher_mean: tuple[float, ...] | None = None,
    teacher_std: tuple[float, ...] | None = None,
    data: str | Path | None = None,
    out: str | Path | None = None,
    scale: float | None = None,
    seed: int | None = None,
    pairs: int | None = None,
    changes: Mapping[str, Any] | None = None,
    step: StepFunction = recipe_step,
    on: str = "cpu",
    accept_code: bool = False,
    on_epoch: OnProgress = _silent,
    on_step: OnProgress = _silent,
    on_stage: Callable[[str, int, int], None] = _silent,
) -> Trained:
    """Train a supernet, measure subnets of it, and fit its accuracy predictor.

    A run that was interrupted goes on when it is called again. Under torchrun, every process calls this.

    Args:
        recipe: a shipped recipe, a TOML file, or what `load_recipe` gave; with `start`, `transfer` by default.
        preset: space and data for a recipe that names none.
        start: the supernet whose weights the run begins with, in place of random ones; the head is new.
        keep_classes: with `start`: classes of the same name keep their rows of the head.
        resolutions: with `start`: input sizes; the supernet's by default.
        folds: with `start` and under 20 images in a class: parts of a cross-validation; the recipe's by default.
        teacher: a classifier of the same classes in an ONNX file, whose answers are learnt beside the labels.
        teacher_labels: a text file with a class a line, in the order of its outputs.
        teacher_shape: of its input where the file leaves sizes free, `1x3x224x224`.
        teacher_mean: of its pixels 0..255, by channel, where the file does not say it.
        teacher_std: likewise.
        data: the data folder; by default the usual place of the recipe's data set.
        out: the run's folder; runs/RECIPE by default.
        scale: shorten or lengthen all phases alike.
        seed: of all draws.
        pairs: subnets to measure for the predictor.
        changes: further keys of the recipe and their values, tables within tables (docs/recipe.md).
        step: computes the gradients of a step, in place of what the recipe says.
        on: what torch computes on, cpu or cuda.
        accept_code: go on with a run that other code began.
        on_epoch: told at the end of each epoch.
        on_step: told of each step.
        on_stage: told of each measurement after the training: stage, done, total.

    Raises:
        UsageError: in one of its forms.
        KeyboardInterrupt: Ctrl-C, once the step at hand is saved.
    """
    check_device(on)
    asked = _teacher(teacher, teacher_labels, teacher_shape, teacher_mean, teacher_std)
    named = (("scale", scale), ("seed", seed), ("folds", folds))
    given = {key: value for key, value in named if value is not None}
    measure = {} if pairs is None else {"measure": {"pairs": pairs}}
    overrides = {**(changes or {}), **given, **measure}
    package = None
    if start is not None:
        package = start if isinstance(start, SupernetPackage) else open_supernet(start)
        method = METHOD if recipe is None else recipe
        if preset is not None or isinstance(method, Recipe):
            what, why = (
                "a start with a space of its own",
                "a preset or a whole recipe brings a space, the supernet has one",
            )
            raise ConfigError(what, why, "the name or the file of a method, and no preset")
        chosen = transfer_recipe(package, method, overrides, keep_classes=keep_classes, resolutions=resolutions)
    elif recipe is None or keep_classes or resolutions is not None:
        raise ConfigError("no recipe", "neither `recipe` nor `start`", "oe.train('ofa-edge', preset='own-images', ...)")
    else:
        chosen = _recipe(recipe, preset, overrides)
    dataset = load_data(chosen, None if data is None else Path(data))
    chosen, taught_by = taught(chosen, asked, dataset)
    folder = Path("runs") / chosen.name if out is None else Path(out)
    world = World.join(on)
    try:
        figures = train_supernet(
            resolve(chosen if package is None else settled(chosen, package, dataset), dataset, world.size).recipe,
            dataset,
            folder,
            device=on,
            world=world,
            accept_code=accept_code,
            step_function=step,
            start=package,
            teacher=taught_by,
            on_step=_both(on_step, on_epoch),
            on_stage=on_stage,
        )
    finally:
        world.leave()
    return Trained(folder, figures)


def _teacher(
    file: str | Path | None,
    labels: str | Path | None,
    shape: str | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
) -> ModelOptions | None:
    return given_teacher(file, labels=None if labels is None else Path(labels), shape=shape, mean=mean, std=std)


def _recipe(recipe: str | Path | Recipe, preset: str | Path | None, changes: Mapping[str, Any]) -> Recipe:
    if not isinstance(recipe, Recipe):
        return load_recipe(recipe, preset, changes)
    values = joined(recipe.model_dump(exclude_none=True), changes)
    return validated(Recipe, values, "the recipe", recipe.name, "docs/recipe.md describes every key")


def _both(on_step: OnProgress, on_epoch: OnProgress) -> OnProgress:
    def told(progress: Progress) -> None:
        on_step(progress)
        if progress.ends_epoch:
            on_epoch(progress)

    return told


def finetune(
    subnet: Subnet | str | Path,
    *,
    supernet: str | Path | SupernetPackage = DEFAULT,
    resolution: int | None = None,
    dataset: str | None = None,
    data: str | Path | None = None,
    new_head: bool = False,
    keep_classes: bool = False,
    teacher: str | Path | None = None,
    teacher_labels: str | Path | None = None,
    teacher_shape: str | None = None,
    teacher_mean: tuple[float, ...] | None = None,
    teacher_std: tuple[float, ...] | None = None,
    out: str | Path | None = None,
    qat: str | None = None,
    epochs: float | None = None,
    lr: float | None = None,
    batch: int | None = None,
    distill: float | None = None,
    folds: int | None = None,
    patience: float | None = None,
    seed: int = 0,
    on: str = "cpu",
    allow_drop: bool = False,
    accept_code: bool = False,
    on_epoch: OnProgress = _silent,
    on_step: OnProgress = _silent,
) -> Trained:
    """Train one subnet by itself, from the supernet's weights; the result is a folder for `supernet` arguments.

    Args:
        subnet: of the supernet; or `largest`, `smallest`, a configuration or net.config (JSON, or a file of it), or the
            folder of a build.
        supernet: its name, its folder, or what `open_supernet` gave.
        resolution: input size in pixels; the subnet's by default.
        dataset: the supernet's own by default, or an image folder.
        data: the data folder.
        new_head: the data have other classes than the supernet: another head is trained for them.
        keep_classes: with `new_head`: classes of the same name keep their rows of it.
        teacher: a classifier of the same classes in an ONNX file, in place of the supernet's largest net.
        teacher_labels: a text file with a class a line, in the order of its outputs.
        teacher_shape: of its input where the file leaves sizes free, `1x3x224x224`.
        teacher_mean: of its pixels 0..255, by channel, where the file does not say it.
        teacher_std: likewise.
        out: the run's folder; runs/finetune-SUBNET by default, runs/new-head-SUBNET with `new_head`.
        qat: `int8`: train what the int8 artifact computes; it takes the ranges over.
        epochs: 25 by default, as in the paper; 5 with `qat`.
        lr: learning rate for a batch of 2048; 0.24 by default, 0.01 with `qat`.
        batch: images of a step; the supernet's recipe's by default.
        distill: weight of the teacher's or the largest net's predictions; 1 by default.
        folds: with `new_head`: parts of a cross-validation that chooses how long is trained; 4 by default where a class
            has under 20 images, else 0.
        patience: stop early, after this share of the steps without a better network on held-out images; the best is
            what is written.
        seed: of all draws.
        on: what torch computes on, cpu or cuda.
        allow_drop: write the network whatever became of its accuracy.
        accept_code: go on with a run that other code began.
        on_epoch: told at the end of each epoch.
        on_step: told of each step.

    Raises:
        GateError: the network became worse, and `allow_drop` was not given.
        UsageError: in one of its forms.
        KeyboardInterrupt: Ctrl-C, once the step at hand is saved.
    """
    check_device(on)
    asked = _teacher(teacher, teacher_labels, teacher_shape, teacher_mean, teacher_std)
    package = supernet if isinstance(supernet, SupernetPackage) else open_supernet(supernet)
    if isinstance(subnet, Subnet):
        chosen = package.space.check(subnet.at(resolution or subnet.resolution))
    else:
        chosen = read_subnet(str(subnet), package.space, resolution)
    own: dict[str, Any] = {"epochs": epochs, "lr": lr, "batch": batch, "folds": folds}
    own |= {"patience": patience, "seed": seed}
    if new_head or keep_classes:
        if not new_head or data is None or dataset or qat or (distill and asked is None):
            what = "a new head with something else" if new_head else "classes to keep and no new head"
            raise ConfigError(
                what,
                "it wants a folder of images, and no dataset or qat, nor distill without a teacher",
                "new_head=True, data=DIR",
            )
        images, source = new_head_data(package, Path(data))
        taught_by = tuning_teacher(asked, source, images.class_names, distill)
        own["teacher"] = taught_by and taught_by.recipe
        recipe = new_head_recipe(source, **own)
        name, work = (
            "new-head",
            partial(
                tune_new_head,
                package,
                chosen,
                source,
                images.class_names,
                recipe,
                dataset=images.name,
                keep_classes=keep_classes,
                teacher=taught_by,
            ),
        )
    else:
        source = training_data(package, dataset, None if data is None else Path(data))
        taught_by = tuning_teacher(asked, source, package.labels, distill)
        own["teacher"] = taught_by and taught_by.recipe
        recipe = finetune_recipe(source, qat=qat, distill=distill, **own)
        work = partial(finetune_network, package, chosen, source, recipe, teacher=taught_by, allow_drop=allow_drop)
        name = "finetune"
    folder = Path("runs") / f"{name}-{chosen.id}" if out is None else Path(out)
    world = World.join(on)
    try:
        told = _both(on_step, on_epoch)
        figures = work(folder=folder, device=on, world=world, accept_code=accept_code, on_step=told)
    finally:
        world.leave()
    return Trained(folder, figures)
