"""Photos with known answers: eight pictures in the shape of photos, and what the artifact says of them.

They are made of the images that the build was judged on, so that they are as private as those: each is enlarged or
shrunk, and framed by its own mirrored negative, so that a missing crop, another filter or another order of channels
shows in the answers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.dataset import Images
from ofa_edge.data.pixels import fitted, normalise, resize, to_channels
from ofa_edge.data.preprocess import Pixels, Preprocessing
from ofa_edge.files import canonical_json, sha256_bytes, sha256_file, write_bytes, write_json
from ofa_edge.records.interface import INTERFACE

GOLDEN, ANSWERS = "golden", "answers.f32"
_COUNT = 8
_LARGEST = 300  # pixels of a photo's shorter side: the folder stays small beside the artifact
_MOST_NUMBERS = 25_000  # kept of all answers together
_TINT = np.array([1.0, 0.8, 0.6])  # of grey images, so that it matters how they become grey again


@dataclass(frozen=True)
class Golden:
    """Photos and answers.

    Attributes:
        photos: uint8 [H, W, 3] each.
        inputs: what becomes of them, float32 [N, C, H, W].
    """

    photos: tuple[Pixels, ...]
    inputs: NDArray[np.float32]

    @classmethod
    def of(cls, images: Images, preprocessing: Preprocessing) -> "Golden":
        """Of images that are spread over a set."""
        chosen = images.pixels[np.unique(np.linspace(0, len(images) - 1, _COUNT).astype(int))]
        photos = tuple(photo(each, max(preprocessing.shape), place % 2 == 1) for place, each in enumerate(chosen))
        frame, how = preprocessing.shape, preprocessing
        if how.framing is None:
            pixels = np.stack([fitted(each, frame, how.fit, how.channels) for each in photos])
        else:
            pixels = np.stack(
                [to_channels(how.framing.apply(each[np.newaxis], how.size)[0], how.channels) for each in photos]
            )
        return cls(photos, normalise(pixels, how.mean, how.std))


@dataclass(frozen=True)
class GoldenFacts:
    """How answers are compared.

    Attributes:
        photos: how many.
        every: number of an answer that is kept: 1 for all.
        snr_db: what other answers have to keep beside these.
        digests: SHA-256 of each file that a check stands on, by its path in the build.
    """

    photos: int
    every: int
    snr_db: float
    digests: Mapping[str, str] = field(default_factory=dict)


def photo(image: Pixels, size: int, upright: bool) -> Pixels:
    """An image uint8 [H, W, 1 or 3] as a photo uint8 [height, width, 3], whose middle square it is."""
    side = min(size + size // 3 + 1, _LARGEST)
    middle = resize(image[np.newaxis], side)[0]
    if middle.shape[2] == 1:
        middle = np.rint(middle * _TINT).astype(np.uint8)
    margin = side // 3
    before, after = 255 - middle[:, margin:0:-1], 255 - middle[:, -2 : -margin - 3 : -1]
    framed = np.concatenate([before, middle, after], axis=1)
    return np.ascontiguousarray(framed.transpose(1, 0, 2) if upright else framed)


def write_golden(
    folder: Path, golden: Golden, answers: NDArray[np.float32], sha256: str, of: str, snr_db: float
) -> GoldenFacts:
    """Write photos and answers, and the digests by which a check sees whether one of its files was damaged.

    Args:
        folder: `golden/` of a build, which has its interface already.
        golden: the photos.
        answers: [N, numbers].
        sha256: of the artifact.
        of: the file that answered.
        snr_db: what other answers have to keep beside these.
    """
    names = [f"{number}.ppm" for number in range(1, len(golden.photos) + 1)]
    for name, each in zip(names, golden.photos, strict=True):
        write_bytes(folder / name, ppm(each))
    every = max(1, answers.size // _MOST_NUMBERS)
    write_bytes(folder / ANSWERS, np.ascontiguousarray(answers[:, ::every], "<f4").tobytes())
    paths = {f"{GOLDEN}/{name}": folder / name for name in (*names, ANSWERS)}
    paths[INTERFACE] = folder.with_name(INTERFACE)
    digests = {name: sha256_file(path) for name, path in paths.items()}
    said = {"images": names, "every": every, "sha256": sha256, "answers_of": of, "snr_db": snr_db, "files": digests}
    write_json(folder / "golden.json", {**said, "digest": sha256_bytes(canonical_json(said))})
    return GoldenFacts(len(names), every, snr_db, digests)


def ppm(pixels: Pixels) -> bytes:
    """uint8 [H, W, 3] as a binary PPM, which every language reads in a few lines."""
    return b"P6\n%d %d\n255\n" % (pixels.shape[1], pixels.shape[0]) + pixels.tobytes()
