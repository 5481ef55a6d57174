"""What a given network is run on: the user's image folder, arrays in a file, or random inputs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ofa_edge.data.dataset import Images, Samples
from ofa_edge.data.open import IMAGE_FOLDER, open_dataset
from ofa_edge.data.reading import Reading
from ofa_edge.data.review import review_set
from ofa_edge.data.sampling import stratified_split
from ofa_edge.errors import ConfigError, DataError
from ofa_edge.network import Input, Interface
from ofa_edge.training.package_data import CALIBRATION_IMAGES
from ofa_edge.vocabulary import PictureKind
from ofa_edge.workflows.build.images import BuildData, of_dataset
from ofa_edge.workflows.build.model_arrays import LABELS, label_numbers, load_arrays, named_arrays
from ofa_edge.workflows.build.model_truth import truth_data
from ofa_edge.workflows.build.random_inputs import KINDS, varied_images

_RANDOM = 64, 16  # inputs to calibrate with, and to test on
_KEYS = ("images", "inputs")


def model_data(
    interface: Interface, data: Path | None, seed: int, kinds: Sequence[PictureKind] = ()
) -> BuildData[Samples]:
    """The inputs of a build of a given network.

    Args:
        interface: of the network: its inputs, and a classifier's output or any others.
        data: a folder of images by class, a file of arrays (`read_arrays`, `named_arrays`), or None for random ones.
        seed: of the choice among them.
        kinds: of random images (`random_inputs.KINDS`); none: all.

    Raises:
        DataError: they are missing or damaged, or do not fit the network.
        ConfigError: a folder of images for what takes none.
    """
    source, output = interface.inputs[0], interface.outputs[0]
    if data is None:
        return _random(interface, tuple(kinds))
    if len(interface.inputs) > 1:
        return _samples(*named_arrays(data, interface.inputs), output.labels, data, seed)
    if output.task in ("detect", "segment"):
        return truth_data(interface, data, seed)
    if data.is_dir():
        return _folder(source, output.labels, data, seed)
    samples, labelled = read_arrays(data, source.name)
    source.apply(samples.take(np.array([0])))  # whether they fit, before any work
    return _samples(samples, labelled, output.labels, data, seed)


def _random(interface: Interface, kinds: tuple[PictureKind, ...]) -> BuildData[Samples]:
    source = interface.inputs[0]
    if source.preprocessing is not None:
        shape, channels = source.preprocessing.shape, source.preprocessing.channels
        pictures = [varied_images(count, shape, channels, seed, kinds) for seed, count in enumerate(_RANDOM)]
        shown = f" ({', '.join(kinds)})" if kinds not in ((), KINDS) else ""
        what = f"{len(pictures[1])} random images{shown}"
        return BuildData(pictures[0], pictures[0], pictures[1], what, labelled=False, kinds=kinds)
    rng = np.random.default_rng(0)
    one = source.shape[1:] if len(interface.inputs) == 1 else (sum(each.values for each in interface.inputs),)
    calibration, test = (
        Samples(rng.standard_normal((count, *one)).astype(np.float32), np.zeros(count, np.int64)) for count in _RANDOM
    )
    return BuildData(calibration, calibration, test, f"{len(test)} random inputs", labelled=False)


def _folder(source: Input, labels: tuple[str, ...], folder: Path, seed: int) -> BuildData[Samples]:
    preprocessing = source.preprocessing
    if preprocessing is None:
        raise ConfigError(
            "the network takes no images",
            f"its input '{source.name}' is {list(source.shape)}; {folder} is a folder",
            "--samples FILE.npz with an array `inputs`",
        )
    height, width = preprocessing.shape
    found = open_dataset(
        IMAGE_FOLDER,
        folder,
        size=max(height, width),
        channels=preprocessing.channels,
        split_seed=seed,
        reading=Reading(framing=preprocessing.framing),
    )
    found = review_set(found, channels_given=True)
    if labels:
        found = found.in_order_of(labels, "network", some=True)
    sets = of_dataset(found, folder, seed)
    notes = sets.notes
    if height != width:
        notes += (f"{folder.name}: the middle square of each photo is squeezed to {height} x {width}",)
    return replace(sets, labelled=bool(labels), notes=notes)


def _samples(samples: Samples, labelled: bool, labels: tuple[str, ...], path: Path, seed: int) -> BuildData[Samples]:
    if labelled and labels:
        samples.require_classes(len(labels), path.name)
    rest, chosen = stratified_split(np.zeros(len(samples), np.int64), min(CALIBRATION_IMAGES, len(samples) // 2), seed)
    test, calibration = (samples.take(rest), samples.take(chosen)) if len(chosen) else (samples, samples)
    return BuildData(
        calibration,
        calibration,
        test,
        f"{path.name}: {len(test)} inputs to test on",
        labelled=labelled and bool(labels),
        notes=(f"{path.name}: {len(calibration)} of {len(samples)} inputs kept for int8 ranges, the others to test on",)
        if len(chosen)
        else (),
        own=True,
    )


def read_arrays(path: Path, name: str) -> tuple[Samples, bool]:
    """Inputs from a .npz file, and whether it has labels.

    It holds `images`, uint8 [N, H, W, C] or [N, H, W], or `inputs`, which may have the input's own name instead, floats
    [N, ...] as the network takes them; and may hold `labels`, whole numbers [N].

    Raises:
        DataError: no such file, or not of that form.
    """
    hint = "np.savez(FILE, images=uint8 [N, H, W, C], labels=int [N]), or inputs=float32 [N, ...] in place of images"
    arrays = load_arrays(path, hint, (*_KEYS, LABELS, name))
    if name not in (*_KEYS, LABELS) and name in arrays and not arrays.keys() & set(_KEYS):
        arrays[_KEYS[1]] = arrays.pop(name)
    names = [name for name in _KEYS if name in arrays]
    if len(names) != 1 or not arrays[names[0]].ndim or not len(arrays[names[0]]):
        raise DataError("no inputs in the file", f"{path}: it needs one of `images` and `inputs`, with entries", hint)
    values, labels = arrays[names[0]], arrays.get(LABELS)
    numbers = label_numbers(labels, len(values), names[0], path, hint)
    if names[0] == "images":
        return Images(values[..., None] if values.ndim == 3 else values, numbers), labels is not None
    if values.dtype.kind not in "fiu" or (values.dtype.kind == "f" and not np.isfinite(values).all()):
        raise DataError("inputs that are no numbers", f"{path}: {values.dtype}, or NaN or infinity in it", hint)
    return Samples(values.astype(np.float32), numbers), labels is not None
