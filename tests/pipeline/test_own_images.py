"""A user's folder of images for a supernet whose labels no folder can be called: read, and brought into its order."""

import numpy as np
import pytest
from PIL import Image

from ofa_edge.data.open import IMAGE_FOLDER
from ofa_edge.errors import DataError
from ofa_edge.pipeline.inputs import folder_data
from ofa_edge.supernet.zoo import open_supernet
from ofa_edge.training.package_data import predictor_images, training_data

FOLDERS = {"T-shirt/top": "tshirt", "Ankle boot": "a boot"}  # both sort elsewhere than their labels


@pytest.fixture(scope="module")
def fashion():
    return open_supernet("fashion-mnist")


@pytest.fixture
def folder(tmp_path, fashion):
    """Six training and two test images of each class of the embedded supernet's own."""
    images = fashion.images("test")
    for number, label in enumerate(fashion.labels):
        chosen = images.pixels[images.labels == number][:8]
        for index, pixels in enumerate(chosen):
            place = tmp_path / ("train" if index < 6 else "val") / FOLDERS.get(label, label)
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[..., 0]).save(place / f"{index}.png")
    return tmp_path


def write_labels(folder):
    lines = (f'"{name}" = "{label}"\n' for label, name in FOLDERS.items())
    (folder / "labels.toml").write_text("".join(lines))


def test_every_image_keeps_its_class_whatever_its_folder_is_called(folder, fashion):
    write_labels(folder)
    own = fashion.images("test")
    known = {image.tobytes(): int(label) for image, label in zip(own.pixels, own.labels, strict=True)}
    data = folder_data(folder, fashion, 0)
    tuning = training_data(fashion, IMAGE_FOLDER, folder)
    for part in (data.calibration, data.test, tuning.train, tuning.held_out, tuning.test):
        assert [known[image.tobytes()] for image in part.pixels] == part.labels.tolist()
    assert np.bincount(data.test.labels).tolist() == [2] * 10
    assert len(predictor_images(fashion, IMAGE_FOLDER, folder)[0]) == len(tuning.train)


@pytest.mark.parametrize("opened", [lambda p, d: folder_data(d, p, 0), lambda p, d: training_data(p, IMAGE_FOLDER, d)])
def test_without_labels_what_to_write_is_told_and_does(folder, fashion, opened):
    with pytest.raises(DataError, match="classes are not the supernet's") as caught:
        opened(fashion, folder)
    assert "missing: T-shirt/top, Ankle boot; not the supernet's: a boot, tshirt" in caught.value.why
    lines = [line for line in caught.value.hint.splitlines() if " = " in line]
    (folder / "labels.toml").write_text("\n".join(lines))
    opened(fashion, folder)
