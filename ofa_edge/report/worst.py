"""Images that a network answers worst, as small pictures inside the report."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ofa_edge.data.preprocess import Pixels

MOST = 12
_SIDE = 112  # pixels of a thumbnail's longer side
_LOSSLESS = 48  # pixels of a side up to which JPEG would blur what there is
_BYTES = 100_000  # of all of them together: a report is sent by mail


@dataclass(frozen=True)
class WorstPhoto:
    """An image, and what was answered.

    Attributes:
        pixels: uint8 [H, W, 1 or 3].
        share: how probable a classifier held its wrong answer; of others, how much of the image is right.
        name: its file, where it has one.
        true: class, of a classifier.
        answered: likewise.
    """

    pixels: Pixels
    share: float
    name: str = ""
    true: str = ""
    answered: str = ""


@dataclass(frozen=True)
class Thumbnail:
    """What the page shows of a photo: `source` is the picture itself, as a data URI."""

    source: str
    width: int
    height: int
    photo: WorstPhoto


def thumbnails(photos: Sequence[WorstPhoto]) -> list[Thumbnail]:
    """As many of the photos, the first ones, as the page has room for."""
    return list(_within(photos))


def _within(photos: Sequence[WorstPhoto]) -> Iterator[Thumbnail]:
    used = 0
    for photo in photos[:MOST]:
        found = _thumbnail(photo)
        used += len(found.source)
        if used > _BYTES:
            return
        yield found


def _thumbnail(photo: WorstPhoto) -> Thumbnail:
    from PIL import Image

    pixels = photo.pixels[..., 0] if photo.pixels.shape[2] == 1 else photo.pixels
    image, raw = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((_SIDE, _SIDE))
    kind, options = ("png", {"optimize": True}) if max(image.size) <= _LOSSLESS else ("jpeg", {"quality": 80})
    image.save(raw, kind, **options)
    source = f"data:image/{kind};base64,{base64.b64encode(raw.getvalue()).decode()}"
    return Thumbnail(source, *image.size, photo)
