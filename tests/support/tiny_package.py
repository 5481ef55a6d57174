"""A supernet package small enough for tests: 16-pixel images of three kinds, trained by the product's own pipeline."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from ofa_edge.data.dataset import Dataset, Images
from ofa_edge.training.recipe import Recipe
from ofa_edge.training.recipe_files import parse_recipe
from ofa_edge.workflows.train import FIGURES, train

LABELS = ("above", "below", "middle")
RECIPE = """
name = "tiny"
seed = 3
batch = 32
zero_gamma = true
[space]
width_mult = 0.25
strides = [2, 2, 1, 1, 1, 1]
resolutions = [14, 16]
depths = [1, 2]
[data]
dataset = "image-folder"
held_out = 60
mean = [72.9]
std = [90.0]
[measure]
pairs = 24
rank_subnets = 6
[[phases]]
name = "sandwich"
epochs = 4
lr = 0.2
warmup_epochs = 0.8
subnets = ["largest", "smallest", "random"]
distill = "largest"
resolutions = [14, 16]
"""


def recipe(**changes: str) -> Recipe:
    """The recipe above; `changes` replace the values of keys."""
    lines = [
        f"{key} = {changes[key]}" if (key := line.partition(" = ")[0]) in changes else line
        for line in RECIPE.splitlines()
    ]
    return parse_recipe("\n".join(lines), "tiny_package.py")


def images(count: int, seed: int) -> Images:
    """Noise with a bright band whose place is the class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(LABELS), count)
    pixels = rng.integers(0, 110, (count, 16, 16, 1), dtype=np.uint8)
    for index, label in enumerate(labels):
        top = (0, 11, 5)[label]
        pixels[index, top : top + 5] += 90
    return Images(pixels, labels.astype(np.int64))


def dataset() -> Dataset:
    """220 training and 50 test images."""
    return Dataset("bands", images(220, 0), images(50, 1), LABELS)


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of a run share."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def shared_package(factory: pytest.TempPathFactory) -> Path:
    """The package, trained once for all of a run's processes. Copy it before you change anything in it."""
    folder = shared_folder(factory) / "tiny"
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / FIGURES).is_file():
            train(recipe(), dataset(), folder)
    return folder


def copied_package(package: Path, folder: Path) -> Path:
    """A copy without the training's own files."""
    return Path(shutil.copytree(package, folder, ignore=shutil.ignore_patterns("checkpoint*", "*.json", "log*")))
