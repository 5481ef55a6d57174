"""Where supernets come from: the one inside the package, a folder that `ofa-edge train` wrote, or a file.

A *package* is a folder with all that a build needs besides the target: weights, the predictor fitted to them, images,
labels, and how they came about. The embedded default is one; a user's own training run makes another.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofa_edge.data.dataset import Images
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.data.reading import AS_STORED, Reading
from ofa_edge.errors import ConfigError, DataError, UnknownNameError, WeightsError
from ofa_edge.files import LARGEST_MODEL, atomic_path, bounded_text, parse_json, read_regular, sha256_file
from ofa_edge.records.licences import LICENCES, Licences, read_licences
from ofa_edge.records.ranges import RangesRecord
from ofa_edge.shown import pasteable
from ofa_edge.space import Space, Subnet
from ofa_edge.supernet.header import NETWORK_FORMAT, read_weights_file

if TYPE_CHECKING:
    from ofa_edge.supernet.network import Supernet

DEFAULT = "fashion-mnist"
_PUBLISHED: tuple[tuple[str, str, float, int], ...] = (  # name, family, width, smallest input size in training
    ("ofa_mbv3_d234_e346_k357_w1.0", "ofa_mobilenetv3", 1.0, 128),
    ("ofa_mbv3_d234_e346_k357_w1.2", "ofa_mobilenetv3", 1.2, 160),
    ("ofa_proxyless_d234_e346_k357_w1.3", "ofa_proxyless", 1.3, 128),
    ("ofa_resnet50", "ofa_resnet", 1.0, 128),
)
UNTRAINED = {
    name: Space.of(family, name, width_mult=width, resolutions=tuple(range(smallest, 225, 4)))
    for name, family, width, smallest in _PUBLISHED
}
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)

WEIGHTS, PREDICTOR, PAIRS, IMAGES, LABELS = (
    "supernet.safetensors",
    "predictor.safetensors",
    "pairs.json",
    "images.npz",
    "labels.txt",
)
NETWORK = "network.safetensors"  # in place of WEIGHTS: one static network, nothing to search
RANGES = "ranges"  # in the header of a NETWORK that was trained for int8
FINETUNED = "finetune.json"  # how a fine-tuned NETWORK came about
RECORDS = ("figures.json", FINETUNED)  # what a run says of itself
SPLITS = ("calibration", "validation", "test")
_AS_WRITTEN = "use the package as ofa-edge train wrote it"


@dataclass(frozen=True)
class SupernetPackage:
    """A supernet and what comes with it.

    Attributes:
        name: as the user calls it.
        space: its search space.
        folder: where its files lie; None for an untrained one, which has no files.
        labels: class names, in order.
        mean, std: pixel statistics (0..255) by channel.
        dataset: what it was trained on; None if untrained.
        subnet: the only network, where the folder holds one static network instead of a supernet.
        reading: how values in image files become pixels, as in its training.
        ranges: those that training settled for int8, of one network that was trained for it.
    """

    name: str
    space: Space
    folder: Path | None
    labels: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    dataset: str | None
    subnet: Subnet | None = None
    reading: Reading = AS_STORED
    ranges: RangesRecord | None = None

    @property
    def trained(self) -> bool:
        """Whether its accuracy means anything."""
        return self.folder is not None

    def file(self, name: str) -> Path | None:
        """The path of one of the package's files, if it has it."""
        path = self.folder / name if self.folder else None
        return path if path is not None and path.is_file() else None

    @property
    def weights(self) -> Path | None:
        """The file of its weights; None for an untrained one."""
        return self.folder / (WEIGHTS if self.subnet is None else NETWORK) if self.folder else None

    @property
    def licences(self) -> Licences:
        """Those of its weights and of its data."""
        return Licences() if self.folder is None else read_licences(self.folder / LICENCES)

    def preprocessing(self, size: int) -> Preprocessing:
        """What its networks expect at an input size."""
        return Preprocessing(size, self.space.in_channels, self.mean, self.std)

    def load(self) -> "Supernet":
        """The network: trained weights, or, untrained, the reference's initialisation from seed 0."""
        import torch

        from ofa_edge.supernet.network import Supernet
        from ofa_edge.supernet.weights import load_supernet

        if self.subnet is not None:
            raise WeightsError(
                f"'{self.name}' is one network, not a supernet",
                "there is nothing to search or extract",
                pasteable("ofa-edge", "build", "--target", "raspberry-pi-4", "--supernet", self.name),
            )
        if self.folder is not None:
            return load_supernet(self.folder / WEIGHTS)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return Supernet(self.space).eval()

    def images(self, split: str) -> Images:
        """`calibration` (training images), `validation` (held out of training) or `test` images.

        Raises:
            DataError: there are none, they are damaged, not those that the package was written with, or their labels
                are not class numbers of this supernet.
        """
        path = self.file(IMAGES)
        if path is None:
            raise DataError(f"supernet '{self.name}' has no images", "no images.npz beside its weights", "use --data")
        self._require_own(path)
        images = load_images(path, split)
        strange = images.labels[(images.labels < 0) | (images.labels >= len(self.labels))]
        if len(strange):
            raise DataError(
                f"the {split} images have labels that are not classes of '{self.name}'",
                f"{path}: {len(strange)} of {len(images)}, the first is {strange[0]}; "
                f"its {len(self.labels)} classes are 0 .. {len(self.labels) - 1}",
                _AS_WRITTEN,
            )
        if images.pixels.shape[3] != self.space.in_channels:
            raise DataError(
                f"the {split} images have {images.pixels.shape[3]} channels",
                f"{path}: '{self.name}' takes {self.space.in_channels}",
                _AS_WRITTEN,
            )
        return images

    def record(self, name: str) -> dict[str, Any] | None:
        """What a run wrote of itself into a file beside the weights; None where there is no such file.

        Raises:
            DataError: it is damaged. What it would be held against must not pass for sound.
        """
        path = self.file(name)
        if path is None:
            return None
        try:
            found = parse_json(read_regular(path, LARGEST_MODEL))
            if not isinstance(found, dict):
                raise ValueError("it holds no table")
        except (OSError, ValueError) as error:
            hint = f"restore {name}, or remove it to do without what it says"
            raise DataError(f"{name} of '{self.name}' cannot be read", f"{path}: {error}", hint) from error
        return found

    def _require_own(self, path: Path) -> None:
        """Raise DataError where what the run wrote of itself names other images than those beside it."""
        for name in RECORDS:
            wanted = (self.record(name) or {}).get("images_sha256")
            if wanted is not None and wanted != (found := sha256_file(path)):
                raise DataError(
                    f"{path.name} is not the one that this package was written with",
                    f"{path}: SHA-256 {found[:12]}, {name} names {str(wanted)[:12]}",
                    f"{_AS_WRITTEN}; other images are for --data",
                )


def open_supernet(name_or_path: str | Path, *, untrained: bool = False) -> SupernetPackage:
    """Find a supernet.

    Args:
        name_or_path: one that ships with the package (`shipped`), a published name together with `untrained`, or a
            folder that `ofa-edge train` or `ofa-edge zoo import` wrote.
        untrained: random weights are wanted.

    Raises:
        UnknownNameError: no supernet of that name.
        WeightsError: a published name without `untrained`, or a folder that holds no supernet.
    """
    name_or_path, known = str(name_or_path), [*shipped(), *UNTRAINED]
    if untrained:
        if name_or_path not in UNTRAINED:
            hint = f"ofa-edge build --untrained --supernet {next(iter(UNTRAINED))}"
            raise UnknownNameError.of("untrained supernet", name_or_path, UNTRAINED, hint)
        space = UNTRAINED[name_or_path]
        labels = tuple(f"class {index}" for index in range(space.num_classes))
        return SupernetPackage(name_or_path, space, None, labels, IMAGENET_MEAN, IMAGENET_STD, None)
    if name_or_path in UNTRAINED:
        raise WeightsError(
            f"no weights for '{name_or_path}'",
            "the published weights do not ship with ofa-edge",
            "ofa-edge zoo list says where they are, ofa-edge zoo import FILE takes them; --untrained for latency and "
            "conversion work",
        )
    folder = zoo_folder() / name_or_path if name_or_path in shipped() else Path(name_or_path)
    if not folder.is_dir():
        raise UnknownNameError.of("supernet", name_or_path, known, "ofa-edge zoo list, or the folder of a training run")
    return _read_package(name_or_path, folder)


def open_space(name_or_path: str) -> Space:
    """The space of a supernet, where its weights do not matter. Raises: see `open_supernet`."""
    return open_supernet(name_or_path, untrained=name_or_path in UNTRAINED).space


def zoo_folder() -> Path:
    """Where the supernets that ship with the package lie."""
    return Path(__file__).parent.parent / "zoo"


def shipped() -> list[str]:
    """Names of the trained supernets that ship with the package, the default first."""
    names = sorted(weights.parent.name for weights in zoo_folder().glob(f"*/{WEIGHTS}"))
    return sorted(names, key=lambda name: name != DEFAULT)


def _read_package(name: str, folder: Path) -> SupernetPackage:
    single = (folder / NETWORK).is_file() and not (folder / WEIGHTS).is_file()
    path = folder / (NETWORK if single else WEIGHTS)
    weights = read_weights_file(path, NETWORK_FORMAT) if single else read_weights_file(path)
    facts = weights.facts
    try:
        labels = tuple(parse_json(facts["labels"]))
        mean, std = (tuple(float(item) for item in parse_json(facts[key])) for key in ("mean", "std"))
        dataset = facts["dataset"]
        reading = Reading.from_json(parse_json(facts["reading"])) if "reading" in facts else AS_STORED
        ranges = RangesRecord.model_validate_json(facts[RANGES]) if RANGES in facts else None
    except (ConfigError, KeyError, ValueError, TypeError) as error:
        raise WeightsError("incomplete weights header", f"{path}: {error}", "train again") from error
    if len(labels) != weights.space.num_classes or len(mean) != weights.space.in_channels:
        raise ConfigError(
            "labels or channels do not fit the supernet",
            f"{path}: {len(labels)} labels for {weights.space.num_classes} classes",
            "train again",
        )
    _require_labels(folder / LABELS, labels)
    return SupernetPackage(name, weights.space, folder, labels, mean, std, dataset, weights.subnet, reading, ranges)


def _require_labels(path: Path, labels: tuple[str, ...]) -> None:
    """Raise DataError where a package's list of labels is not that of its weights: apps are given the list."""
    if not path.is_file():
        return
    try:
        found = bounded_text(path).removesuffix("\n").split("\n")
    except (OSError, ValueError) as error:
        raise DataError("damaged labels", f"{path}: {error}", _AS_WRITTEN) from error
    if found != list(labels):
        place = next((n for n, pair in enumerate(zip(found, labels, strict=False)) if pair[0] != pair[1]), None)
        lengths = f"{len(found)} labels, the weights have {len(labels)}"
        own = lengths if place is None else f"number {place} is '{found[place]}', the weights say '{labels[place]}'"
        raise DataError("the labels are not those of the weights", f"{path}: {own}", _AS_WRITTEN)


def save_images(path: Path, splits: dict[str, Images]) -> None:
    """Write image splits as a compressed .npz; the same images give the same bytes."""
    import numpy as np

    arrays = {f"{split}_{part}": getattr(images, part) for split, images in splits.items() for part in _PARTS}
    with atomic_path(path) as part, part.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


_PARTS = ("pixels", "labels")


def load_images(path: Path, split: str) -> Images:
    """Read one split of an .npz written by `save_images`. Raises DataError."""
    import numpy as np

    from ofa_edge.archives import read_arrays

    names = (f"{split}_pixels", f"{split}_labels")
    try:
        arrays = read_arrays(path, names)
        pixels, labels = (arrays[name] for name in names)
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"no {split} images", f"{path}: {error}", _AS_WRITTEN) from error
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        kind = f"{labels.dtype} {list(labels.shape)}"
        raise DataError(
            f"the {split} labels are not class numbers", f"{path}: {kind}, whole numbers wanted", _AS_WRITTEN
        )
    return Images(pixels, labels.astype(np.int64))


def holds_images(path: Path, splits: dict[str, Images]) -> bool:
    """Whether a file holds just these splits."""
    try:
        return all(load_images(path, split).digest == images.digest for split, images in splits.items())
    except DataError:
        return False
