"""Photos through the network of this build, without ofa-edge. What to install is in the build's README.md.

python classify.py PHOTO...            what it says of each
python classify.py --check             whether the answers on golden/ are those of the build
python classify.py --check ANSWERS     the same of answers from elsewhere: one line of numbers an image
"""

from __future__ import annotations  # a board's Python may be older than this project's

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ofa_edge.data.framing import framed
    from ofa_edge.data.pixels import normalise, placed
    from ofa_edge.data.raw_boxes import decoded
    from ofa_edge.example.files.python import check
    from ofa_edge.runtimes.example.litert import Model
else:
    import check
    from framing import framed
    from model import Model
    from pixels import normalise, placed
    from raw_boxes import decoded

SHOWN = 0.25  # score of a box that is shown
BUILD = Path(__file__).resolve().parents[2]


def interface() -> dict[str, Any]:
    """What goes into the file and what comes out; ends the program where that cannot be read."""
    path = BUILD / "model.interface.json"
    try:
        said: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SystemExit(f"cannot read {path.name}: {error}") from None
    return said


INTERFACE = interface()


def prepare(photo: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A photo uint8 [H, W, 3], red, green, blue -> the network's input, float32 [1, C, H, W]."""
    how = INTERFACE["inputs"][0]["picture"]
    pixels = framed(photo, how)
    return normalise(pixels[np.newaxis], how["mean"], how["std"])


def read(path: str) -> NDArray[np.uint8]:
    """A photo file, upright: uint8 [H, W, 3]."""
    from PIL import Image, ImageOps

    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"), np.uint8)


def words(answer: NDArray[np.float32], size: tuple[int, int]) -> str:
    """What an answer says of a photo of this width and height."""
    labels, task = INTERFACE["labels"], INTERFACE["task"]
    if task == "detect":
        return "; ".join(found(answer, size)) or "nothing"
    if task == "segment":
        return ", ".join(f"{labels[number]} {share:.3f}" for number, share in shares_of_pixels(answer)[:5])
    if task != "classify" or len(labels) != len(answer):
        return f"numbers {answer[:8]} ..."
    powers = np.exp(answer.astype(np.float64) - answer.max())
    shares = answer if answer.min() >= 0 and abs(answer.sum() - 1) < 1e-3 else powers / powers.sum()
    return ", ".join(f"{labels[number]} {shares[number]:.3f}" for number in np.argsort(-shares, kind="stable")[:5])


def found(answer: NDArray[np.float32], size: tuple[int, int]) -> list[str]:
    """Boxes in pixels of the photo: left, top, right, bottom."""
    how, labels = INTERFACE["inputs"][0]["picture"], INTERFACE["labels"]
    scale, offset = placed(size, (how["height"], how["width"]), how["fit"])
    boxes = decoded(SimpleNamespace(**INTERFACE["decoding"]), answer)
    corners = np.clip((boxes.corners - np.tile(offset, 2)) / np.tile(scale, 2), 0, np.tile(size, 2))
    return [
        f"{labels[number] if number < len(labels) else number} {score:.3f} at {np.rint(corner).astype(int).tolist()}"
        for corner, score, number in zip(corners, boxes.scores, boxes.classes)  # noqa: B905 (Python 3.9 knows no strict)
        if score >= SHOWN
    ]


def shares_of_pixels(answer: NDArray[np.float32]) -> list[tuple[int, float]]:
    """Classes by their share of the output's pixels, the largest first."""
    output = INTERFACE["outputs"][0]
    scores = answer.reshape(output["shape"][1:])
    scores = scores.transpose(2, 0, 1) if output["layout"] == "NHWC" else scores
    classes = (scores[0] > output["threshold"]).astype(int) if len(scores) == 1 else scores.argmax(axis=0)
    numbers, counts = np.unique(classes, return_counts=True)
    return [(int(numbers[place]), counts[place] / counts.sum()) for place in np.argsort(-counts)]


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 done, 1 the check failed, 2 nothing was given, 3 nothing can be checked: a file was damaged."""
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stderr.write(f"{__doc__}")
        return 2
    if arguments[0] == "--check" and (file := check.damaged(BUILD)):
        return check.said(f"nothing was checked: {file} is not as the build wrote it; copy it from the build again", 3)
    model = Model(str(BUILD / INTERFACE["file"]))
    if arguments[0] == "--check":
        return check.main(BUILD, INTERFACE, model, prepare, arguments[1:])
    for path in arguments:
        photo = read(path)
        sys.stdout.write(f"{path}: {words(model(prepare(photo)), photo.shape[1::-1])}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
