"""Photos of five made-up flowers, in colour and of uneven shape, which tell their class by colour and by stripes."""

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {
    "aster": (130, 80, 180),
    "crocus": (230, 170, 60),
    "daisy": (225, 225, 215),
    "poppy": (200, 50, 40),
    "tansy": (60, 140, 80),
}


def save_flowers(folder: Path, count: int = 40, size: tuple[int, int] = (60, 80), seed: int = 0) -> Path:
    """`folder/CLASS/N.jpg`: so many of each class, height and width `size`."""
    rng = np.random.default_rng(seed)
    for width, (name, colour) in enumerate(COLOURS.items(), start=3):
        (folder / name).mkdir(parents=True)
        stripes = 25 * ((np.arange(size[1]) // width) % 2)[None, :, None]
        for number in range(count):
            light = rng.normal(1, 0.12)
            pixels = light * np.array(colour) + stripes + rng.normal(0, 25, (*size, 3))
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / name / f"{number:02}.jpg")
    return folder
