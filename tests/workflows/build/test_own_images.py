"""A user's folder of images for a supernet whose labels no folder can be called: read, and brought into its order."""

import dataclasses

import numpy as np
import pytest
from PIL import Image
from tiny_package import LABELS, RECIPE, dataset, recipe

from ofa_edge.data.open import IMAGE_FOLDER
from ofa_edge.data.reading import Reading
from ofa_edge.errors import ConfigError, DataError, WeightsError
from ofa_edge.supernet.header import read_weights_file
from ofa_edge.supernet.network import Supernet
from ofa_edge.supernet.static import StaticNet
from ofa_edge.supernet.weights import save_supernet
from ofa_edge.supernet.zoo import WEIGHTS, open_supernet
from ofa_edge.training.claim import RunIdentity
from ofa_edge.training.data import load_data
from ofa_edge.training.package_data import predictor_images, training_data
from ofa_edge.training.recipe_files import parse_recipe
from ofa_edge.workflows import finetune
from ofa_edge.workflows.build.images import folder_data
from ofa_edge.workflows.train import save_weights

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
    assert training_data(fashion, None, folder).train.digest == tuning.train.digest  # --data alone says it too


def test_a_folder_that_is_neither_is_told_as_the_supernets_own_data(tmp_path, fashion):
    with pytest.raises(DataError, match="not a Fashion-MNIST folder"):
        training_data(fashion, None, tmp_path)


@pytest.mark.parametrize("opened", [lambda p, d: folder_data(d, p, 0), lambda p, d: training_data(p, IMAGE_FOLDER, d)])
def test_without_labels_what_to_write_is_told_and_does(folder, fashion, opened):
    with pytest.raises(DataError, match="classes are not the supernet's") as caught:
        opened(fashion, folder)
    assert "missing: T-shirt/top, Ankle boot; not the supernet's: a boot, tshirt" in caught.value.why
    lines = [line for line in caught.value.hint.splitlines() if " = " in line]
    (folder / "labels.toml").write_text("\n".join(lines))
    opened(fashion, folder)


def test_the_embedded_supernets_own_images_raise_no_doubt(fashion, folder):
    write_labels(folder)
    notes = folder_data(folder, fashion, 0).notes
    assert len(notes) == 1
    assert "few training images" in notes[0]


def test_images_of_a_camera_are_read_as_in_training(fashion, folder):
    write_labels(folder)
    for path in folder.rglob("*.png"):  # the same pictures as a 12-bit camera stores them
        with Image.open(path) as image:
            deep = np.round(np.asarray(image) / 255 * 4095).astype(np.uint16)
        Image.fromarray(deep).save(path)
    with pytest.raises(DataError, match="sliver") as caught:
        folder_data(folder, fashion, 0)
    assert "value_range = [0, 4095]" in caught.value.hint
    camera = dataclasses.replace(fashion, reading=Reading((0, 4095)))
    own = {image.tobytes() for image in fashion.images("test").pixels}
    data = folder_data(folder, camera, 0)
    assert all(image.tobytes() in own for image in data.test.pixels)
    assert "read as in training, value_range = [0, 4095]" in data.notes[-1]


def test_the_way_of_reading_travels_with_the_weights(tmp_path):
    given = recipe()
    keys = {"value_range": (0.0, 4095.0), "channel_order": "bgr"}
    given = given.model_copy(update={"data": given.data.model_copy(update=keys)})
    space = given.make_space(len(LABELS))
    own = dataset()
    save_weights(tmp_path, Supernet(space), given, own, RunIdentity.of({}, LABELS, own.train, own.train, own.test))
    package = open_supernet(str(tmp_path))
    assert package.reading == Reading((0.0, 4095.0), "bgr") == given.data.reading
    net = StaticNet(space, space.smallest())
    (tmp_path / "tuned").mkdir()
    finetune.write_network(tmp_path / "tuned", package, net, {}, None)
    assert open_supernet(str(tmp_path / "tuned")).reading == package.reading
    facts = {
        **read_weights_file(tmp_path / WEIGHTS).facts,
        "reading": '{"value_range": [9, 2], "channel_order": "rgb"}',
    }
    save_supernet(tmp_path / WEIGHTS, Supernet(space), facts)
    with pytest.raises(WeightsError, match="header"):
        open_supernet(str(tmp_path))


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("value_range = [9, 9]", "low below high"),
        ("value_range = [0, inf]", "value_range"),
        ("channels = 3", "mean has 1"),
        ("channels = 2", "channels"),
        ('channel_order = "grb"', "channel_order"),
    ],
)
def test_keys_that_say_how_to_read_are_checked(keys, told):
    with pytest.raises(ConfigError) as caught:
        parse_recipe(RECIPE.replace("held_out = 60", f"held_out = 60\n{keys}"), "here")
    assert told in str(caught.value)


def test_training_reads_as_its_recipe_says(tmp_path):
    rng = np.random.default_rng(0)
    for part, count in (("train", 32), ("val", 5)):
        for label in LABELS:
            (tmp_path / part / label).mkdir(parents=True)
            for index in range(count):
                deep = rng.integers(0, 4094, (8, 8), dtype=np.uint16)
                Image.fromarray(deep).save(tmp_path / part / label / f"{index}.png")
    with pytest.raises(DataError, match="sliver") as caught:
        load_data(recipe(), tmp_path)
    assert "value_range = [0, 4095] in the recipe's [data]" in caught.value.hint
    text = RECIPE.replace("held_out = 60", "held_out = 60\nvalue_range = [0, 4095]")
    data = load_data(parse_recipe(text, "here"), tmp_path)
    assert data.train.pixels.max() == 255
    assert any("far apart; correct mean and std in the recipe's [data]" in note for note in data.notes)
    text = text.replace("mean = [72.9]\nstd = [90.0]", "channels = 3")
    assert load_data(parse_recipe(text, "here"), tmp_path).notes == ()
