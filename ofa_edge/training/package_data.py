"""The data that a supernet's package was trained on, opened again: for fine-tuning, and for predictors made later."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from ofa_edge.data.dataset import Dataset, Images, class_counts
from ofa_edge.data.open import IMAGE_FOLDER, class_folders
from ofa_edge.errors import DataError
from ofa_edge.metrics import Metric
from ofa_edge.supernet.own_data import open_for
from ofa_edge.supernet.zoo import IMAGES, SupernetPackage
from ofa_edge.training.recipe import AugmentRecipe, Balance

CALIBRATION_IMAGES, VALIDATION_IMAGES = 500, 4000
_HELD_OUT_SHARE = 10  # one in so many, where the supernet's own recipe is not at hand


@dataclass(frozen=True)
class TrainingData:
    """The data a supernet was trained on, split as it was then.

    Attributes:
        train: what training may see.
        held_out: what the supernet did not see either; for choices.
        test: for figures.
        augment: as in the supernet's training.
        batch, balance: likewise.
        notes: what a user may want to know of the data, a sentence each.
    """

    train: Images
    held_out: Images
    test: Images
    augment: AugmentRecipe
    batch: int
    balance: Balance = "none"
    notes: tuple[str, ...] = ()

    @property
    def class_counts(self) -> list[int]:
        """Training images of each class that any image is of, by class number."""
        every = np.concatenate([part.labels for part in (self.train, self.held_out, self.test)])
        return [int(count) for count in class_counts(self.train, int(every.max()) + 1)]


def training_data(package: SupernetPackage, dataset: str | None, folder: Path | None) -> TrainingData:
    """Open the data of a package's recipe, or other data with the same classes.

    Args:
        package: the supernet.
        dataset: a data set's name; by default that of the supernet's recipe, an image folder where there is none or
            where `folder` has class folders and is no such data set.
        folder: where it is.

    Raises:
        DataError: see `open_for`.
    """
    facts = recipe_facts(package)
    data = facts.get("data", {})
    seed = data.get("split_seed", 0)
    found = _open(package, dataset, data.get("dataset", IMAGE_FOLDER), folder, seed)
    same = found.name == package.dataset
    held_out = data.get("held_out", 0) if same else 0
    train, kept = found.split(held_out or max(1, len(found.train) // _HELD_OUT_SHARE), seed)
    try:
        augment = AugmentRecipe.model_validate_json(json.dumps(facts.get("augment", {})))
    except ValidationError:
        augment = AugmentRecipe()
    batch, balance = int(facts.get("batch", 128)), data.get("balance", "none")
    return TrainingData(train, kept, found.test, augment, batch, balance, found.notes)


def _open(package: SupernetPackage, asked: str | None, own: str, folder: Path | None, seed: int) -> Dataset:
    try:
        return open_for(package, asked or own, folder, seed)
    except DataError:
        if asked or own == IMAGE_FOLDER or not class_folders(folder):
            raise
        return open_for(package, IMAGE_FOLDER, folder, seed)  # a user's own images of the same classes


def predictor_images(package: SupernetPackage, dataset: str | None, folder: Path | None) -> tuple[Images, Images]:
    """Calibration and held-out images: those in the package, or of data that are named."""
    if dataset is None and folder is None and package.file(IMAGES) is not None:
        return package.images("calibration"), package.images("validation")
    if dataset is None and folder is None:
        raise DataError(
            f"supernet '{package.name}' has no images", "no images.npz beside its weights", "name data with --data DIR"
        )
    found = training_data(package, dataset, folder)
    return found.train.sample(CALIBRATION_IMAGES), found.held_out


def package_metric(package: SupernetPackage) -> Metric:
    """What the package's recipe measures subnets by."""
    return "balanced" if recipe_facts(package).get("measure", {}).get("metric") == "balanced" else "top1"


def recipe_facts(package: SupernetPackage) -> dict[str, Any]:
    """The recipe that a package was trained with, as JSON values; nothing where it is not at hand.

    Raises:
        DataError: its file is damaged.
    """
    found = (package.record("recipe.json") or {}).get("recipe", {})
    return found if isinstance(found, dict) else {}
