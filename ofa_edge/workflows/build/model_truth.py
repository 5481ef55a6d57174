"""What detectors and segmenters are run on: images with boxes, or with masks."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.annotated import classes_in, read_marked, read_pictures
from ofa_edge.data.annotations import Boxes, Truth
from ofa_edge.data.dataset import Images, Samples
from ofa_edge.data.marked import Marked
from ofa_edge.data.mask_folder import Pair, find_masks, read_masked
from ofa_edge.data.sampling import stratified_split
from ofa_edge.errors import ConfigError, DataError
from ofa_edge.network import Interface
from ofa_edge.shown import printable
from ofa_edge.training.package_data import CALIBRATION_IMAGES
from ofa_edge.workflows.build.images import BuildData

_VALIDATION = 200  # images to choose by: they are large
_ANSWERS = 1 << 30  # bytes of answers to all test images that a rung may hold
T = TypeVar("T")


def truth_data(interface: Interface, folder: Path, seed: int) -> BuildData[Samples]:
    """The images of a build of a detector or a segmenter.

    Args:
        interface: of the network.
        folder: images with boxes (`data.annotated`) or with masks (`data.mask_folder`).
        seed: of the choice among them.

    Raises:
        ConfigError: no folder.
        DataError: the folder is of no known layout, damaged, or of other classes.
    """
    output, preprocessing = interface.outputs[0], interface.inputs[0].preprocessing
    assert preprocessing is not None
    if not folder.is_dir():
        hint = "--data DIR of images with boxes or masks: docs/own-networks.md has the layouts"
        raise ConfigError(f"--task {output.task} wants a folder", str(folder), hint)
    most = max(_ANSWERS // (4 * sum(each.values for each in interface.outputs)), 16)
    if output.task == "detect":
        marked = read_marked(folder)
        order = classes_in(marked.names, output.labels, folder)

        def read_boxes(files: Sequence[Marked], wanted: bool) -> tuple[Images, Truth | None]:
            found = read_pictures(files, order, preprocessing)
            return found.images, found.boxes if wanted else None

        return _sets(marked.train, marked.test, read_boxes, lambda each: each.path, folder, seed, most, marked.notes)
    masked, notes = find_masks(folder), list[str]()

    def read_masks(files: Sequence[Pair], wanted: bool) -> tuple[Images, Truth | None]:
        return read_masked(files, len(output.labels), preprocessing, notes, masks=wanted)

    found = _sets(masked.train, masked.test, read_masks, lambda pair: pair[0], folder, seed, most, masked.notes)
    return replace(found, notes=(*found.notes, *notes))


def _sets(
    train: Sequence[T],
    test: Sequence[T],
    read: Callable[[Sequence[T], bool], tuple[Images, Truth | None]],
    path_of: Callable[[T], Path],
    folder: Path,
    seed: int,
    most: int,
    notes: Sequence[str],
) -> BuildData[Samples]:
    """The sets of a build out of files, of which `path_of` is the image's.

    The last argument of `read` says whether what is right is wanted.
    """
    said = list(notes)
    if train is test:
        rest, chosen = _split(len(test), min(CALIBRATION_IMAGES, len(test) // 2), seed)
        if len(chosen):
            train, test = [train[place] for place in chosen], [test[place] for place in rest]
            said.append(f"{folder.name}: one part; {len(train)} images kept for int8 ranges, {len(test)} to test on")
    rest, chosen = _split(len(train), min(CALIBRATION_IMAGES, len(train) // 2), seed)
    calibration, validation = [train[place] for place in chosen], [train[place] for place in rest[:_VALIDATION]]
    if len(train) < CALIBRATION_IMAGES:  # too few for two sets
        calibration, validation = list(train), list(train)[:_VALIDATION]
    if len(test) > most:
        _, kept = _split(len(test), most, seed)
        said.append(f"{folder.name}: {most} of {len(test)} test images, as answers to all of them do not fit memory")
        test = [test[place] for place in kept]
    images, truth = read(test, True)
    sets = [read(files, False)[0] for files in (calibration, validation)]
    if isinstance(truth, Boxes) and not len(truth.classes):
        raise DataError("no object in any test image", str(folder), "give images with objects to be found")
    return BuildData(
        sets[0],
        sets[1],
        images,
        f"{folder.name}: {len(images)} test images",
        labelled=False,
        notes=tuple(said),
        own=True,
        truth=truth,
        test_names=tuple(printable(str(path_of(each).relative_to(folder))) for each in test),
    )


def _split(count: int, chosen: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return stratified_split(np.zeros(count, np.int64), chosen, seed)
