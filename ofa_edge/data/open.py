"""The one door to data: a name and a folder in, labelled images in memory out."""

from pathlib import Path

from ofa_edge.data.cifar10 import load_cifar10
from ofa_edge.data.dataset import Dataset
from ofa_edge.data.fashion_mnist import load_fashion_mnist
from ofa_edge.data.image_folder import HELD_OUT_SHARE, Progress, load_image_folder
from ofa_edge.data.reading import AS_STORED, Reading
from ofa_edge.data.registered import load_registered, registered_names
from ofa_edge.errors import DataError, UnknownNameError

FASHION_MNIST, CIFAR10, IMAGE_FOLDER = "fashion-mnist", "cifar-10", "image-folder"
BUILT_IN = (CIFAR10, FASHION_MNIST, IMAGE_FOLDER)


def dataset_names() -> tuple[str, ...]:
    """Every data set that can be asked for by name: the built-in ones, then those of installed packages."""
    return (*BUILT_IN, *(name for name in registered_names() if name not in BUILT_IN))


def open_dataset(
    name: str,
    folder: Path | None = None,
    *,
    size: int,
    channels: int | None = None,
    held_out_share: float = HELD_OUT_SHARE,
    split_seed: int = 0,
    reading: Reading = AS_STORED,
    on_progress: Progress = lambda done, total: None,
) -> Dataset:
    """Read a data set.

    Args:
        name: one of `dataset_names()`; a built-in name is never an entry point's.
        folder: where its files are. Fashion-MNIST has a usual place; entry points may do without.
        size: side of the images in memory where they have no size of their own (image folders, entry points).
            Fashion-MNIST stays at 28 pixels and CIFAR-10 at 32: resize what is returned, if need be.
        channels: 1 or 3; None: as the data have them.
        held_out_share: share of each class that becomes the test set of an image folder that has none.
        split_seed: of that split.
        reading: how the values in files become pixels.
        on_progress: called now and then with images read and images in all (0: not known), where reading takes time.

    Raises:
        UnknownNameError: no data set of that name.
        ConfigError: channels other than 1 or 3, or an entry point that does not load.
        DataError: the data are missing, damaged, or do not fit into memory; the file is named.
    """
    if name == FASHION_MNIST:
        return load_fashion_mnist(folder, channels, reading)
    if name == CIFAR10:
        return load_cifar10(_given(folder, name), channels, reading, on_progress)
    if name == IMAGE_FOLDER:
        return load_image_folder(
            _given(folder, name),
            channels,
            size,
            held_out_share=held_out_share,
            split_seed=split_seed,
            reading=reading,
            on_progress=on_progress,
        )
    if name not in registered_names():
        raise UnknownNameError.of("dataset", name, dataset_names(), f"use one of: {', '.join(dataset_names())}")
    return load_registered(name, folder, channels, size, reading, on_progress)


def _given(folder: Path | None, name: str) -> Path:
    if folder is None:
        raise DataError("no data folder", f"dataset '{name}' is read from a folder", "give it with --data")
    return folder


def class_folders(folder: Path | None) -> list[str]:
    """Names of the folders that are classes, if that is what a folder looks like."""
    if folder is None or not folder.is_dir():
        return []
    inside = folder / "train" if (folder / "train").is_dir() else folder
    return sorted(path.name for path in inside.iterdir() if path.is_dir() and not path.name.startswith("."))
