"""A photo from this machine's camera, by OpenCV where that is installed."""

import importlib
from pathlib import Path
from typing import Any

from PIL import Image

from ofa_edge.errors import DataError, ToolMissingError

_SETTLING = 10  # frames in which exposure and white balance settle


def take_photo(number: int, path: Path) -> None:
    """Save a frame of a camera as PNG.

    Args:
        number: of the camera, as OpenCV counts them.
        path: of the file.

    Raises:
        ToolMissingError: OpenCV is not installed.
        DataError: there is no such camera, or it gives no picture.
    """
    try:
        cv2: Any = importlib.import_module("cv2")
    except ModuleNotFoundError as error:
        raise ToolMissingError(
            "OpenCV is not installed", "--camera takes its photo by it", "pip install opencv-python-headless"
        ) from error
    camera = cv2.VideoCapture(number)
    try:
        if not camera.isOpened():
            raise DataError(f"no camera {number}", "OpenCV cannot open it", "--camera with another number, or a photo")
        for _ in range(_SETTLING):
            camera.read()
        taken, frame = camera.read()
    finally:
        camera.release()
    if not taken:
        raise DataError(f"camera {number} gave no picture", "it was opened", "end what else uses it, or give a photo")
    Image.fromarray(frame[..., ::-1].copy()).save(path, "png")  # OpenCV has blue first
