import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ofa_edge.data.channels import pixel_statistics, to_channels
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.errors import ConfigError, DataError

RNG = np.random.default_rng(0)


def test_grey_is_pillows_grey_and_colour_repeats_it():
    colour = RNG.integers(0, 256, (3, 50, 60, 3), dtype=np.uint8)
    grey = to_channels(colour, 1)
    for ours, image in zip(grey, colour, strict=True):
        assert np.array_equal(ours[..., 0], np.asarray(Image.fromarray(image).convert("L")))
    back = to_channels(grey, 3)
    assert back.shape == (3, 50, 60, 3)
    assert np.array_equal(to_channels(back, 1), grey)
    assert to_channels(colour, None) is colour
    for bad in (0, 2, 4):
        with pytest.raises(ConfigError, match="channels"):
            to_channels(colour, bad)


@given(count=st.integers(2, 12), channels=st.sampled_from([1, 3]), seed=st.integers(0, 2**32))
def test_statistics_are_those_of_all_pixels_whatever_their_order(count, channels, seed):
    images = np.random.default_rng(seed).integers(0, 256, (count, 5, 7, channels), dtype=np.uint8)
    mean, std = pixel_statistics(images)
    np.testing.assert_allclose(mean, images.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, images.std((0, 1, 2)), rtol=1e-9)
    assert pixel_statistics(images[::-1]) == (mean, std)
    normalised = Preprocessing(5, channels, mean, std).normalise(images)
    np.testing.assert_allclose(normalised.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(normalised.std((0, 2, 3)), 1, atol=1e-5)


def test_statistics_of_many_images_and_of_none():
    images = RNG.integers(0, 256, (3000, 2, 2, 3), dtype=np.uint8)  # more than are counted at a time
    np.testing.assert_allclose(pixel_statistics(images)[0], images.mean((0, 1, 2)), rtol=1e-12)
    with pytest.raises(DataError, match="no statistics"):
        pixel_statistics(images[:0])
    images[..., 1] = 9
    with pytest.raises(DataError, match="channel 1 has one value") as caught:
        pixel_statistics(images)
    assert "9 in all of 3000 images" in caught.value.why
