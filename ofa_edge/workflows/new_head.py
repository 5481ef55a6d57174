"""One subnet of a supernet for classes of the user's own: another head, training, and a package of one network."""

import copy
import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ofa_edge import __version__, cost
from ofa_edge.data.dataset import Dataset, Images
from ofa_edge.data.open import IMAGE_FOLDER, open_dataset
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.data.review import FEW, review_set
from ofa_edge.errors import ConfigError, TrainingError
from ofa_edge.files import sha256_file
from ofa_edge.metrics import balanced_accuracy, top1
from ofa_edge.space import Space, Subnet
from ofa_edge.supernet import zoo
from ofa_edge.supernet.adapt import Kept, Pixels, adapt, adapted_space
from ofa_edge.supernet.bn_recalibration import recalibrate_bn
from ofa_edge.supernet.evaluate import batches, logits
from ofa_edge.supernet.head import RIDGE, fit_head
from ofa_edge.supernet.static import StaticNet
from ofa_edge.supernet.zoo import SupernetPackage
from ofa_edge.training.claim import IDENTITY, RunIdentity, claim_run
from ofa_edge.training.distributed import World
from ofa_edge.training.package_data import CALIBRATION_IMAGES, TrainingData, recipe_facts
from ofa_edge.training.recipe import AugmentRecipe
from ofa_edge.training.run import Progress
from ofa_edge.training.single import SingleRecipe, SingleTrainer
from ofa_edge.training.stopping import facts_of as stopping_facts
from ofa_edge.training.teacher import Teacher, facts_of, require_same
from ofa_edge.workflows.finetune import FACTS, finetune_recipe, require_alone, run_facts, run_single, write_network
from ofa_edge.workflows.out_of_fold import FOLDS, cross_validate

_HELD_OUT_SHARE = 10  # one in so many images
_LEAST_STEPS = 400
_MANY = 40  # training images of the smallest class
_RATE_OF_MANY = 1.0  # four times SingleRecipe's: with fewer images that would spoil what the subnet knows


def new_head_data(package: SupernetPackage, folder: Path) -> tuple[Dataset, TrainingData]:
    """A folder of images of any classes, read as the supernet's own were; whole, and split for training.

    Raises:
        DataError: it is missing, damaged, of one class, or refused (`data.review`).
    """
    found = open_dataset(
        IMAGE_FOLDER, folder, size=package.space.resolutions[-1], channels=None, reading=package.reading
    )
    data = review_set(found, package.reading)
    train, held_out = data.split(max(len(data.class_names), len(data.train) // _HELD_OUT_SHARE), 0)
    facts = recipe_facts(package)
    augment = AugmentRecipe.model_validate_json(json.dumps(facts.get("augment", {})))
    batch = min(int(facts.get("batch", 64)), 64, max(8, len(train) // 4))
    return data, TrainingData(train, held_out, data.test, augment, batch, notes=data.notes)


def new_head_recipe(data: TrainingData, **given: Any) -> SingleRecipe:
    """How a subnet with a new head is trained: as any other, but for what few images and many images ask for.

    Where a small set would give few steps it is lengthened, and where a class has few images cross-validated. Where
    every class has 40 or more, the rate is higher (docs/transfer.md).

    Args:
        data: of the new classes.
        **given: what is given and not None (`finetune_recipe`).

    Raises:
        ConfigError: one fold, or folds beside early stopping; and what `finetune_recipe` raises.
    """
    if given.get("lr") is None and min(data.class_counts) >= _MANY:
        given["lr"] = _RATE_OF_MANY
    recipe = finetune_recipe(data, **given)
    per_epoch = max(1, len(data.train) // recipe.batch)
    epochs = max(recipe.epochs, _LEAST_STEPS / per_epoch)
    folds = recipe.folds
    if folds is None:
        folds = FOLDS if min(data.class_counts) < FEW and recipe.patience is None else 0
    if folds == 1 or (folds and recipe.patience is not None):
        why = "a part is answered by a network trained on the others" if folds == 1 else "both choose the length"
        raise ConfigError(f"--folds {folds}{' with --patience' if folds > 1 else ''}", why, "--folds 4, or --folds 0")
    return recipe.model_copy(update={"epochs": epochs, "distill": 0.0, "folds": folds})


@dataclass
class _Making:
    """How a subnet gets its head and is trained (`Procedure`); what was done to its weights, in words, in `changes`."""

    package: SupernetPackage
    space: Space
    subnet: Subnet
    labels: tuple[str, ...]
    keep_classes: bool
    sizes: Preprocessing
    recipe: SingleRecipe
    teacher: Teacher | None
    device: str
    world: World
    changes: list[str] = field(default_factory=list)

    @cached_property
    def _old(self) -> StaticNet:
        return self.package.load().extract(self.subnet)

    def headed(self, images: Images, ridge: float) -> StaticNet:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.recipe.seed)
            net = StaticNet(self.space, self.subnet)
        kept = Kept.of(self.labels, self.package.labels, wanted=self.keep_classes)
        pixels = Pixels(self.package.mean, self.package.std)
        self.changes = adapt(self._old, net, pixels, self.space.in_channels, kept)
        recalibrate_bn(net, batches(images.sample(CALIBRATION_IMAGES), self.sizes))
        fit_head(net, batches(images, self.sizes), torch.from_numpy(images.labels), kept.rows.keys(), ridge)
        return net

    def trainer(self, net: StaticNet, images: Images, folder: Path) -> SingleTrainer:
        made = SingleTrainer(
            net, self.recipe, images, self.sizes, folder, teacher=self.teacher, device=self.device, world=self.world
        )
        made.resume()
        return made

    def answers(self, net: StaticNet, seen: Images, images: Images) -> NDArray[np.float32]:
        copied = copy.deepcopy(net).to("cpu")
        recalibrate_bn(copied, batches(seen.sample(CALIBRATION_IMAGES), self.sizes))
        return logits(copied, images, self.sizes)[None]


def tune_new_head(
    package: SupernetPackage,
    subnet: Subnet,
    data: TrainingData,
    labels: Sequence[str],
    recipe: SingleRecipe,
    folder: Path,
    *,
    dataset: str = IMAGE_FOLDER,
    keep_classes: bool = False,
    device: str = "cpu",
    world: World | None = None,
    teacher: Teacher | None = None,
    accept_code: bool = False,
    on_step: Callable[[Progress], None] = lambda _: None,
) -> dict[str, Any]:
    """Give a subnet another head and train it in `folder`, which then is a package of one network for `--supernet`.

    The head begins as the best linear one on the training images (ridge regression on the subnet's own features), but
    for rows that are kept. With `recipe.folds` cross-validation chooses its ridge and how long is trained, and held-out
    images are trained on as well. The same run found in the folder is continued.

    Args:
        package: the supernet.
        subnet: of its space.
        data: of the new classes.
        labels: their names, by number.
        recipe: how it is trained; from the supernet nothing is distilled, since it does not know the classes yet.
        folder: the run's.
        dataset: what the data are called.
        keep_classes: classes that both have by name keep their rows of the head.
        device: torch device of the training; measurements run on the CPU.
        world: the processes of the run, this one alone by default.
        teacher: that the recipe names, if it does.
        accept_code: go on with a run that other code began.
        on_step: told of each step.

    Returns:
        Accuracy on the test images, and what was done; empty in all processes but the first.

    Raises:
        OutputError: the folder holds another run.
        TrainingError: the training diverged: no network is written.
    """
    world = world or World()
    require_same(recipe.teacher, teacher)
    require_alone(recipe, world)
    channels = int(data.train.pixels.shape[3])
    space = adapted_space(package.space, len(labels), channels)
    pixels = Pixels(package.mean, package.std)
    new = pixels.for_channels(channels)
    moved = dataclasses.replace(package, space=space, labels=tuple(labels), mean=new.mean, std=new.std, dataset=dataset)
    facts: dict[str, Any] = {
        **run_facts(package, subnet, recipe),
        "new_head": {"classes": list(labels), "keep_classes": keep_classes},
    }
    identity: dict[str, Any] = {}
    if world.first:
        own = RunIdentity.of(facts, moved.labels, data.train, data.held_out, data.test)
        identity = claim_run(folder, FACTS, facts, own, accept_code=accept_code)
    sizes = moved.preprocessing(subnet.resolution)
    making = _Making(package, space, subnet, tuple(labels), keep_classes, sizes, recipe, teacher, device, world)
    train, found = data.train, None
    if recipe.folds:
        train = train.joined(data.held_out)
        found = cross_validate(making, train, recipe.folds, recipe.seed, folder, on_step)
    net = making.headed(train, found.ridge if found else RIDGE)
    trainer, calibration = making.trainer(net, train, folder), train.sample(CALIBRATION_IMAGES)
    if found is None:
        run_single(trainer, recipe, calibration, data.held_out, sizes, on_step)
    else:
        trainer.run(on_step, stop_at=round(found.share * trainer.total_steps))
    net.to("cpu")
    if not world.first:
        return {}
    recalibrate_bn(net, batches(calibration, sizes))
    answers = logits(net, data.test, sizes)
    if not np.isfinite(answers).all():
        raise TrainingError("the network's answers are no numbers", f"{folder}: the training diverged", "a lower --lr")
    figures = {
        "version": __version__,
        **facts,
        IDENTITY: identity,
        **facts_of(teacher),
        **stopping_facts(folder, recipe.patience),
        **({} if found is None else {"out_of_fold": found.facts}),
        "changes": making.changes,
        "macs": cost.macs(space, subnet),
        "expected_macs": trainer.expected_macs,
        "test_images": len(data.test),
        "top1_after": round(top1(answers, data.test.labels), 4),
        "balanced_after": round(balanced_accuracy(answers, data.test.labels), 4),
    }
    splits = {"calibration": calibration, "validation": data.held_out, "test": data.test}
    zoo.save_images(folder / zoo.IMAGES, splits)
    write_network(folder, moved, net, {**figures, "images_sha256": sha256_file(folder / zoo.IMAGES)}, None)
    return figures
