"""The arithmetic that stands alone: a photo in a frame as `read_fitted` reads it, with NumPy and Pillow only."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ofa_edge.data import pixels
from ofa_edge.data.fitted import read_fitted
from ofa_edge.vocabulary import FITS

PHOTOS = [(300, 200, 3), (200, 301, 3), (27, 40, 1), (90, 261, 3), (64, 64, 1), (500, 333, 3)]


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_photo_lies_in_the_frame_as_it_is_read(tmp_path, fit, channels):
    for seed, shape in enumerate(PHOTOS):
        photo = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(photo[..., 0] if shape[2] == 1 else photo).save(tmp_path / "photo.png")
        for frame in ((28, 28), (40, 56)):
            found = pixels.fitted(photo, frame, fit, channels)
            assert np.array_equal(found, read_fitted(tmp_path / "photo.png", channels, frame, fit)[0]), (shape, frame)


def test_the_file_runs_without_this_package(tmp_path):
    (tmp_path / "pixels.py").write_text(Path(pixels.__file__).read_text())
    program = "import pixels, sys, numpy as np; pixels.fitted(np.zeros((9, 7, 3), np.uint8), (4, 4), 'letterbox', 1)"
    program += "; assert not any(name.startswith('ofa_edge') for name in sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": ""}, check=True)
