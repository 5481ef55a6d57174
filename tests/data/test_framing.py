"""Pictures as timm's evaluation frames them, beside torch's antialiased filters."""

import numpy as np
import pytest
import torch
from PIL import Image

from ofa_edge.data.framing import Framing
from ofa_edge.data.picture import read_picture
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.data.reading import Reading
from ofa_edge.errors import ConfigError

CASES = [
    ((100, 80), 32, 0.875),
    ((80, 100), 32, 0.95),
    ((81, 81), 24, 1.0),
    ((640, 479), 48, 0.9),
    ((20, 31), 32, 0.875),  # enlarged
    ((40, 36), 32, 0.9),
]


def picture(size, seed=0):
    """A colour picture with edges and gentle slopes."""
    width, height = size
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    wave = 128 + 60 * np.sin(x / 5 + y / 9)[..., None] * [1, 0.5, -1]
    return Image.fromarray(np.clip(wave + rng.normal(0, 12, (height, width, 3)), 40, 215).astype(np.uint8))


def by_torch(image, size, share, mode):
    """Resized past the frame by torch's antialiased filter, then cut, in floats."""
    short = int(np.floor(size / share))
    width, height = image.size
    inner = (short, int(short * width / height)) if height <= width else (int(short * height / width), short)
    whole = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].double()
    made = torch.nn.functional.interpolate(whole, inner, mode=mode, antialias=True)[0].permute(1, 2, 0).numpy()
    top, left = (round((side - size) / 2.0) for side in inner)
    return np.clip(made[top : top + size, left : left + size], 0, 255)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("size", "side", "share"), CASES)
def test_pixels_are_those_of_torchs_filters(size, side, share, mode, tmp_path):
    image = picture(size)
    image.save(tmp_path / "x.png")
    found = read_picture(tmp_path / "x.png", 3, side, Reading(framing=Framing(mode, share))).pixels
    wanted = by_torch(image, side, share, mode)
    assert found.shape == (side, side, 3)
    assert np.abs(found - wanted).max() < 2  # Pillow rounds between its two passes, and adds in whole numbers
    assert np.abs(found - wanted).mean() < 0.5


def test_it_is_resize_and_center_crop_to_the_pixel():
    image = picture((100, 80))
    whole = image.resize((45, 36), Image.Resampling.BICUBIC)  # 36 is 32 / 0.875 = 36.6, cut off; 45 is 36 * 100 / 80
    wanted = whole.crop((6, 2, 38, 34))  # 6.5 is rounded to the even number
    assert np.array_equal(np.asarray(Framing("bicubic", 0.875).frame(image, 32)), np.asarray(wanted))


def test_arrays_are_framed_as_files_are():
    image = picture((90, 70))
    framing = Framing("bicubic", 0.9)
    preprocessing = Preprocessing(32, 3, (0.0,) * 3, (1.0,) * 3, framing=framing)
    wanted = np.asarray(framing.frame(image, 32))
    assert np.array_equal(preprocessing.apply(np.asarray(image)[None])[0].transpose(1, 2, 0), wanted)
    assert np.array_equal(preprocessing.apply(wanted[None])[0].transpose(1, 2, 0), wanted)  # framed already
    grey = np.asarray(image.convert("L"))[None, ..., None]
    assert framing.apply(grey, 32).shape == (1, 32, 32, 1)


def test_large_jpegs_are_not_decoded_small(tmp_path):
    image = picture((700, 600), seed=3)
    image.save(tmp_path / "x.jpg", quality=95)
    framing = Framing("bicubic", 0.875)
    found = read_picture(tmp_path / "x.jpg", 3, 32, Reading(framing=framing)).pixels
    assert np.array_equal(found, np.asarray(framing.frame(Image.open(tmp_path / "x.jpg"), 32)))


def test_it_is_part_of_the_preprocessing():
    made = Preprocessing(32, 3, (0.0,) * 3, (1.0,) * 3, framing=Framing("bicubic", 0.9))
    assert made.to_json()["framing"] == {"filter": "bicubic", "share": 0.9}
    assert Preprocessing.from_json(made.to_json()) == made
    plain = Preprocessing(32, 3, (0.0,) * 3, (1.0,) * 3)
    assert "framing" not in plain.to_json()
    for bad in ({"filter": "lanczos", "share": 0.9}, {"filter": "bicubic", "share": 1.2}, {"share": 0.9}, "bicubic"):
        with pytest.raises(ConfigError, match="bad preprocessing"):
            Preprocessing.from_json(made.to_json() | {"framing": bad})
    with pytest.raises(ConfigError, match="bad preprocessing"):
        Preprocessing(32, 3, (0.0,) * 3, (1.0,) * 3, fit="letterbox", framing=Framing("bicubic", 0.9))
