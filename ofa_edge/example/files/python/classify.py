"""Photos through the network of this build, without ofa-edge. What to install is in the build's README.md.

python classify.py PHOTO...            what it says of each
python classify.py --check             whether the answers on golden/ are those of the build
python classify.py --check ANSWERS     the same of answers from elsewhere: one line of numbers an image
"""

from __future__ import annotations  # a board's Python may be older than this project's

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ofa_edge.data.pixels import fitted, normalise
    from ofa_edge.example.files.python import check
    from ofa_edge.runtimes.example.litert import Model
else:
    import check
    from model import Model
    from pixels import fitted, normalise

BUILD = Path(__file__).resolve().parents[2]
INTERFACE: dict[str, Any] = json.loads((BUILD / "model.interface.json").read_text("utf-8"))


def prepare(photo: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A photo uint8 [H, W, 3], red, green, blue -> the network's input, float32 [1, C, H, W]."""
    how = INTERFACE["inputs"][0]["picture"]
    pixels = fitted(photo, (how["height"], how["width"]), how["fit"], how["channels"])
    return normalise(pixels[np.newaxis], how["mean"], how["std"])


def read(path: str) -> NDArray[np.uint8]:
    """A photo file, upright: uint8 [H, W, 3]."""
    from PIL import Image, ImageOps

    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"), np.uint8)


def words(answer: NDArray[np.float32]) -> str:
    """What an answer says: the most certain classes; of a network that does not classify, its raw numbers."""
    labels = INTERFACE["labels"]
    if INTERFACE["task"] != "classify" or len(labels) != len(answer):
        shapes = ", ".join(f"{each['name']} {each['shape']}" for each in INTERFACE["outputs"])
        return f"raw outputs ({shapes}; `decoding` in model.interface.json): {answer[:8]} ..."
    powers = np.exp(answer.astype(np.float64) - answer.max())
    shares = answer if answer.min() >= 0 and abs(answer.sum() - 1) < 1e-3 else powers / powers.sum()
    return ", ".join(f"{labels[number]} {shares[number]:.3f}" for number in np.argsort(-shares, kind="stable")[:5])


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 done, 1 the check failed, 2 nothing was given."""
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stderr.write(f"{__doc__}")
        return 2
    model = Model(str(BUILD / INTERFACE["file"]))
    if arguments[0] == "--check":
        return check.main(BUILD, INTERFACE, model, prepare, arguments[1:])
    for path in arguments:
        sys.stdout.write(f"{path}: {words(model(prepare(read(path))))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
