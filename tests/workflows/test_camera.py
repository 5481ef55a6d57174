import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from ofa_edge.errors import DataError, ToolMissingError
from ofa_edge.workflows.camera import take_photo


class Camera:
    """As OpenCV's, which gives dark frames at first, and blue before red."""

    released = 0

    def __init__(self, number: int) -> None:
        self.number, self.frames = number, 0

    def isOpened(self) -> bool:  # noqa: N802  (as OpenCV calls it)
        return self.number != 7

    def read(self):
        self.frames += 1
        frame = np.zeros((4, 6, 3), np.uint8)
        frame[..., 2] = 200 if self.frames > 5 else 0
        return self.number != 3, frame

    def release(self) -> None:
        Camera.released += 1


@pytest.fixture
def opencv(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", SimpleNamespace(VideoCapture=Camera))
    Camera.released = 0


def test_a_photo_has_its_own_colours(opencv, tmp_path):
    take_photo(0, tmp_path / "photo.png")
    with Image.open(tmp_path / "photo.png") as image:
        assert image.mode == "RGB"
        assert image.size == (6, 4)
        assert image.getpixel((0, 0)) == (200, 0, 0)
    assert Camera.released == 1


@pytest.mark.parametrize(("number", "what"), [(7, "no camera 7"), (3, "gave no picture")])
def test_what_is_no_camera_is_said(opencv, tmp_path, number, what):
    with pytest.raises(DataError, match=what):
        take_photo(number, tmp_path / "photo.png")
    assert Camera.released == 1
    assert not (tmp_path / "photo.png").exists()


def test_without_opencv_it_is_said_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ToolMissingError, match="OpenCV"):
        take_photo(0, tmp_path / "photo.png")
