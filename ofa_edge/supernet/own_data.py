"""Images from elsewhere for a supernet that is trained: read as its own were, numbered as its own are, and reviewed."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from ofa_edge.data.dataset import Dataset, Images
from ofa_edge.data.open import IMAGE_FOLDER, open_dataset
from ofa_edge.data.review import Expected, review_set
from ofa_edge.space import Subnet
from ofa_edge.supernet.zoo import IMAGES, SupernetPackage

if TYPE_CHECKING:
    from ofa_edge.supernet.network import Supernet
    from ofa_edge.supernet.static import StaticNet


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


def calibrate_for(package: SupernetPackage, net: "StaticNet", images: Images) -> "StaticNet":
    """Calibrate a subnet of a package on images of any origin; a head of its own is fitted to the package's.

    Args:
        package: that it was cut from.
        net: changed in place.
        images: that batch norm statistics are of; a few of each class would not do for a head.
    """
    from ofa_edge.supernet.evaluate import calibrate

    learnt = package.images("calibration") if net.own_head is not None and package.file(IMAGES) else None
    return calibrate(net, images, package.preprocessing(net.subnet.resolution), learnt)


def subnet_for(package: SupernetPackage, supernet: "Supernet", subnet: Subnet, images: Images) -> "StaticNet":
    """Cut a subnet out of a package's supernet and calibrate it so."""
    return calibrate_for(package, supernet.extract(subnet), images)
