"""A recipe against its data, of a stranger's kind: sorted by class, imbalanced, tiny, odd."""

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from tiny_package import RECIPE

from ofa_edge.data.dataset import Dataset, Images
from ofa_edge.errors import ConfigError, DataError
from ofa_edge.schema import changed
from ofa_edge.training.data import load_data, resolve
from ofa_edge.training.plan import plan_run
from ofa_edge.training.recipe import ManyRecipe, MeasureRecipe
from ofa_edge.training.recipe_files import parse_recipe

BARE = RECIPE.replace("mean = [72.9]\nstd = [90.0]\n", "").replace("held_out = 60\n", "")


def sorted_images(*counts):
    """Images class by class, as folders give them; each image's pixels tell its class and place."""
    labels = np.repeat(np.arange(len(counts)), counts)
    pixels = np.zeros((len(labels), 8, 8, 1), np.uint8)
    pixels[:, 0, 0, 0] = labels + 1
    pixels[:, 1, :2, 0] = np.stack(np.divmod(np.arange(len(labels)), 256), axis=1)
    return Images(pixels, labels.astype(np.int64))


def sorted_set(*counts, test=2):
    names = tuple(f"class {index}" for index in range(len(counts)))
    return Dataset("sorted", sorted_images(*counts), sorted_images(*[test] * len(counts)), names)


def recipe_of(**data):
    recipe = parse_recipe(BARE, "test")
    return changed(recipe, data=changed(recipe.data, **data))


def notes_of(found):
    return "\n".join(found.notes)


def test_a_tenth_is_held_out_class_by_class_where_nothing_is_said():
    data = sorted_set(100, 100, 100)
    found = resolve(recipe_of(), data)
    assert found.recipe.data.held_out == 30
    assert found.counts.held_out == (10, 10, 10)
    assert found.counts.training == (90, 90, 90)
    assert "held out: 30 of 300 images (held_out = 0.1)" in notes_of(found)


def test_the_counts_are_those_of_the_split_that_is_trained_on():
    data = sorted_set(60, 9, 200)
    found = resolve(recipe_of(held_out=0.25, limit=120), data)
    train, held_out = data.split(found.recipe.data.held_out, found.recipe.data.split_seed)
    sampled = train.sample(120, found.recipe.data.split_seed)
    assert found.counts.held_out == tuple(np.bincount(held_out.labels, minlength=3))
    assert found.counts.training == tuple(np.bincount(sampled.labels, minlength=3))
    assert sum(found.counts.training) == 120
    assert found.counts.facts()[1] == {
        "name": "class 1",
        "training": found.counts.training[1],
        "held_out": found.counts.held_out[1],
        "test": 2,
    }


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.one_of(st.integers(1, 4), st.integers(20, 120)), min_size=2, max_size=30),
    st.one_of(st.integers(1, 40), st.floats(0.01, 0.9)),
    st.integers(1, 3),
)
def test_any_set_is_trained_on_whole_or_refused(counts, held_out, processes):
    """Every class keeps an image to train on, batches can be filled, and resolving again changes nothing."""
    data = sorted_set(*counts)
    try:
        found = resolve(recipe_of(held_out=held_out, mean=(9.0,), std=(9.0,)), data, processes)
    except DataError as error:
        event(error.what)
        few = (max(counts) == 1, sum(counts) <= held_out, sum(counts) - held_out < 2 * processes)
        too_much = not isinstance(held_out, int) and sum(counts) * (1 - held_out) < 2 * processes + len(counts)
        if any(few) or too_much:
            return
        raise
    assert min(found.counts.training) >= 1
    assert [sum(pair) for pair in zip(found.counts.training, found.counts.held_out, strict=True)] == counts
    if not isinstance(held_out, int):
        shown = [part > 0 for part in found.counts.held_out]
        assert shown == [count > 1 for count in counts]
    recipe = found.recipe
    assert plan_run(recipe, recipe.make_space(len(counts)), sum(found.counts.training), processes).steps > 0
    again = resolve(recipe, data, processes)
    assert again.recipe == recipe
    assert again.recipe.digest == recipe.digest
    assert again.counts == found.counts


def test_fewer_measured_images_than_classes_are_said():
    for images, said in ((2, True), (3, False), (9999, False)):
        found = resolve(
            recipe_of().model_copy(update={"measure": MeasureRecipe(images=images)}), sorted_set(40, 40, 40)
        )
        assert ("too few to measure each of 3 classes" in notes_of(found)) is said


def test_twenty_images_of_four_classes():
    found = resolve(recipe_of(), sorted_set(18, 18, 18, 18))
    assert sorted(found.counts.training) == [16, 16, 16, 17]
    assert sorted(found.counts.held_out) == [1, 2, 2, 2]
    assert found.recipe.batch == 32  # 65 images: two batches
    smaller = resolve(recipe_of(limit=40), sorted_set(18, 18, 18, 18))
    assert smaller.recipe.batch == 10
    assert "batch 10 in place of 32: there are 40 training images" in notes_of(smaller)
    told = ", ".join(f"class {index} ({count})" for index, count in enumerate(smaller.counts.training))
    assert f"fewer than 20 training images: {told}" in notes_of(smaller)


def test_a_lowered_batch_takes_the_learning_rate_along():
    bare = recipe_of().model_copy(update={"batch": 200, "lr_batch": 2048})
    found = resolve(bare, sorted_set(60, 60))
    assert found.recipe.batch == 27
    assert "learning rates in proportion (x 0.135)" in notes_of(found)
    run = plan_run(found.recipe, found.recipe.make_space(2), 108)
    assert run.phases[0].lr == pytest.approx(0.2 * 27 / 2048)
    assert run.steps_per_epoch == 4
    fixed = resolve(bare.model_copy(update={"lr_batch": None}), sorted_set(60, 60))
    assert "learning rates" not in notes_of(fixed)


def test_a_batch_that_two_fit_in_stays():
    assert resolve(recipe_of(), sorted_set(40, 40)).recipe.batch == 32
    assert resolve(recipe_of(), sorted_set(40, 40), processes=2).recipe.batch == 9


def test_thirty_to_one():
    found = resolve(recipe_of(), sorted_set(300, 10, 300))
    assert found.counts.training[1] == 9
    assert found.counts.held_out[1] == 1
    assert "class 1 (9)" in notes_of(found)
    assert "class 0" not in notes_of(found)


def test_one_image_of_a_class_is_trained_on():
    found = resolve(recipe_of(), sorted_set(40, 1, 40))
    assert found.counts.training[1] == 1
    assert found.counts.held_out[1] == 0
    assert "class 1 (1)" in notes_of(found)


def test_a_class_without_training_images_is_refused_by_name():
    data = sorted_set(30, 30, 30)
    gone = Dataset("gone", data.train.take(np.flatnonzero(data.train.labels != 1)), data.test, data.class_names)
    with pytest.raises(DataError, match="a class without training images") as caught:
        resolve(recipe_of(), gone)
    assert caught.value.why.startswith("class 1,")
    with pytest.raises(DataError, match="a class without training images") as caught:
        resolve(recipe_of(limit=2), data)
    assert "raise [data] limit = 2" in caught.value.hint


def test_nothing_to_hold_out():
    with pytest.raises(DataError, match="no image to hold out"):
        resolve(recipe_of(), sorted_set(1, 1, 1))
    with pytest.raises(DataError, match="cannot hold out 500 images") as caught:
        resolve(recipe_of(held_out=500), sorted_set(40, 40))
    assert "held_out = 0.1" in caught.value.hint


@pytest.mark.parametrize("value", ["0", "0.0", "1.0", "-3", "-0.1", '"tenth"'])
def test_shares_and_counts(value):
    with pytest.raises(ConfigError, match=r"data\.held_out"):
        parse_recipe(RECIPE.replace("held_out = 60", f"held_out = {value}"), "test")


def test_a_space_with_few_subnets_is_measured_whole():
    recipe = recipe_of()
    small = {"resolutions": (14,), "kernels": (3,), "expands": (3, 4), "depths": (1,)}
    phases = tuple(changed(phase, resolutions=None) for phase in recipe.phases)
    measure = changed(recipe.measure, pairs=99)
    recipe = changed(recipe, space=changed(recipe.space, **small), phases=phases, measure=measure)
    found = resolve(recipe, sorted_set(40, 40))
    assert found.recipe.measure.pairs == 2**5
    assert "32 subnets are measured in place of 99" in notes_of(found)


def test_a_folder_of_classes_in_place_of_a_known_set_is_told_the_preset(tmp_path):
    recipe = recipe_of(dataset="fashion-mnist")
    for name in ("cat", "dog"):
        (tmp_path / "train" / name).mkdir(parents=True)
    with pytest.raises(DataError, match="not a Fashion-MNIST folder") as caught:
        load_data(recipe, tmp_path)
    assert "has folders: cat, dog" in caught.value.why
    assert "--preset own-images" in caught.value.hint
    assert 'dataset = "image-folder"' in caught.value.hint


def many_of(images):
    return changed(recipe_of(held_out=0.1), layer_decay=0.9, many=ManyRecipe(images=images, lr=2))


def test_many_images_have_the_rates_that_the_recipe_gives_them():
    data = sorted_set(300, 100, 200)  # 90 training images of the smallest class
    found = resolve(many_of(90), data)
    assert found.recipe.layer_decay == 1.0
    assert [phase.lr for phase in found.recipe.phases] == [2 * phase.lr for phase in recipe_of().phases]
    assert "90 training images of the smallest class: rates x 2, layer_decay 1" in notes_of(found)
    assert resolve(found.recipe, data).recipe == found.recipe  # and not twice


def test_the_smallest_class_decides_whether_images_are_many():
    data = sorted_set(300, 100, 200)
    found = resolve(many_of(91), data)
    plain = resolve(changed(many_of(91), many=None), data)
    assert found.recipe == plain.recipe
    assert found.recipe.digest == plain.recipe.digest
    assert "rates" not in notes_of(found)
