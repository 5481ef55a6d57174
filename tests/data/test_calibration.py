import numpy as np
import pytest

from ofa_edge.data.calibration import MIN_IMAGES, check_normalised, review_calibration
from ofa_edge.data.dataset import Images
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.errors import DataError

NAMES = tuple("abcdefgh")
GREY = Preprocessing(8, 1, (100.0,), (50.0,))


def images(count=64, low=0, high=256, classes=8, channels=1):
    pixels = np.random.default_rng(0).integers(low, high, size=(count, 8, 8, channels), dtype=np.uint8)
    return Images(pixels, np.arange(count) % classes)


def test_a_sound_set_has_no_warning():
    found = review_calibration(images(), GREY, NAMES)
    assert (found.images, found.classes, found.warnings) == (64, 8, ())
    assert (found.low, found.high) == (-2.0, pytest.approx(3.1))


@pytest.mark.parametrize(("count", "words"), [(0, "calibration set is empty"), (MIN_IMAGES - 1, "49 .* too few")])
def test_too_few(count, words):
    with pytest.raises(DataError, match=words) as caught:
        review_calibration(images(count), GREY, NAMES)
    assert "--precision fp16" in caught.value.hint
    assert review_calibration(images(MIN_IMAGES), GREY, NAMES).images == MIN_IMAGES


def test_images_without_content():
    with pytest.raises(DataError, match="one colour") as caught:
        review_calibration(images(high=2), GREY, NAMES)  # 0..1 cut to whole numbers
    assert "0..255" in caught.value.hint
    some = images()
    some.pixels[:5] = 7
    assert review_calibration(some, GREY, NAMES).warnings == ("5 of 64 calibration images are of one colour",)


def test_a_narrow_range_is_told():
    (words,) = review_calibration(images(low=100, high=120), GREY, NAMES).warnings
    assert "between 100 and 119" in words
    assert review_calibration(images(low=100, high=200), GREY, NAMES).warnings == ()


def test_missing_classes_are_named():
    (words,) = review_calibration(images(classes=6), GREY, NAMES).warnings
    assert "no calibration image of g, h:" in words
    (words,) = review_calibration(images(classes=1), GREY, NAMES).warnings
    assert "b, c, d, e, f and 2 more" in words
    many = [str(number) for number in range(1000)]
    assert review_calibration(images(), GREY, many).warnings == (), "64 images cannot show 1000 classes"
    found = review_calibration(images(classes=1), GREY, NAMES, labelled=False)
    assert (found.classes, found.warnings) == (None, ())


COLOUR = Preprocessing(8, 3, (124.0, 116.0, 104.0), (58.0, 57.0, 57.0))


def test_values_that_no_image_can_give():
    sound = COLOUR.normalise(images(channels=3).pixels)
    check_normalised(float(sound.min()), float(sound.max()), COLOUR)
    for low, high in ((0.0, 255.0), (-3.0, 1.0), (-1.0, 3.0)):
        with pytest.raises(DataError, match="not normalised") as caught:
            check_normalised(low, high, COLOUR)
        assert "pixels 0..255 give -2.14 to 2.65" in caught.value.why
    check_normalised(0.0, 1.0, Preprocessing(8, 1, (0.0,), (255.0,)))
