import dataclasses
import hashlib
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ofa_edge.data.augment import apply, augment, draw
from ofa_edge.data.crops import draw_boxes, resample
from ofa_edge.data.pixels import resize
from ofa_edge.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
EVERYTHING = {
    "flip": True,
    "shift": 2,
    "erase": 0.5,
    "crop": (0.08, 1.0),
    "brightness": 32 / 255,
    "saturation": 0.5,
    "cutout": 5,
    "fill": (1.0, 2.0, 3.0),
}


def test_augmentation_is_repeatable_and_moves_whole_images():
    images = RNG.integers(1, 256, (40, 12, 12, 1), dtype=np.uint8)
    first, again = (augment(images, np.random.default_rng(5), flip=True, shift=2, erase=0.0) for _ in range(2))
    assert np.array_equal(first, again)
    for before, after in zip(images[..., 0], first[..., 0], strict=True):
        padded = np.pad(before, 2)
        crops = [padded[y : y + 12, x : x + 12] for y in range(5) for x in range(5)]
        assert any(np.array_equal(after, crop) or np.array_equal(after, crop[:, ::-1]) for crop in crops)
    assert not np.array_equal(first, images)


def test_no_augmentation_changes_nothing_and_erasing_changes_a_square():
    images = np.zeros((50, 12, 12, 1), np.uint8)
    assert np.array_equal(augment(images, np.random.default_rng(0), flip=False, shift=0, erase=0.0), images)
    erased = augment(images, np.random.default_rng(0), flip=False, shift=0, erase=1.0)
    changed = (erased != 0).any(3)
    assert changed.any((1, 2)).all()
    assert (changed.sum((1, 2)) <= 36).all()


def as_it_was(images, rng, flip, shift, erase):
    """The augmentation that the recorded runs were made with, written down image by image."""
    count, size = images.shape[:2]
    result = np.zeros_like(images)
    padded = np.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)))
    down, right = rng.integers(0, 2 * shift + 1, size=(2, count))
    for i in range(count):
        result[i] = padded[i, down[i] : down[i] + size, right[i] : right[i] + size]
    if flip:
        for i in np.flatnonzero(rng.random(count) < 0.5):
            result[i] = result[i, :, ::-1]
    if erase:
        chosen = np.flatnonzero(rng.random(count) < erase)
        side = rng.integers(size // 4, size // 2 + 1, size=len(chosen))
        top, left = rng.integers(0, size - side + 1, size=(2, len(chosen)))
        noise = rng.integers(0, 256, size=(len(chosen), *images.shape[1:]), dtype=np.uint8)
        for i, s, y, x, other in zip(chosen, side, top, left, noise, strict=True):
            result[i, y : y + s, x : x + s] = other[y : y + s, x : x + s]
    return result


@given(
    seed=st.integers(0, 2**32),
    count=st.integers(0, 20),
    size=st.integers(1, 20),
    channels=st.sampled_from([1, 3]),
    flip=st.booleans(),
    shift=st.integers(0, 3),
    erase=st.sampled_from([0.0, 0.3, 1.0]),
)
@settings(max_examples=60, deadline=None)
def test_recorded_runs_are_repeated_bit_for_bit(seed, count, size, channels, flip, shift, erase):
    images = np.random.default_rng(1).integers(0, 256, (count, size, size, channels), dtype=np.uint8)
    ours, then = np.random.default_rng(seed), np.random.default_rng(seed)
    result = augment(images, ours, flip=flip, shift=shift, erase=erase)
    assert np.array_equal(result, as_it_was(images, then, flip, shift, erase))
    assert ours.bit_generator.state == then.bit_generator.state  # what is drawn next is the same too


def test_a_digest_of_a_batch_made_before_the_draws_were_apart():
    images = np.random.default_rng(7).integers(0, 256, (16, 28, 28, 1), dtype=np.uint8)
    rng = np.random.default_rng([3, 1, 4])
    digest = hashlib.sha256(augment(images, rng, flip=True, shift=2, erase=0.25).tobytes()).hexdigest()
    assert digest == "5627c4ad40283b9b94777725469fee7414e6f3e85cca699c294f15af529039d9"


@given(
    seed=st.integers(0, 2**32),
    options=st.sets(st.sampled_from([key for key in EVERYTHING if key != "fill"])),
    cuts=st.lists(st.integers(0, 9), max_size=3),
    channels=st.sampled_from([1, 3]),
)
@settings(max_examples=60, deadline=None)
def test_processes_that_apply_their_own_rows_make_the_whole_batch(seed, options, cuts, channels):
    images = np.random.default_rng(2).integers(0, 256, (9, 14, 14, channels), dtype=np.uint8)
    chosen = {key: EVERYTHING[key] for key in options}
    draws = draw(np.random.default_rng(seed), 9, 14, channels, **chosen)
    whole = apply(images, draws)
    borders = [0, *sorted(cuts), 9]
    rows = [slice(start, end) for start, end in itertools.pairwise(borders)]
    assert np.array_equal(np.concatenate([apply(images[part], draws.rows(part)) for part in rows]), whole)
    assert np.array_equal(apply(images, draw(np.random.default_rng(seed), 9, 14, channels, **chosen)), whole)


def test_applying_leaves_the_images_and_the_draws_alone():
    images = RNG.integers(0, 256, (6, 12, 12, 3), dtype=np.uint8)
    images.flags.writeable = False  # as pixels read straight from a file are
    draws = draw(np.random.default_rng(0), 6, 12, 3, **EVERYTHING)
    first = apply(images, draws)
    assert first.flags.writeable
    assert np.array_equal(apply(images, draws), first)
    with pytest.raises(dataclasses.FrozenInstanceError):
        draws.size = 3


def test_steps_that_are_off_draw_nothing():
    """So a recipe that turns one on keeps the draws of those before it."""
    flips = [
        draw(np.random.default_rng(5), 30, 12, 3, flip=True, **more).mirrored.tolist()
        for more in ({}, {"crop": (0.2, 1.0)}, {"saturation": 0.5, "cutout": 4})
    ]
    assert flips[0] == flips[1] == flips[2]


# -- crops --


@given(seed=st.integers(0, 2**32), low=st.floats(0.01, 1), ratio=st.floats(0.2, 1))
@settings(max_examples=50, deadline=None)
def test_boxes_lie_inside_and_keep_to_their_ranges(seed, low, ratio):
    boxes = draw_boxes(np.random.default_rng(seed), 50, (low, 1.0), (ratio, 1 / ratio))
    top, left, height, width = boxes.T
    assert (boxes >= 0).all()
    assert (top + height <= 1 + 1e-12).all()
    assert (left + width <= 1 + 1e-12).all()
    assert (height * width >= low - 1e-9).all()
    assert (width / height <= 1 / ratio + 1e-9).all()
    assert (width / height >= ratio - 1e-9).all()


def test_boxes_spread_over_area_shape_and_place():
    top, left, height, width = draw_boxes(np.random.default_rng(0), 20000, (0.08, 1.0), (3 / 4, 4 / 3)).T
    small = height * width < 0.5
    counts = np.histogram((height * width)[small], 6, (0.08, 0.5))[0] / small.sum()
    assert np.abs(counts - 1 / 6).max() < 0.02  # boxes this small always fit: their area is uniform
    assert abs(np.log(width / height).mean()) < 0.01
    down, right = (top / (1 - height))[small], (left / (1 - width))[small]
    assert np.abs([down.mean() - 0.5, right.mean() - 0.5]).max() < 0.01
    assert abs(np.corrcoef(down, right)[0, 1]) < 0.03


def test_crops_at_whole_pixels_are_exact_and_others_agree_with_resize():
    images = RNG.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    boxes = np.array([[2, 5, 8, 8], [0, 8, 8, 8], [8, 0, 8, 8]]) / 16
    made = resample(images, boxes, 8)
    assert np.array_equal(made[0], images[0, 2:10, 5:13])
    assert np.array_equal(made[1], images[1, 0:8, 8:16])
    assert np.array_equal(made[2], images[2, 8:16, 0:8])
    whole = np.tile([0.0, 0.0, 1.0, 1.0], (3, 1))
    for size in (6, 11, 16, 23):
        difference = resample(images, whole, size).astype(int) - resize(images, size)
        assert np.abs(difference).max() <= 1
    wide = resample(images, np.tile([0.25, 0.0, 0.5, 1.0], (3, 1)), 8)  # 8 rows as they are, 16 columns halved
    assert np.abs(wide.astype(int) - resize(images[:, 4:12], 8)).max() <= 1


def test_a_crop_changes_the_size():
    images = RNG.integers(0, 256, (4, 20, 20, 3), dtype=np.uint8)
    draws = draw(np.random.default_rng(0), 4, 12, 3, crop=(0.2, 1.0), flip=True, shift=1)
    assert apply(images, draws).shape == (4, 12, 12, 3)
    assert apply(images[:1].repeat(4, 0), draws).std(0).max() > 0  # each image has its own box


# -- colour --


def test_brightness_scales_and_saturation_moves_from_grey():
    images = RNG.integers(0, 256, (40, 6, 6, 3), dtype=np.uint8)
    draws = draw(np.random.default_rng(1), 40, 6, 3, brightness=0.3)
    expected = np.clip(images * draws.brightness[:, None, None, None].astype(float), 0, 255)
    assert np.abs(apply(images, draws) - expected).max() <= 0.51
    assert 0.7 <= draws.brightness.min() < 0.8
    assert 1.2 < draws.brightness.max() <= 1.3
    draws = draw(np.random.default_rng(1), 40, 6, 3, saturation=1.0)
    grey = images @ np.array([0.299, 0.587, 0.114])
    expected = grey[..., None] + (images - grey[..., None]) * draws.saturation[:, None, None, None]
    assert np.abs(apply(images, draws) - np.clip(expected, 0, 255)).max() <= 0.51
    flat = np.full((40, 6, 6, 3), 77, np.uint8)
    assert np.array_equal(apply(flat, draws), flat)


def test_grey_images_have_no_saturation():
    assert draw(np.random.default_rng(1), 4, 6, 1, saturation=0.5).saturation is None


def test_cutout_fills_one_square_that_may_stick_out():
    images = np.zeros((300, 12, 12, 3), np.uint8)
    made = apply(images, draw(np.random.default_rng(0), 300, 12, 3, cutout=6, fill=(10.4, 20.0, 30.6)))
    filled = made.any(3)
    assert set(map(tuple, made[filled].tolist())) == {(10, 20, 31)}
    area = filled.sum((1, 2))
    assert area.max() == 36
    assert area.min() == 9  # a corner of the square
    centre = filled.mean(0)
    assert centre[6, 6] > 2 * centre[0, 0] > 0


@pytest.mark.parametrize(
    "bad",
    [
        {"shift": -1},
        {"erase": 1.1},
        {"crop": (0.0, 1.0)},
        {"crop": (0.9, 0.5)},
        {"crop": (0.5, 1.5)},
        {"ratio": (2.0, 1.0)},
        {"brightness": -0.1},
        {"saturation": 2.0},
        {"cutout": 13},
        {"fill": (1.0,)},
        {"fill": (1.0, 2.0, 256.0)},
    ],
)
def test_options_out_of_range_are_named(bad):
    with pytest.raises(ConfigError, match="bad augmentation") as caught:
        draw(np.random.default_rng(0), 2, 12, 3, **bad)
    assert next(iter(bad)) in caught.value.why


def test_draws_of_another_batch_are_refused():
    draws = draw(np.random.default_rng(0), 4, 12, 3)
    for shape in ((3, 12, 12, 3), (4, 10, 10, 3), (4, 12, 10, 3)):
        with pytest.raises(DataError, match="do not fit what was drawn"):
            apply(np.zeros(shape, np.uint8), draws)
