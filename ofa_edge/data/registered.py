"""Data sets of other packages: any `torch.utils.data.Dataset` behind an entry point.

An entry point of the group `ofa_edge.datasets` names a callable `make(folder, train)`:

- folder: `pathlib.Path` given by the user, or None;
- train: True for the training part, False for the test part;
- it returns a `torch.utils.data.Dataset` of `(image, label)`. The image is a Pillow image, or a uint8 array or tensor
  [H, W], [H, W, C] or [C, H, W] of 1, 3 or 4 channels (the fourth is alpha); the label is an integer from 0. An
  attribute `classes`, if it is there, names the classes.

For example, a package with `my_birds.py`

    from torchvision.datasets import ImageFolder

    def make(folder, train):
        return ImageFolder(folder / ("seen" if train else "unseen"))

and, in its pyproject.toml,

    [project.entry-points."ofa_edge.datasets"]
    birds = "my_birds:make"

is data set `birds` from the moment it is installed. Augmentation and normalisation are the recipe's: the data set must
do neither.
"""

import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.channels import check_channels
from ofa_edge.data.dataset import Dataset, Images
from ofa_edge.data.image_folder import Progress
from ofa_edge.data.labels import check_labels
from ofa_edge.data.memory import require_memory
from ofa_edge.data.preprocess import Pixels
from ofa_edge.data.reading import AS_STORED, Reading, Values
from ofa_edge.errors import ConfigError, DataError, UnknownNameError

if TYPE_CHECKING:
    import torch

    from ofa_edge.data.picture import Picture

ENTRY_POINTS = "ofa_edge.datasets"
_BLOCK = 256
_GREY, _COLOUR = 1, 3


@dataclass(frozen=True)
class _Part:
    """One part of a registered data set, not read yet."""

    data: "torch.utils.data.Dataset[Any]"
    where: str  # for errors
    length: int | None  # None: it can only be gone through

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        items = iter(self.data) if self.length is None else map(self.data.__getitem__, range(self.length))
        for index in itertools.count():
            where = f"{self.where}, item {index}"
            try:
                item = next(items)
            except StopIteration:
                return
            except Exception as error:
                raise DataError(
                    "an item that cannot be read", f"{where}: {type(error).__name__}: {error}", "repair the data set"
                ) from error
            if not isinstance(item, tuple | list) or len(item) != 2:
                raise DataError(
                    "an item that is not (image, label)",
                    f"{where}: {type(item).__name__}",
                    "return pairs of an image and a class number",
                )
            yield item[0], item[1]


def registered_names() -> list[str]:
    """Names of the data sets that installed packages bring. Nothing is imported."""
    return sorted({point.name for point in entry_points(group=ENTRY_POINTS)})


def load_registered(
    name: str,
    folder: Path | None,
    channels: int | None,
    size: int,
    reading: Reading = AS_STORED,
    on_progress: Progress = lambda done, total: None,
) -> Dataset:
    """A data set that an installed package brings.

    Each image becomes its central square at `size`, as those of an image folder do.

    Args:
        name: of the entry point.
        folder: given to the entry point as it is.
        channels: 1 or 3; None: 1 if the first training image is grey, else 3.
        size: side of the images in memory, in pixels.
        reading: how values become pixels.
        on_progress: called now and then; the total is 0 where the data set has no length.

    Raises:
        UnknownNameError: no entry point of that name.
        ConfigError: it does not load, or two packages claim the name.
        DataError: what it returns is not labelled uint8 images; the item is named.
    """
    check_channels(channels)
    make = _load(name)
    train, test = (_make_part(make, name, folder, train) for train in (True, False))
    channels = channels or _first_channels(train)
    known = None if train.length is None or test.length is None else train.length + test.length
    if known is not None:
        require_memory(known, size, channels, f"data set '{name}'")
    seen = 0
    parts = []
    values: list[tuple[str, Values]] = []
    for part in (train, test):
        report = lambda done, base=seen: on_progress(base + done, known or 0)  # noqa: E731 - of this part
        parts.append(_read(part, channels, size, reading, values, report))
        seen += len(parts[-1])
    names = _class_names(name, train, test, parts)
    check_labels(names, f"data set '{name}'")
    return Dataset(name, parts[0], parts[1], names, values=Values.of_set(values, f"data set '{name}'"))


def _load(name: str) -> Callable[[Path | None, bool], Any]:
    points: set[EntryPoint] = {point for point in entry_points(group=ENTRY_POINTS) if point.name == name}
    if not points:
        raise UnknownNameError.of("dataset", name, registered_names(), "install the package that brings it")
    values = sorted({point.value for point in points})
    if len(values) > 1:
        raise ConfigError(
            f"two packages bring dataset '{name}'", f"entry points {', '.join(values)}", "uninstall one of them"
        )
    point = points.pop()
    try:
        made = point.load()
    except Exception as error:  # a third party's code: anything can happen
        raise _broken(name, point.value, error) from error
    if not callable(made):
        raise _broken(name, point.value, TypeError("it is not callable"))
    return cast(Callable[[Path | None, bool], Any], made)


def _broken(name: str, value: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"entry point '{name}' of group {ENTRY_POINTS} does not load",
        f"{value}: {type(error).__name__}: {error}",
        "repair or uninstall the package that declares it",
    )


def _make_part(make: Callable[[Path | None, bool], Any], name: str, folder: Path | None, train: bool) -> _Part:
    from torch.utils.data import Dataset as TorchDataset
    from torch.utils.data import IterableDataset

    where = f"data set '{name}', {'training' if train else 'test'} part"
    try:
        data = make(folder, train)
        length = None if isinstance(data, IterableDataset) or not hasattr(data, "__len__") else len(data)
    except Exception as error:
        raise DataError(
            f"data set '{name}' cannot be opened",
            f"{where}, folder {folder}: {type(error).__name__}: {error}",
            "check the folder given with --data, then the package",
        ) from error
    if not isinstance(data, TorchDataset):
        raise DataError(
            f"data set '{name}' is not a torch Dataset",
            f"{where}: {type(data).__name__}",
            "return a torch.utils.data.Dataset",
        )
    return _Part(data, where, length)


def _first_channels(part: _Part) -> int:
    for image, _ in part:
        return int(_picture(image, None, 1, AS_STORED, f"{part.where}, item 0").pixels.shape[-1])
    raise _empty(part)


def _read(
    part: _Part,
    channels: int,
    size: int,
    reading: Reading,
    values: list[tuple[str, Values]],
    report: Callable[[int], None],
) -> Images:
    capacity = _BLOCK if part.length is None else part.length
    pixels = np.empty((capacity, size, size, channels), dtype=np.uint8)
    labels: list[int] = []
    for index, (image, label) in enumerate(part):
        where = f"{part.where}, item {index}"
        if index == len(pixels):  # only where the length is not known
            require_memory(3 * len(pixels), size, channels, part.where)
            pixels = np.concatenate([pixels, np.empty_like(pixels)])
        picture = _picture(image, channels, size, reading, where)
        pixels[index] = picture.pixels
        values.append((f"item {index}", picture.values))
        labels.append(_label(label, where))
        if len(labels) % _BLOCK == 0:
            report(len(labels))
    if not labels:
        raise _empty(part)
    report(len(labels))
    return Images(pixels[: len(labels)], np.array(labels, dtype=np.int64))


def _empty(part: _Part) -> DataError:
    return DataError("no images", f"{part.where} is empty", "check the folder given with --data")


def _picture(image: Any, channels: int | None, size: int, reading: Reading, where: str) -> "Picture":
    """One image as uint8 [size, size, channels]."""
    from PIL import Image

    from ofa_edge.data.picture import square_array, square_picture

    try:
        if isinstance(image, Image.Image):
            return square_picture(image, channels, size, reading)
        return square_array(_hwc(image), channels, size, reading)
    except DataError as error:
        raise DataError(error.what, f"{where}: {error.why}", error.hint) from error
    except Exception as error:  # a lazy image that turns out to be damaged, for one
        raise DataError(
            "an image that cannot be read", f"{where}: {type(error).__name__}: {error}", "repair the data set"
        ) from error


def _hwc(image: Any) -> Pixels:
    """An array or tensor as uint8 [H, W, C]. Tensors are taken as [C, H, W] first, arrays as [H, W, C]."""
    import torch

    is_tensor = isinstance(image, torch.Tensor)
    array: NDArray[Any] = image.detach().cpu().numpy() if is_tensor else image
    if not isinstance(array, np.ndarray):
        raise DataError("not an image", type(image).__name__, "return a Pillow image or a uint8 array or tensor")
    if array.dtype != np.uint8:
        raise DataError(
            f"pixels of type {array.dtype}",
            "they have been scaled or normalised already, and the device would not do the same",
            "return uint8 pixels 0..255: leave out ToTensor and Normalize",
        )
    if array.ndim == 2:
        return np.ascontiguousarray(array[..., None])
    orders = ((0, True), (2, False)) if is_tensor else ((2, False), (0, True))
    for axis, channels_first in orders:
        if array.ndim == 3 and array.shape[axis] in (1, 3, 4) and array.size:
            return np.ascontiguousarray(array.transpose(1, 2, 0) if channels_first else array)
    raise DataError(
        "not an image", f"an array of shape {list(array.shape)}", "return [H, W, C] or [C, H, W], C 1, 3 or 4"
    )


def _label(label: Any, where: str) -> int:
    try:
        number = operator.index(label)
    except (TypeError, ValueError) as error:
        raise DataError(
            "a label that is not a number", f"{where}: {type(label).__name__} {label!s:.40}", "return integers from 0"
        ) from error
    if not 0 <= number < 1_000_000:
        raise DataError("a label out of range", f"{where}: {number}", "return integers from 0 without gaps")
    return number


def _class_names(name: str, train: _Part, test: _Part, parts: Sequence[Images]) -> tuple[str, ...]:
    """The classes as the data set names them, else their numbers, checked against the labels."""
    names, others = (getattr(part.data, "classes", None) for part in (train, test))
    highest = max(int(images.labels.max()) for images in parts)
    classes = tuple(str(item) for item in names) if names is not None else tuple(map(str, range(highest + 1)))
    if others is not None and tuple(str(item) for item in others) != classes:
        raise DataError(
            "classes differ", f"data set '{name}': its test part names other classes", "use the same classes in both"
        )
    if len(classes) < 2:
        raise DataError("too few classes", f"data set '{name}' has {len(classes)}", "give it two classes or more")
    for part, images in zip((train, test), parts, strict=True):
        if images.labels.max() >= len(classes):
            index = int(images.labels.argmax())
            raise DataError(
                "a label out of range",
                f"{part.where}, item {index}: {images.labels[index]}, and there are {len(classes)} classes",
                "return integers from 0 to the number of classes less one",
            )
    missing = np.flatnonzero(np.bincount(parts[0].labels, minlength=len(classes)) == 0)
    if len(missing):
        raise DataError(
            "a class without images", f"{train.where}: '{classes[missing[0]]}' ({missing[0]})", "number classes from 0"
        )
    return classes
