"""Whether answers are those of the build, on the images of golden/; where they are not, which mistake they look like.

Each usual mistake is made on purpose, and the answers that come of it are held against those that were found.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ofa_edge.data.framing import framed
    from ofa_edge.data.pixels import filtered, fitted, normalise, to_channels

    Pixels = NDArray[np.uint8]
    Values = NDArray[np.float32]
else:
    from framing import framed
    from pixels import filtered, fitted, normalise, to_channels

NEARER_DB = 6.0  # than to the build's answers, for a mistake that is only likely
LIKELY_DB = 20.0
FITS = {
    "crop": "its middle square (crop)",
    "squeeze": "all of it squeezed (no crop)",
    "letterbox": "all of it with grey bars (letterbox)",
}


def main(
    build: Path,
    interface: dict[str, Any],
    model: Callable[[Values], Values],
    prepare: Callable[[Pixels], Values],
    arguments: Sequence[str],
) -> int:
    """Check, and say what was found: 0 the answers fit, 1 they do not. Call `damaged` first."""
    golden = json.loads((build / "golden" / "golden.json").read_text("utf-8"))
    photos = [read_ppm(build / "golden" / name) for name in golden["images"]]
    wanted = np.fromfile(build / "golden" / "answers.f32", "<f4").reshape(len(photos), -1)
    thin = slice(None, None, golden["every"])
    if arguments:
        found = np.loadtxt(arguments[0], np.float32, delimiter=None, ndmin=2)[:, thin]
    else:
        found = np.stack([model(prepare(photo))[thin] for photo in photos])
    if found.shape != wanted.shape:
        return said(f"differs: {found.shape} answers and numbers of each, {wanted.shape} are wanted", 1)
    near, least = snr_db(wanted, found), golden["snr_db"]
    if near >= least:
        return said(
            f"ok: {len(photos)} images, {near:.1f} dB beside the answers of the build ({least:g} are wanted)", 0
        )
    place = np.unravel_index(np.argmax(np.abs(wanted - found)), wanted.shape)
    image, number = golden["images"][place[0]], int(place[1]) * golden["every"]
    far = f"number {number} of {image} is {found[place]:.6g}, not {wanted[place]:.6g}"
    said(f"differs: {near:.1f} dB beside the answers of the build, {least:g} are wanted; {far}", 1)
    file = build / interface["file"]
    if hashlib.sha256(file.read_bytes()).hexdigest() != golden["sha256"]:
        return said(f"cause: {file.name} is not the file of this build", 1)
    made = {name: np.stack([answer[thin] for answer in each]) for name, each in answers(interface, model, photos)}
    right = snr_db(wanted, made.pop(""))
    if right < least:
        return said(f"cause: not the preprocessing: rightly prepared, the file answers at {right:.1f} dB here", 1)
    return said(f"cause: {cause(made, found, near, least)}", 1)


def damaged(build: Path) -> str:
    """The first file that a check stands on and that is not as the build wrote it; "" where all are."""
    try:
        golden = json.loads((build / "golden" / "golden.json").read_text("utf-8"))
        said = golden.pop("digest")
        text = json.dumps(golden, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        wanted = golden["files"] if hashlib.sha256(text.encode()).hexdigest() == said else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        wanted = None
    if wanted is None:
        return "golden/golden.json"
    for name, digest in wanted.items():
        try:
            found = hashlib.sha256((build / name).read_bytes()).hexdigest()
        except OSError:
            found = ""
        if found != digest:
            return str(name)
    return ""


def cause(made: dict[str, Values], found: Values, near: float, least: float) -> str:
    """The mistake whose answers these are."""
    near_to = {name: snr_db(values, found) for name, values in made.items()}
    name = max(near_to, key=near_to.__getitem__)
    most = near_to[name]
    if most >= least:
        return f"{name} (its answers are these, at {most:.1f} dB)"
    if most >= max(LIKELY_DB, near + NEARER_DB):
        return f"most likely {name} (its answers are at {most:.1f} dB)"
    if near >= LIKELY_DB:
        return "a small difference, as of rounding or of another resize filter that is not known here"
    return f"none of the {len(made)} usual mistakes; the nearest is {name}, at {most:.1f} dB"


def said(line: str, status: int) -> int:
    """Print a line; the exit status."""
    sys.stdout.write(line + "\n")
    return status


def snr_db(wanted: Values, found: Values) -> float:
    """Power of what is wanted over that of the difference, in dB; 200 where nothing differs."""
    wide, other = wanted.astype(np.float64), found.astype(np.float64)
    if not np.isfinite(other).all():
        return -200.0
    noise, power = float(((wide - other) ** 2).sum()), float((wide**2).sum())
    return 200.0 if noise == 0 else float(10 * np.log10(max(power, 1e-300) / noise))


def read_ppm(path: Path) -> Pixels:
    """A photo of golden/: uint8 [H, W, 3]."""
    content = path.read_bytes()
    kind, width, height, most = content[:64].split(None, 4)[:4]
    if (kind, most) != (b"P6", b"255"):
        raise ValueError(f"{path} is no PPM of 8 bits")
    return np.frombuffer(content[-3 * int(width) * int(height) :], np.uint8).reshape(int(height), int(width), 3)


def answers(
    interface: dict[str, Any], model: Callable[[Values], Values], photos: Sequence[Pixels]
) -> Iterator[tuple[str, list[Values]]]:
    """Answers of the file: rightly prepared under the name "", then after each mistake under its name."""
    inputs = [dict(mistakes(photo, interface)) for photo in photos]
    for name in inputs[0]:
        if name and all(np.array_equal(each[name], each[""]) for each in inputs):
            continue  # no mistake of this network
        yield name, [model(each[name]) for each in inputs]
    if any(each["steps"] for each in interface["outputs"]):
        yield (
            "the integers of the output are taken as they are: no scale",
            [raw(interface, model(each[""])) for each in inputs],
        )


def raw(interface: dict[str, Any], answer: Values) -> Values:
    """An answer in the integers that the file stores."""
    parts, start = [], 0
    for each in interface["outputs"]:
        part = answer[start : start + int(np.prod(each["shape"]))]
        start += part.size
        steps = each["steps"] or {"scale": 1, "zero_point": 0}
        parts.append(part / np.float32(steps["scale"]) + np.float32(steps["zero_point"]))
    return np.concatenate(parts)


def mistakes(photo: Pixels, interface: dict[str, Any]) -> Iterator[tuple[str, Values]]:
    """The right input under the name "", and those that come of usual mistakes."""
    how = interface["inputs"][0]["picture"]
    shape, channels, mean, std = (how["height"], how["width"]), how["channels"], how["mean"], how["std"]

    def normal(pixels: Pixels) -> Values:
        return normalise(pixels[np.newaxis], mean, std)

    def scaled(pixels: Pixels, zero: float, one: float) -> Values:
        return normalise(pixels[np.newaxis], [zero] * channels, [one] * channels)

    pixels = framed(photo, how)
    right = normal(pixels)
    yield "", right
    reversed_order = normal(framed(photo[..., ::-1], how))
    yield "channel order: blue, green, red (BGR) where red, green, blue (RGB) is wanted", reversed_order
    if channels == 1:
        yield (
            "grey: the first channel is taken, not the luma of all three",
            normal(framed(photo[..., :1], how)),
        )
    yield "normalisation is missing: pixels go in as 0..255", scaled(pixels, 0, 1)
    yield "normalisation is missing: pixels go in as 0..1", scaled(pixels, 0, 255)
    yield "normalisation is missing: pixels go in as -1..1", scaled(pixels, 127.5, 127.5)
    yield (
        "normalisation: mean and std are of pixels 0..255, and were applied to pixels 0..1",
        normalise((pixels[np.newaxis] / 255).astype(np.float32), mean, std),
    )
    for fit, words in FITS.items():
        if fit != how["fit"]:
            what = (
                f"{'missing crop' if how['fit'] == 'crop' else 'fit'}: the photo goes in as {words}, not {how['fit']}"
            )
            yield what, normal(fitted(photo, shape, fit, channels))
    if how["filter"] != "triangle":
        wanted = f"Pillow's {how['filter']}"
        other = "bicubic" if how["filter"] == "bilinear" else "bilinear"
        yield f"resize filter: Pillow's {other}, not {wanted}", normal(framed(photo, {**how, "filter": other}))
        whole = normal(framed(photo, {**how, "share": 1.0}))
        yield f"missing share: all of the middle square goes in, not the middle {how['share']:g} of its side", whole
        triangular = normal(fitted(photo, shape, how["fit"], channels))
        yield f"resize filter and share: all of the middle square by a triangle, not {wanted}", triangular
    for name, weights in FILTERS.items() if how["filter"] == "triangle" else ():
        yield (
            f"resize filter: {name}, not the antialiased triangle",
            normal(fitted(photo, shape, how["fit"], channels, shrinking(weights))),
        )
    _, depth, rows, columns = right.shape
    if interface["inputs"][0]["layout"] == "NHWC":
        yield (
            "layout: [C, H, W] where [H, W, C] is wanted",
            right.reshape(1, rows, columns, depth).transpose(0, 3, 1, 2),
        )
    else:
        yield "layout: [H, W, C] where [C, H, W] is wanted", right.transpose(0, 2, 3, 1).reshape(right.shape)
    if rows == columns:
        yield "layout: rows and columns are swapped", right.transpose(0, 1, 3, 2)
    yield from wrong_steps(pixels, right, interface["inputs"][0]["steps"])


def wrong_steps(pixels: Pixels, right: Values, steps: dict[str, Any] | None) -> Iterator[tuple[str, Values]]:
    """Mistakes of integers: inputs that are stored as they would be after them."""
    if steps is None:
        return
    scale, zero = np.float32(steps["scale"]), steps["zero_point"]
    whole = pixels.transpose(2, 0, 1)[np.newaxis].astype(np.float32)
    yield "quantisation: the zero point of the input is left out", right - zero * scale
    yield "quantisation: pixels - 128 are stored, not (input / scale) + zero point", (whole - 128 - zero) * scale
    yield "quantisation: the scale of the input is left out", (np.rint(right)) * scale


def shrinking(weights: Callable[[int, int], NDArray[np.float64]]) -> Callable[..., Pixels]:
    """In place of `pixels.shrunk`, by another filter."""

    def shrunk(photo: Pixels, channels: int, shape: tuple[int, int]) -> Pixels:
        images = to_channels(photo, channels)[np.newaxis]
        rows, columns = weights(photo.shape[0], shape[0]), weights(photo.shape[1], shape[1])
        return np.asarray(filtered(images, rows, columns)[0])

    return shrunk


def spread(kernel: Callable[[NDArray[np.float64]], NDArray[np.float64]], widened: bool) -> Callable[..., Any]:
    """Weights [size, length] of a filter, widened when shrinking or not."""

    def weights(length: int, size: int) -> NDArray[np.float64]:
        scale = length / size
        distance = np.arange(length) + 0.5 - (np.arange(size)[:, np.newaxis] + 0.5) * scale
        found = kernel(distance / (max(scale, 1.0) if widened else 1.0))
        return np.asarray(found / found.sum(1, keepdims=True))

    return weights


def nearest(length: int, size: int) -> NDArray[np.float64]:
    """One pixel of the photo for each of the input."""
    weights = np.zeros((size, length))
    weights[np.arange(size), ((np.arange(size) + 0.5) * length / size).astype(int)] = 1
    return weights


def triangle(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear interpolation."""
    return np.asarray(np.maximum(0.0, 1 - np.abs(distance)))


def cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Catmull and Rom's, with a = -0.5, as Pillow has it."""
    x = np.abs(distance)
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def area(length: int, size: int) -> NDArray[np.float64]:
    """How much of each pixel of the photo lies under one of the input."""
    scale = length / size
    distance = np.abs(np.arange(length) + 0.5 - (np.arange(size)[:, np.newaxis] + 0.5) * scale)
    found = np.clip((max(scale, 1.0) + 1) / 2 - distance, 0, 1)
    return np.asarray(found / found.sum(1, keepdims=True))


FILTERS = {
    "nearest pixel": nearest,
    "bilinear without antialiasing": spread(triangle, widened=False),
    "bicubic": spread(cubic, widened=True),
    "box (area)": area,
}
