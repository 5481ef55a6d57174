"""A stranger's folder, class by class on disk, with more images a class than calibration takes: the whole road.

Every figure is held against one that the package has no part in: images drawn here, counts by hand, and the same
weights calibrated as a first-N slice would do it, which must be far worse, or the set is too friendly.
"""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from ofa_edge.cache import StageCache
from ofa_edge.data.image_folder import load_image_folder
from ofa_edge.metrics import top1
from ofa_edge.supernet.evaluate import extract_calibrated, logits
from ofa_edge.supernet.zoo import open_supernet
from ofa_edge.training.data import load_data, resolve
from ofa_edge.training.package_data import training_data
from ofa_edge.training.recipe_files import parse_recipe
from ofa_edge.training.single import SingleRecipe
from ofa_edge.verify.statistics import statistics_verdict
from ofa_edge.workflows.build import stages
from ofa_edge.workflows.build.base import BuildOptions
from ofa_edge.workflows.build.images import folder_data
from ofa_edge.workflows.build.plan import make_plan
from ofa_edge.workflows.build.stages import StageRunner
from ofa_edge.workflows.build.statistics import Judged, check_statistics
from ofa_edge.workflows.finetune import finetune
from ofa_edge.workflows.train import train

CLASSES = ("dark", "faint", "grey", "white")  # in the order of the folders; each has a brightness of its own
PER_CLASS, TESTED = 560, 60
RECIPE = """
name = "sorted"
batch = 64
zero_gamma = true
[space]
width_mult = 0.25
strides = [2, 2, 1, 1, 1, 1]
resolutions = [12]
depths = [1]
[data]
dataset = "image-folder"
[measure]
pairs = 24
rank_subnets = 4
images = 120
[[phases]]
name = "sandwich"
epochs = 2
lr = 0.2
warmup_epochs = 0.5
subnets = ["largest", "smallest", "random"]
distill = "largest"
"""


def picture(rng, label):
    """Noise around the class's brightness, with a band whose place tells it, but for one picture in ten."""
    pixels = rng.normal(40 + 50 * label, 12, (12, 12))
    top = 3 * (label if rng.random() > 0.1 else rng.integers(0, 4))
    pixels[top : top + 3] += 25
    return Image.fromarray(np.clip(pixels + rng.normal(0, 25), 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place, rng = tmp_path_factory.mktemp("sorted"), np.random.default_rng(0)
    for part, count in (("train", PER_CLASS), ("val", TESTED)):
        for label, name in enumerate(CLASSES):
            (place / part / name).mkdir(parents=True)
            for index in range(count):
                picture(rng, label).save(place / part / name / f"{index:04}.bmp")
    return place


@pytest.fixture(scope="module")
def package(folder, tmp_path_factory):
    recipe = parse_recipe(RECIPE, "here")
    data = load_data(recipe, folder)
    run = tmp_path_factory.mktemp("runs") / "sorted"
    train(resolve(recipe, data).recipe, data, run)
    return open_supernet(str(run))


@pytest.fixture(scope="module")
def drawn(folder):
    """All images as they lie in the folder, by the reader alone."""
    return load_image_folder(folder, 1, 12)


def accuracy(package, drawn, subnet, calibration):
    net = extract_calibrated(package.load(), subnet, calibration, package.preprocessing(12))
    answers = logits(net, drawn.test, package.preprocessing(12))
    return float(np.mean(answers.argmax(1) == drawn.test.labels))


def test_every_set_of_the_package_shows_every_class(package):
    counts = {
        split: np.bincount(package.images(split).labels, minlength=4) for split in ("calibration", "validation", "test")
    }
    assert counts["calibration"].tolist() == [125, 125, 125, 125]
    assert counts["validation"].tolist() == [30, 30, 30, 30]  # [measure] images, fewer than one class has
    assert counts["test"].tolist() == [30, 30, 30, 30]


def test_its_calibration_is_as_good_as_a_random_one_and_the_first_images_are_not(package, drawn):
    chosen = np.random.default_rng(7).choice(4 * PER_CLASS, 500, replace=False)
    for subnet in (package.space.largest(), package.space.smallest()):
        packaged = accuracy(package, drawn, subnet, package.images("calibration"))
        random = accuracy(package, drawn, subnet, drawn.train.take(chosen))
        first = accuracy(package, drawn, subnet, drawn.train.take(np.arange(500)))
        assert packaged > 0.7
        assert packaged >= random - 0.03
        assert first < packaged - 0.15


def test_a_build_is_contradicted_by_other_images_where_its_start_is_wrong(package, drawn, folder, tmp_path):
    runner, subnet = StageRunner(StageCache(tmp_path)), package.space.smallest()

    def verdict(data):
        options = BuildOptions(target="raspberry-pi-4", device="none", supernet=str(package.folder), data=folder)
        plan = dataclasses.replace(make_plan(options, claim=False), data=data)
        static = stages.extract(runner, plan.package, subnet, data.calibration)
        answers = stages.run_torch(runner, plan.package, static, data.test, folded=False)
        record = check_statistics(runner, Judged(plan.package, subnet, data, plan.search.predictor), static, answers)
        return statistics_verdict(record, top1(answers, plan.data.test.labels), len(answers))

    data = folder_data(folder, package, 0)
    assert np.bincount(data.calibration.labels).tolist() == [125, 125, 125, 125]
    sound = verdict(data)
    assert sound.outcome == "pass", sound.reason
    wrong = verdict(dataclasses.replace(data, calibration=drawn.train.take(np.arange(500))))
    assert (wrong.outcome, wrong.code) == ("fail", "one-class")
    two = drawn.train.take(np.arange(PER_CLASS - 250, PER_CLASS + 250))
    wrong = verdict(dataclasses.replace(data, calibration=two))
    assert wrong.outcome == "fail"
    assert "show 2 of 4 classes" in wrong.reason


def test_fine_tuning_on_it_does_no_harm(package, folder, tmp_path):
    data = training_data(package, None, folder)
    recipe = SingleRecipe(epochs=1, lr=0.1, batch=64, augment=data.augment)
    figures = finetune(package, package.space.smallest(), data, recipe, tmp_path / "tuned")
    assert figures["top1_after"] >= figures["top1_before"] - 0.05


def test_an_image_less_class_of_a_small_limit_is_refused_by_its_name(folder):
    recipe = parse_recipe(RECIPE.replace('dataset = "image-folder"', 'dataset = "image-folder"\nlimit = 3'), "here")
    data = load_data(recipe, folder)
    with pytest.raises(Exception, match="without training images") as caught:
        resolve(recipe, data)
    assert any(name in caught.value.why for name in CLASSES)
