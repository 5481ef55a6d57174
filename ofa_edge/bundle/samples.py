"""Labelled test images for the app, out of the package that a build's supernet came from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ofa_edge.bundle.names import slug
from ofa_edge.bundle.record import SampleEntry, sample_paths
from ofa_edge.data.dataset import Images
from ofa_edge.errors import DataError, OfaEdgeError
from ofa_edge.files import sha256_bytes, sha256_file
from ofa_edge.records.manifest import Manifest
from ofa_edge.schema import changed
from ofa_edge.supernet import zoo

DEFAULT_IMAGES = 500


@dataclass(frozen=True)
class SampleSet:
    """What becomes two files and an entry of `bundle.json`."""

    entry: SampleEntry
    pixels: bytes
    labels: bytes

    def files(self) -> dict[str, bytes]:
        """Path among the assets to content."""
        return {self.entry.file: self.pixels, self.entry.labels_file: self.labels}

    def renamed(self, name: str) -> "SampleSet":
        """The same under another name."""
        file, labels_file = sample_paths(name)
        entry = changed(self.entry, name=name, file=file, labels_file=labels_file)
        return SampleSet(entry, self.pixels, self.labels)


def samples_of(manifest: Manifest, count: int, class_names: Sequence[str]) -> tuple[SampleSet | None, str]:
    """The build's test images, or None and the reason in words.

    Args:
        manifest: of the build.
        count: how many are wanted; all there are, where there are fewer. 0: none.
        class_names: the model's labels, whose order must be the package's.
    """
    if count == 0:
        return None, "no sample images asked for"
    if manifest.supernet is None or not manifest.network.trained:
        file = "the network came as a file, without images"
        return None, file if manifest.supernet is None else "an untrained network has no accuracy to show on them"
    recorded = {Path(item.path).name: item.sha256 for item in manifest.inputs if item.role == "images"}
    try:
        package = zoo.open_supernet(manifest.supernet.name)
        path = package.file(zoo.IMAGES)
        if path is None or not recorded:
            return None, f"supernet '{package.name}' carries no test images"
        if recorded.get(zoo.IMAGES) != sha256_file(path) or tuple(class_names) != package.labels:
            return None, f"{path} is not what the build used"
        images = package.images("test")
    except OfaEdgeError as error:
        return None, f"{error.what}: {error.why}"
    name = slug(Path(package.name).name)
    kind = f"{package.dataset}{', MIT licence' if package.name in zoo.shipped() else ''}"  # of what ships with ofa-edge
    return sample_set(name, images.sample(count), f"{kind}: test images", len(class_names)), ""


def sample_set(name: str, images: Images, source: str, classes: int) -> SampleSet:
    """Images as the app reads them.

    Raises:
        DataError: no images, or a label that is no class.
    """
    if len(images) == 0 or images.labels.min() < 0 or images.labels.max() >= classes:
        raise DataError(
            "sample images do not fit the model",
            f"{len(images)} images, labels must be 0 to {classes - 1}",
            "use the package as ofa-edge train wrote it",
        )
    pixels = np.ascontiguousarray(images.pixels).tobytes()
    labels = images.labels.astype("u1" if classes <= 256 else "<u2").tobytes()
    count, height, width, channels = images.pixels.shape
    file, labels_file = sample_paths(name)
    entry = SampleEntry(
        name=name,
        source=source,
        classes=classes,
        file=file,
        sha256=sha256_bytes(pixels),
        size=len(pixels),
        labels_file=labels_file,
        labels_sha256=sha256_bytes(labels),
        count=count,
        height=height,
        width=width,
        channels=channels,
    )
    return SampleSet(entry, pixels, labels)
