import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from png import write_png16

from ofa_edge.data.dataset import Dataset, Images
from ofa_edge.data.image_folder import load_image_folder
from ofa_edge.data.reading import AS_STORED, Reading
from ofa_edge.data.review import Expected, review_set
from ofa_edge.errors import DataError

NAMES = ("cat", "dog")


def images(count=60, channels=1, low=0, high=255, seed=0):
    """Class-sorted noise of two classes."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(low, high + 1, (count, 8, 8, channels), dtype=np.uint8)
    return Images(pixels, np.sort(np.arange(count) % 2))


def dataset(channels=1, low=0, high=255, names=NAMES):
    return Dataset("mine", images(60, channels, low, high), images(30, channels, low, high, seed=1), names)


def changed(data, change):
    """The data with `change` done to a copy of both parts' pixels."""
    parts = []
    for part in (data.train, data.test):
        pixels = part.pixels.copy()
        change(pixels)
        parts.append(Images(pixels, part.labels))
    return dataclasses.replace(data, train=parts[0], test=parts[1])


def expected(mean, std):
    return Expected(tuple(mean), tuple(std), "the recipe's", "correct mean and std")


def write(folder, make, counts=(40, 10), mode=None, suffix="png", **options):
    """`folder/train|val/CLASS/N.suffix` of arrays that `make(rng)` gives."""
    rng = np.random.default_rng(0)
    for part, count in zip(("train", "val"), counts, strict=True):
        for name in NAMES:
            (folder / part / name).mkdir(parents=True)
            for index in range(count // 2):
                image = Image.fromarray(make(rng))
                image = image.convert(mode) if mode else image
                image.save(folder / part / name / f"{index}.{suffix}", **options)
    return folder


def wide(low, high):
    return lambda rng: rng.integers(low, high + 1, (12, 10), dtype=np.uint16)


def reviewed(folder, channels=1, reading=AS_STORED):
    return review_set(load_image_folder(folder, channels, 8, reading=reading), reading)


@pytest.mark.parametrize("channels", [1, 3])
def test_ordinary_images_pass_without_a_word(channels):
    data = dataset(channels)
    assert review_set(data).notes == ()
    mean, std = [128.0] * channels, [74.0] * channels
    assert review_set(data, expected=expected(mean, std)).notes == ()


# -- classes --


def test_classes_without_and_with_few_training_images_are_named():
    data = dataset(names=("cat", "dog", "owl", "emu"))
    with pytest.raises(DataError, match="without training images") as caught:
        review_set(data)
    assert caught.value.why == "mine: owl, emu"
    data = dataset()
    few = dataclasses.replace(data, train=data.train.take(np.arange(49)), test=data.test.take(np.arange(3)))
    notes = review_set(few, settled=True).notes
    assert notes == ("mine: few training images: dog 19", "mine: no test image of dog")
    assert review_set(few).notes == notes[1:]  # training counts once images are held out


# -- values in their container --


@pytest.mark.parametrize(
    ("make", "named", "key"),
    [
        (wide(0, 4093), "of 0 to 65,535", (0, 4095)),  # a 12-bit camera
        (wide(3, 16_000), "of 0 to 65,535", (0, 16_383)),  # one of 14 bits
        (wide(30_000, 32_000), "of 0 to 65,535", (30_000, 32_000)),
        (lambda rng: rng.integers(0, 2, (12, 10), dtype=np.uint8), "from 0 to 1 of 0 to 255", (0, 1)),
        (lambda rng: rng.integers(0, 9, (12, 10), dtype=np.uint8), "from 0 to 8 of 0 to 255", (0, 15)),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_values_in_a_sliver_are_refused_and_the_key_mends_it(tmp_path, make, named, key, suffix):
    folder = write(tmp_path, make, suffix=suffix)
    with pytest.raises(DataError, match="sliver") as caught:
        reviewed(folder)
    assert named in caught.value.why
    assert f"value_range = [{key[0]}, {key[1]}]" in caught.value.hint
    mended = reviewed(folder, reading=Reading(key))
    assert mended.notes == ()
    assert np.ptp(mended.train.pixels) > 120
    with Image.open(
        folder / "train" / "cat" / "0.png" if suffix == "png" else folder / "train" / "cat" / "0.tif"
    ) as image:
        raw = np.asarray(image).astype(float)[1:11]
    exact = load_image_folder(folder, 1, 10, reading=Reading(key)).train.pixels[0, ..., 0]
    assert np.abs(exact - np.clip((raw - key[0]) / (key[1] - key[0]) * 255, 0, 255)).max() <= 0.5


def test_a_few_bright_pixels_that_set_the_scale_are_said(tmp_path):
    folder = write(tmp_path, wide(0, 4095), (160, 40))
    hot = np.zeros((12, 10), np.uint16)
    hot[5, 5] = 65_535
    Image.fromarray(hot).save(folder / "val" / "dog" / "hot.png")
    (note,) = reviewed(folder).notes
    assert "value_range = [0, 4095]" in note
    (note,) = reviewed(folder, reading=Reading((0, 4095))).notes
    assert "clipped" in note
    hot[:] = np.arange(120, dtype=np.uint16).reshape(12, 10) * 500  # a picture that uses the range, not a pixel
    for index in range(5):
        Image.fromarray(hot).save(folder / "val" / "dog" / f"bright {index}.png")
    assert reviewed(folder).notes == ()


def test_sixteen_bit_colour_of_which_little_can_be_read_is_told_as_such(tmp_path):
    for part in ("train", "val"):
        for name in NAMES:
            (tmp_path / part / name).mkdir(parents=True)
            rng = np.random.default_rng(0)
            write_png16(tmp_path / part / name / "x.png", rng.integers(0, 4096, (8, 8, 3), dtype=np.uint16))
    with pytest.raises(DataError, match="sliver") as caught:
        reviewed(tmp_path, channels=3)
    assert "8 bits a channel" in caught.value.hint


def test_a_range_for_other_images_is_refused_and_clipping_is_said(tmp_path):
    folder = write(tmp_path / "bytes", lambda rng: rng.integers(0, 256, (12, 10), dtype=np.uint8))
    with pytest.raises(DataError, match="value_range is for other images"):
        reviewed(folder, reading=Reading((0, 4095)))
    assert any("clipped" in note for note in reviewed(folder, reading=Reading((0, 100))).notes)
    folder = write(tmp_path / "words", wide(0, 4095))
    with pytest.raises(DataError, match="sliver"):
        reviewed(folder, reading=Reading((0, 60_000)))


def test_floating_point_wants_a_range(tmp_path):
    folder = write(tmp_path, lambda rng: rng.random((12, 10), dtype=np.float32), suffix="tif")
    with pytest.raises(DataError, match="cannot be read") as caught:
        reviewed(folder)
    assert "value_range" in caught.value.hint
    assert reviewed(folder, reading=Reading((0.0, 1.0))).notes == ()


@settings(max_examples=25, deadline=None)
@given(bits=st.integers(9, 16), seed=st.integers(0, 99))
def test_no_wide_set_is_refused_once_its_own_range_is_given(tmp_path_factory, bits, seed):
    top = 2**bits - 1
    rng = np.random.default_rng(seed)
    low = int(rng.integers(0, top // 2))
    folder = write(tmp_path_factory.mktemp("wide"), wide(low, top), (4, 2))
    try:
        reviewed(folder)
        assert top - low >= 65_535 / 4 - 200
    except DataError:
        assert top - low < 65_535 / 4
    mended = reviewed(folder, reading=Reading((low, top)))
    assert not any("value_range" in note for note in mended.notes)


# -- channels --


def test_three_equal_channels_are_said_unless_they_were_asked_for():
    data = changed(dataset(3), lambda pixels: pixels.__setitem__(..., pixels[..., :1].copy()))
    assert any("channels = 1" in note for note in review_set(data).notes)
    assert review_set(data, channels_given=True).notes == ()
    data.train.pixels[7, 3, 3, 1] ^= 1
    assert review_set(data).notes == ()


def test_grey_that_tells_the_class_is_said():
    data = dataset(3)
    dog = data.train.labels == 1
    data.train.pixels[dog] = data.train.pixels[dog][..., :1]
    assert any("every image of dog is grey" in note for note in review_set(data).notes)
    data.train.pixels[0] = data.train.pixels[0][..., :1]  # one of the others is grey too
    assert review_set(data).notes == ()


@pytest.mark.parametrize("mode", ["P", "LA", "1", "L"])
def test_grey_files_of_any_mode_read_as_colour_are_found(tmp_path, mode):
    folder = write(tmp_path, lambda rng: rng.integers(0, 256, (12, 10), dtype=np.uint8), mode=mode)
    assert any("are equal" in note for note in reviewed(folder, channels=3).notes)


@pytest.mark.parametrize(("mode", "suffix", "options"), [
    ("CMYK", "jpg", {}), ("RGB", "jpg", {"progressive": True}), ("P", "png", {}), ("RGBA", "webp", {"lossless": True}),
])  # fmt: skip
def test_colour_files_of_any_mode_pass(tmp_path, mode, suffix, options):
    def make(rng):
        return np.repeat(np.repeat(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8), 4, 0), 4, 1)

    assert not any(
        "equal" in note for note in reviewed(write(tmp_path, make, mode=mode, suffix=suffix, **options), 3).notes
    )


TINTED = (124.0, 116.0, 104.0)


def tinted():
    """Warm images: red above blue, as photographs are."""
    data = dataset(3)
    return changed(data, lambda pixels: pixels.__setitem__(..., np.clip(pixels * 0.7 + (35, 27, 15), 0, 255)))


def test_channels_turned_round_are_said_and_the_key_mends_it():
    data, known = tinted(), expected(TINTED, (52.0, 52.0, 52.0))
    assert review_set(data, expected=known).notes == ()
    turned = changed(data, lambda pixels: pixels.__setitem__(..., pixels[..., ::-1].copy()))
    assert any('channel_order = "bgr"' in note for note in review_set(turned, expected=known).notes)
    bgr = Reading(channel_order="bgr")
    back = changed(turned, lambda pixels: pixels.__setitem__(..., bgr.of_pixels(pixels).copy()))
    assert np.array_equal(back.train.pixels, data.train.pixels)
    assert review_set(back, bgr, known).notes == ()


def test_files_of_blue_first_are_turned_round_before_they_become_grey(tmp_path):
    folder = write(tmp_path, lambda rng: rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    bgr = Reading(channel_order="bgr")
    plain, turned = (load_image_folder(folder, 3, 8, reading=reading) for reading in (AS_STORED, bgr))
    assert np.array_equal(plain.train.pixels, turned.train.pixels[..., ::-1])
    grey = load_image_folder(folder, 1, 8, reading=bgr).train.pixels[0, ..., 0]
    assert np.array_equal(grey, np.asarray(Image.fromarray(turned.train.pixels[0]).convert("L")))


# -- statistics --


@pytest.mark.parametrize(
    ("mean", "std", "outcome"),
    [
        (0.5, 0.25, "refused"),  # of 0..1, and pixels are 0..255
        (0.0, 1.0, "refused"),
        (127.0, 1000.0, "refused"),
        (127.0, 160.0, "said"),
        (80.0, 70.0, "said"),
        (120.0, 60.0, "nothing"),
    ],
)
def test_a_mean_and_std_far_from_the_datas(mean, std, outcome):
    known = expected([mean], [std])
    if outcome == "refused":
        with pytest.raises(DataError, match="mean and std cannot be those") as caught:
            review_set(dataset(), expected=known)
        assert caught.value.hint == "correct mean and std"
        return
    notes = review_set(dataset(), expected=known).notes
    assert [("far apart" in note) for note in notes] == ([True] if outcome == "said" else [])


# -- images without content, images twice --


def test_images_of_one_colour_are_counted_and_a_set_of_them_refused():
    data = dataset()
    data.train.pixels[:5] = 9
    data.test.pixels[3] = 200
    assert review_set(data).notes == (
        "mine: 5 of 60 training images are of one colour",
        "mine: 1 of 30 test images are of one colour",
    )
    shades = changed(data, lambda pixels: pixels.__setitem__(..., pixels[:, :1, :1]))
    with pytest.raises(DataError, match="every image is of one colour"):
        review_set(shades)


def test_test_images_that_were_trained_on_are_counted():
    data = dataset()
    data.test.pixels[:4] = data.train.pixels[10:14]
    assert any("4 of 30 test images are training images too" in note for note in review_set(data).notes)
    data.test.pixels[:4, 0, 0] ^= 1  # nearly the same is not the same
    assert review_set(data).notes == ()
    data.test.pixels[:2] = data.train.pixels[:2] = 0  # of one colour: said as that
    assert not any("training images too" in note for note in review_set(data).notes)
