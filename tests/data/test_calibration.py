import numpy as np
import pytest

from ofa_edge.data.calibration import FEW, check_normalised, review_calibration
from ofa_edge.data.dataset import Images
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.errors import DataError

NAMES = tuple("abcdefgh")
GREY = Preprocessing(8, 1, (100.0,), (50.0,))


def images(count=104, low=0, high=256, classes=8, channels=1):
    pixels = np.random.default_rng(0).integers(low, high, size=(count, 8, 8, channels), dtype=np.uint8)
    return Images(pixels, np.arange(count) % classes)


def test_a_sound_set_has_no_warning():
    found = review_calibration(images(), GREY, NAMES)
    assert (found.images, found.classes, found.warnings) == (104, 8, ())
    assert (found.low, found.high) == (-2.0, pytest.approx(3.1))


def test_an_empty_set_is_refused_and_of_a_small_one_it_is_said_what_it_can_carry():
    with pytest.raises(DataError, match="calibration set is empty") as caught:
        review_calibration(images(0), GREY, NAMES)
    assert "--precision fp16" in caught.value.hint
    assert review_calibration(images(FEW), GREY, NAMES).warnings == ()
    (words,) = review_calibration(images(20), GREY, NAMES).warnings
    assert "exceeded, and cut off, in about one of 21 new images" in words
    # Counted: how often does the last of 21 values lie beyond the 20 before it?
    values = np.random.default_rng(0).gamma(2, size=(20_000, 21))
    assert np.mean(values[:, -1] > values[:, :-1].max(1)) == pytest.approx(1 / 21, rel=0.1)


def test_images_without_content():
    with pytest.raises(DataError, match="one colour") as caught:
        review_calibration(images(high=2), GREY, NAMES)  # 0..1 cut to whole numbers
    assert "0..255" in caught.value.hint
    some = images()
    some.pixels[:5] = 7
    assert review_calibration(some, GREY, NAMES).warnings == ("5 of 104 calibration images are of one colour",)


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
    assert review_calibration(images(), GREY, many).warnings == (), "104 images cannot show 1000 classes"
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
