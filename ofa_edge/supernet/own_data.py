"""Images from elsewhere for a supernet that is trained: read as its own were, numbered as its own are, and reviewed."""

import dataclasses
from pathlib import Path

from ofa_edge.data.dataset import Dataset
from ofa_edge.data.open import IMAGE_FOLDER, open_dataset
from ofa_edge.data.review import Expected, review_set
from ofa_edge.supernet.zoo import SupernetPackage


def open_for(package: SupernetPackage, name: str = IMAGE_FOLDER, folder: Path | None = None, seed: int = 0) -> Dataset:
    """A data set for a supernet.

    Args:
        package: the supernet.
        name: of the data set.
        folder: where it is.
        seed: of the split of a folder without a test part.

    Raises:
        DataError: the data are missing, their classes or channels are not the supernet's, or they are refused
            (`ofa_edge.data.review`).
    """
    data = open_dataset(
        name,
        folder,
        size=package.space.resolutions[-1],
        channels=package.space.in_channels,
        split_seed=seed,
        reading=package.reading,
    ).in_order_of(package.labels)
    expected = Expected(
        package.mean,
        package.std,
        f"supernet '{package.name}' was trained with",
        "give images of the kind that it was trained on",
    )
    data = review_set(data, package.reading, expected, settled=True)
    if package.reading.words:
        words = f"{data.name}: read as in training, {package.reading.words}"
        words += "; what gives images to the artifact has to do the same"
        data = dataclasses.replace(data, notes=(*data.notes, words))
    return data
