"""One subnet of a supernet for classes of the user's own: another head, training, and a package of one network."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ofa_edge import __version__, cost
from ofa_edge.data.dataset import Dataset
from ofa_edge.data.open import IMAGE_FOLDER, open_dataset
from ofa_edge.data.review import review_set
from ofa_edge.errors import TrainingError
from ofa_edge.files import sha256_file
from ofa_edge.metrics import balanced_accuracy, top1
from ofa_edge.space import Subnet
from ofa_edge.supernet import zoo
from ofa_edge.supernet.adapt import Kept, Pixels, adapt, adapted_space
from ofa_edge.supernet.bn_recalibration import recalibrate_bn
from ofa_edge.supernet.evaluate import batches, logits
from ofa_edge.supernet.static import StaticNet
from ofa_edge.supernet.zoo import SupernetPackage
from ofa_edge.training.claim import IDENTITY, RunIdentity, claim_run
from ofa_edge.training.distributed import World
from ofa_edge.training.head import fit_head
from ofa_edge.training.package_data import CALIBRATION_IMAGES, TrainingData, recipe_facts
from ofa_edge.training.recipe import AugmentRecipe
from ofa_edge.training.run import Progress
from ofa_edge.training.single import SingleRecipe, SingleTrainer
from ofa_edge.workflows.finetune import FACTS, run_facts, write_network

_HELD_OUT_SHARE = 10  # one in so many images
_LEAST_STEPS = 400


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


def new_head_epochs(data: TrainingData, recipe: SingleRecipe) -> SingleRecipe:
    """The recipe, lengthened where a small set would give few steps."""
    per_epoch = max(1, len(data.train) // recipe.batch)
    epochs = max(recipe.epochs, _LEAST_STEPS / per_epoch)
    return recipe.model_copy(update={"epochs": epochs, "distill": 0.0})


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
    accept_code: bool = False,
    on_step: Callable[[Progress], None] = lambda _: None,
) -> dict[str, Any]:
    """Give a subnet another head and train it in `folder`, which then is a package of one network for `--supernet`.

    The head begins as the best linear one on the training images (ridge regression on the subnet's own features), but
    for rows that are kept. The same run found in the folder is continued.

    Args:
        package: the supernet.
        subnet: of its space.
        data: of the new classes.
        labels: their names, by number.
        recipe: how it is trained; nothing is distilled, since no network knows the classes yet.
        folder: the run's.
        dataset: what the data are called.
        keep_classes: classes that both have by name keep their rows of the head.
        device: torch device of the training; measurements run on the CPU.
        world: the processes of the run, this one alone by default.
        accept_code: go on with a run that other code began.
        on_step: told of each step.

    Returns:
        Accuracy on the test images, and what was done; empty in all processes but the first.

    Raises:
        OutputError: the folder holds another run.
        TrainingError: the training diverged: no network is written.
    """
    world = world or World()
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
    calibration = data.train.sample(CALIBRATION_IMAGES)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        net = StaticNet(space, subnet)
    kept = Kept.of(labels, package.labels, wanted=keep_classes)
    changes = adapt(package.load().extract(subnet), net, pixels, channels, kept)
    recalibrate_bn(net, batches(calibration, sizes))
    fit_head(net, data.train, sizes, kept.rows.keys())
    trainer = SingleTrainer(net, recipe, data.train, sizes, folder, device=device, world=world)
    trainer.resume()
    trainer.run(on_step).to("cpu")
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
        "changes": changes,
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
