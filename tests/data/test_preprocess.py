import numpy as np
import pytest

from ofa_edge.data.pixels import resize, triangle_filter
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (3, 28, 28, 1), dtype=np.uint8)


def test_normalise_is_pixel_minus_mean_over_std():
    out = Preprocessing(28, 1, (72.94,), (90.02,)).apply(IMAGES)
    assert out.shape == (3, 1, 28, 28)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out[1, 0], (IMAGES[1, :, :, 0] - 72.94) / 90.02, rtol=1e-5, atol=1e-6)


def test_same_size_keeps_every_pixel():
    assert resize(IMAGES, 28) is IMAGES


def test_halving_weighs_pixels_by_the_triangle():
    row = np.array([[0, 0, 0, 0, 8, 0, 0, 0]], dtype=np.uint8)
    image = np.repeat(row, 8, 0)[None, :, :, None]
    # Centres at 2x + 0.5: pixel 4 lies 0.5 from output 2 (of support 2), 1.5 from output 1.
    assert resize(image, 4)[0, 1, :, 0].tolist() == [0, 1, 3, 0]


@pytest.mark.parametrize("size", [4, 20, 24, 37])
def test_a_flat_image_stays_flat(size):
    assert (resize(np.full((1, 28, 28, 3), 201, np.uint8), size) == 201).all()


def test_resize_agrees_with_pillow_to_a_rounding_step():
    from PIL import Image

    for size in (20, 24, 40):
        theirs = np.asarray(Image.fromarray(IMAGES[0, :, :, 0]).resize((size, size), Image.Resampling.BILINEAR))
        assert np.abs(resize(IMAGES[:1], size)[0, :, :, 0].astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("size", [5, 14, 24, 37])
def test_every_sum_is_exact_so_its_order_does_not_matter(size):
    from fractions import Fraction

    image = RNG.integers(0, 256, (6 * size, 6 * size), dtype=np.uint8)  # of six: shares like 1/36 have no exact float
    weights = [[Fraction(weight) for weight in row] for row in triangle_filter(6 * size, size).tolist()]
    assert all((weight * 2**20).denominator == 1 for row in weights for weight in row)
    got = resize(image[None, :, :, None], size)[0, :, :, 0]
    for y, x in ((0, 0), (size // 2, 1), (size - 1, size - 1)):
        exact = sum(
            down * across * int(image[i, k])
            for i, down in enumerate(weights[y])
            if down
            for k, across in enumerate(weights[x])
            if across
        )
        assert got[y, x] == min(255, (exact + Fraction(1, 2)) // 1)


def test_channels_that_do_not_fit_are_an_error():
    with pytest.raises(DataError, match="do not fit"):
        Preprocessing(28, 3, (1.0,) * 3, (1.0,) * 3).apply(IMAGES)


@pytest.mark.parametrize("bad", [{"mean": (1.0,)}, {"std": (0.0, 1.0, 1.0)}, {"size": 0}])
def test_bad_preprocessing_is_refused(bad):
    with pytest.raises(ConfigError):
        Preprocessing(**{"size": 28, "channels": 3, "mean": (1.0,) * 3, "std": (1.0,) * 3, **bad})


def test_json_round_trip():
    made = Preprocessing(24, 1, (72.94,), (90.02,))
    assert Preprocessing.from_json(made.to_json()) == made
    with pytest.raises(ConfigError):
        Preprocessing.from_json({"size": 24})
