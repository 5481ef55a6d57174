"""The data that a supernet's package was trained on, opened again: for fine-tuning, and for predictors made later."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from ofa_edge.data.dataset import Dataset, Images
from ofa_edge.data.open import IMAGE_FOLDER, open_dataset
from ofa_edge.errors import DataError
from ofa_edge.supernet.zoo import IMAGES, SupernetPackage
from ofa_edge.training.recipe import AugmentRecipe

CALIBRATION_IMAGES = 500
_HELD_OUT_SHARE = 10  # one in so many, where the supernet's own recipe is not at hand


@dataclass(frozen=True)
class TrainingData:
    """The data a supernet was trained on, split as it was then.

    Attributes:
        train: what training may see.
        held_out: what the supernet did not see either; for choices.
        test: for figures.
        augment: as in the supernet's training.
        batch: likewise.
    """

    train: Images
    held_out: Images
    test: Images
    augment: AugmentRecipe
    batch: int

    @property
    def class_counts(self) -> list[int]:
        """Training images of each class that any image is of, by class number."""
        every = np.concatenate([part.labels for part in (self.train, self.held_out, self.test)])
        return [int(count) for count in np.bincount(self.train.labels, minlength=int(every.max()) + 1)]


def training_data(package: SupernetPackage, dataset: str | None, folder: Path | None) -> TrainingData:
    """Open the data of a package's recipe, or other data with the same classes.

    Args:
        package: the supernet.
        dataset: a data set's name; by default that of the supernet's recipe, an image folder where there is none.
        folder: where it is.

    Raises:
        DataError: the data are missing, or their classes or channels are not the supernet's.
    """
    facts = _recipe_facts(package)
    data = facts.get("data", {})
    found = open_dataset(
        dataset or data.get("dataset", IMAGE_FOLDER),
        folder,
        size=package.space.resolutions[-1],
        channels=package.space.in_channels,
        split_seed=data.get("split_seed", 0),
    )
    _check_classes(found, package)
    same = found.name == package.dataset
    held_out = data.get("held_out", 0) if same else 0
    train, kept = found.split(held_out or max(1, len(found.train) // _HELD_OUT_SHARE), data.get("split_seed", 0))
    try:
        augment = AugmentRecipe.model_validate(facts.get("augment", {}))
    except ValidationError:
        augment = AugmentRecipe()
    return TrainingData(train, kept, found.test, augment, int(facts.get("batch", 128)))


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


def _recipe_facts(package: SupernetPackage) -> dict[str, Any]:
    path = package.file("recipe.json")
    try:
        value = json.loads(path.read_bytes())["recipe"] if path else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return value if isinstance(value, dict) else {}


def _check_classes(data: Dataset, package: SupernetPackage) -> None:
    if data.class_names != package.labels:
        strange = sorted(set(data.class_names) ^ set(package.labels)) or ["their order"]
        raise DataError(
            "the data's classes are not the supernet's",
            f"{data.name}: differs in {', '.join(strange[:5])}",
            f"use data with the classes {', '.join(package.labels[:5])}{', ...' if len(package.labels) > 5 else ''}",
        )
