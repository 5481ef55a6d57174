"""`ofa_pixels.h` makes of photos what `ofa_edge.data.pixels` makes of them: whole numbers to the bit, floats too."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ofa_edge import example
from ofa_edge.data.pixels import fitted, normalise
from ofa_edge.vocabulary import FITS

HEADER = Path(example.__file__).with_name("files") / "cpp/ofa_pixels.h"
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
PROGRAM = f"""
#include <cstdio>
#include <fstream>
#include <string>
#include "{HEADER.as_posix()}"
// PHOTO height width  frame height width channels fit  OUT: the pixels, then the floats
int main(int, char** argv) {{
  const float mean[] = {{{", ".join(f"{value}f" for value in MEAN)}}};
  const float std[] = {{{", ".join(f"{value}f" for value in STD)}}};
  ofa::Image photo(std::stoi(argv[2]), std::stoi(argv[3]), 3);
  std::ifstream(argv[1], std::ios::binary).read((char*)photo.pixels.data(), std::streamsize(photo.pixels.size()));
  const ofa::Frame frame = {{std::stoi(argv[4]), std::stoi(argv[5]), std::stoi(argv[6]), ofa::Fit(std::stoi(argv[7]))}};
  const ofa::Image made = ofa::Fitted(photo, frame);
  const auto values = ofa::Normalised(made, mean, std);
  std::ofstream out(argv[8], std::ios::binary);
  out.write((const char*)made.pixels.data(), std::streamsize(made.pixels.size()));
  out.write((const char*)values.data(), std::streamsize(values.size() * sizeof(float)));
}}
"""
PHOTOS = [(37, 50), (50, 37), (28, 28), (240, 200), (113, 260), (7, 5), (301, 300)]
FRAMES = [(28, 28), (24, 40), (50, 33)]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    if shutil.which("g++") is None:
        pytest.skip("no g++")
    folder = tmp_path_factory.mktemp("pixels")
    (folder / "main.cc").write_text(PROGRAM)
    flags = ["-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off"]
    subprocess.run(["g++", *flags, "main.cc", "-o", "main"], cwd=folder, check=True)
    return folder / "main"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("fit", range(3), ids=["crop", "squeeze", "letterbox"])
def test_a_photo_becomes_the_same_input(program, tmp_path, channels, fit):
    boxed = 0
    for seed, shape in enumerate(PHOTOS):
        photo = np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)
        photo.tofile(tmp_path / "photo")
        for frame in FRAMES:
            out = tmp_path / "out"
            arguments = [*shape, *frame, channels, fit]
            subprocess.run([program, tmp_path / "photo", *map(str, arguments), out], check=True)
            wanted = fitted(photo, frame, ("crop", "squeeze", "letterbox")[fit], channels)
            content = out.read_bytes()
            assert content[: wanted.size] == wanted.tobytes(), (shape, frame)
            floats = normalise(wanted[np.newaxis], MEAN[:channels], STD[:channels])
            assert content[wanted.size :] == floats.tobytes(), (shape, frame)
            boxed += min(shape[0] / frame[0], shape[1] / frame[1]) >= 4
    assert boxed, "no photo was averaged over boxes first"


def test_the_fits_are_those_that_a_build_can_have():
    assert FITS == ("crop", "squeeze", "letterbox")
