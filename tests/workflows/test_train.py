"""The training pipeline around the trainer: figures, a package to build from, and runs that go on where they ended."""

import gzip
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_package import LABELS, RECIPE, dataset, images, recipe, shared_package
from tiny_runs import image_folder

from ofa_edge.data.dataset import Dataset, Images
from ofa_edge.errors import ConfigError, DataError, OutputError, UnknownNameError
from ofa_edge.files import sha256_file
from ofa_edge.search.predictor import AccuracyPredictor
from ofa_edge.supernet import zoo
from ofa_edge.supernet.evaluate import measure_top1
from ofa_edge.supernet.weights import load_supernet, save_supernet
from ofa_edge.supernet.zoo import open_supernet
from ofa_edge.training import pairs as pairs_module
from ofa_edge.training.data import load_data, resolve
from ofa_edge.training.package_data import package_metric, training_data
from ofa_edge.training.pairs import read_pairs, sample_subnets
from ofa_edge.training.recipe_files import parse_recipe
from ofa_edge.workflows import train as train_module
from ofa_edge.workflows.accuracy_predictor import PAIR_SEED, fit_predictor
from ofa_edge.workflows.train import FIGURES, PHASES, claim_run_folder, export_package, train


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return shared_package(tmp_path_factory)


@pytest.fixture
def run_folder(finished, tmp_path):
    """A copy of the finished run, to go on with."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture
def few_tests(monkeypatch):
    """The figures on the test set are measured by every call: here the logits are made up."""
    rng = np.random.default_rng(0)
    monkeypatch.setattr(train_module, "subnet_logits", lambda *args: rng.normal(size=(len(args[3]), len(LABELS))))


def figures_of(folder):
    return json.loads((folder / FIGURES).read_bytes())


def test_the_figures_say_what_was_measured(finished):
    figures = figures_of(finished)
    package = open_supernet(str(finished))
    assert figures["recipe_digest"] == recipe().digest
    assert figures["seed"] == 3
    assert figures["space_hash"] == package.space.hash
    assert figures["weights_sha256"] == sha256_file(finished / zoo.WEIGHTS)
    assert figures["weights_bytes"] == (finished / zoo.WEIGHTS).stat().st_size
    assert figures["predictor"]["pairs"] == recipe().measure.pairs
    test = figures["test"]
    assert (test["images"], test["random_subnets"]) == (50, recipe().measure.rank_subnets)
    assert set(test["recall"]) == {"largest 16", "smallest 16"}
    counts = {row["name"]: (row["training"], row["held_out"], row["test"]) for row in figures["classes"]}
    assert tuple(counts) == LABELS
    assert [sum(column) for column in zip(*counts.values(), strict=True)] == [160, 60, 50]
    for end, recall in test["recall"].items():
        of_class = [recall[name] for name in LABELS]
        assert sum(of_class) / 3 == pytest.approx(test["balanced"][end], abs=1e-3)
        right = sum(share * counts[name][2] for name, share in recall.items())
        assert right / 50 == pytest.approx(test["top1"][end], abs=1e-3)
    assert set(test["top1"]) == {"largest 14", "smallest 14", "largest 16", "smallest 16"}
    assert -1 <= test["spearman_macs"] <= 1
    largest = measure_top1(
        package.load(),
        package.space.largest(),
        package.images("calibration"),
        package.images("test"),
        package.preprocessing(16),
    )
    assert test["top1"]["largest 16"] == pytest.approx(largest, abs=1e-4)
    assert largest > 0.6  # of three classes: it did learn


def test_a_finished_run_is_a_package(finished):
    package = open_supernet(str(finished))
    assert package.labels == LABELS
    assert package.dataset == "bands"
    assert (package.mean, package.std) == ((72.9,), (90.0,))
    assert (finished / zoo.LABELS).read_text().splitlines() == list(LABELS)
    data = dataset()
    training, held_out = data.split(60, 0)
    for split, wanted in (("calibration", training), ("validation", held_out), ("test", data.test)):
        found = package.images(split)
        assert sorted(zip(map(bytes, found.pixels), found.labels, strict=True)) == sorted(
            zip(map(bytes, wanted.pixels), wanted.labels, strict=True)
        )
    seen = {image.tobytes() for image in training.pixels}
    assert not any(image.tobytes() in seen for image in held_out.pixels)
    subnets = [pair.subnet for pair in read_pairs(finished / zoo.PAIRS, package.space)]
    assert subnets == sample_subnets(package.space, recipe().measure.pairs, PAIR_SEED)
    predictor = AccuracyPredictor.load(finished / zoo.PREDICTOR, package.space)
    assert predictor.summary() == figures_of(finished)["predictor"]


def test_a_second_call_trains_and_measures_nothing(finished, run_folder, monkeypatch):
    monkeypatch.setattr(train_module, "Trainer", lambda *_: pytest.fail("it trains"))
    monkeypatch.setattr(train_module, "subnet_logits", lambda *_: pytest.fail("it measures"))
    monkeypatch.setattr(pairs_module, "measure", lambda *_: pytest.fail("it measures"))
    seen = []
    figures = train(
        recipe(),
        dataset(),
        run_folder,
        on_step=lambda _: pytest.fail("a step"),
        on_stage=lambda *stage: seen.append(stage),
    )
    assert seen[-1] == ("pairs", 24, 24)
    assert figures == figures_of(run_folder)
    assert figures["test"] == figures_of(finished)["test"]
    for name in (zoo.WEIGHTS, zoo.PAIRS, zoo.IMAGES, zoo.LABELS):
        assert (run_folder / name).read_bytes() == (finished / name).read_bytes()


def test_a_second_call_fits_the_same_predictor(finished, run_folder, few_tests):
    train(recipe(), dataset(), run_folder)
    assert (run_folder / zoo.PREDICTOR).read_bytes() == (finished / zoo.PREDICTOR).read_bytes()


def test_a_run_killed_while_measuring_goes_on_there(run_folder, few_tests, monkeypatch):
    value = json.loads((run_folder / zoo.PAIRS).read_bytes())
    whole = value["pairs"]
    (run_folder / zoo.PAIRS).write_text(json.dumps({**value, "pairs": whole[:20]}))
    (run_folder / zoo.PREDICTOR).unlink()
    measured = []
    real = pairs_module.measure
    monkeypatch.setattr(pairs_module, "measure", lambda *args: measured.append(args[1]) or real(*args))
    train(recipe(), dataset(), run_folder)
    assert len(measured) == 4
    again = json.loads((run_folder / zoo.PAIRS).read_bytes())["pairs"]
    assert again == whole  # the same subnets, and the same top-1 of each
    assert (run_folder / zoo.PREDICTOR).is_file()


def test_another_metric_measures_again_and_trains_nothing(run_folder, few_tests, monkeypatch):
    monkeypatch.setattr(train_module, "Trainer", lambda *_: pytest.fail("it trains"))
    monkeypatch.setattr(
        pairs_module, "measure", lambda *args: {"balanced": 0.25}[args[-1]] + int(args[1].id[0], 16) / 99
    )
    measure = recipe().measure.model_copy(update={"metric": "balanced"})
    figures = train(recipe().model_copy(update={"measure": measure}), dataset(), run_folder)
    assert figures["measure"]["metric"] == "balanced"
    package = open_supernet(str(run_folder))
    assert AccuracyPredictor.load(run_folder / zoo.PREDICTOR, package.space).metric == "balanced"
    assert package_metric(package) == "balanced"
    assert json.loads((run_folder / zoo.PAIRS).read_bytes())["metric"] == "balanced"


def test_a_space_too_small_for_a_predictor(tmp_path):
    """Two classes of 12 images, class by class, and one subnet: a package all the same, whose search goes by MACs."""
    found = images(200, 0)
    few = found.take(np.concatenate([np.flatnonzero(found.labels == label)[:12] for label in (0, 1)]))
    small = {"resolutions": (16,), "kernels": (3,), "expands": (3,), "depths": (1,)}
    changes = {
        "space": recipe().space.model_copy(update=small),
        "phases": tuple(phase.model_copy(update={"resolutions": None}) for phase in recipe().phases),
        "data": recipe().data.model_copy(update={"held_out": 0.2}),
    }
    data = Dataset("few", few, few.sample(2, 1), LABELS[:2])
    figures = train(recipe().model_copy(update=changes), data, tmp_path / "run")
    assert figures["predictor"] is None
    assert (figures["test"]["images"], figures["held_out_images"]) == (2, 5)
    package = open_supernet(str(tmp_path / "run"))
    assert package.space.count == 1
    assert package.file(zoo.PREDICTOR) is None
    export_package(tmp_path / "run", tmp_path / "package")
    assert not (tmp_path / "package" / zoo.PAIRS).exists()


def test_fine_tuning_balances_classes_as_the_training_did(run_folder, tmp_path):
    facts = json.loads((run_folder / "recipe.json").read_bytes())
    folder = image_folder(tmp_path / "data", 40, 9)
    for balance in ("none", "loss", "sampler"):
        facts["recipe"]["data"]["balance"] = balance
        (run_folder / "recipe.json").write_text(json.dumps(facts))
        assert training_data(open_supernet(str(run_folder)), None, folder).balance == balance


def test_a_run_killed_before_its_weights_were_written_takes_the_checkpoint(finished, run_folder, few_tests):
    (run_folder / zoo.WEIGHTS).unlink()
    steps = []
    train(recipe(), dataset(), run_folder, on_step=steps.append)
    assert steps == []  # the checkpoint is of the last step
    assert (run_folder / zoo.WEIGHTS).read_bytes() == (finished / zoo.WEIGHTS).read_bytes()


def test_export_leaves_the_checkpoint_behind(finished, tmp_path):
    export_package(finished, tmp_path / "package")
    names = {path.name for path in (tmp_path / "package").iterdir()}
    assert {
        zoo.WEIGHTS,
        zoo.PREDICTOR,
        zoo.IMAGES,
        zoo.LABELS,
        zoo.PAIRS,
        FIGURES,
        PHASES,
        "recipe.json",
        "log.jsonl",
    } == names
    assert open_supernet(str(tmp_path / "package")).space == open_supernet(str(finished)).space


# -- refusals --


def test_a_folder_of_another_recipe_is_refused(run_folder):
    before = {path.name: path.read_bytes() for path in run_folder.iterdir()}
    with pytest.raises(OutputError, match="holds another run") as caught:
        train(recipe(seed="4"), dataset(), run_folder)
    assert caught.value.why == "what is to be done is not the same: seed 3 then, 4 now"
    assert {path.name: path.read_bytes() for path in run_folder.iterdir()} == before


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            lambda data: replace(data, class_names=LABELS[::-1]),
            "the classes are in another order: number 0 was 'above'",
        ),
        (lambda data: replace(data, test=data.test.sample(40)), "the test images are others: 50 then, 40 now"),
        (lambda data: replace(data, train=data.train.sample(200)), "the training images are others: 160 then, 140 now"),
        (
            lambda data: replace(data, train=Images(255 - data.train.pixels, data.train.labels)),
            "the training images are others: 160 then and now, but not the same pixels",
        ),
    ],
)
def test_a_finished_run_is_not_served_for_other_data(run_folder, changed, words):
    before = {path.name: path.read_bytes() for path in run_folder.iterdir()}
    with pytest.raises(OutputError, match="holds another run") as caught:
        train(recipe(), changed(dataset()), run_folder)
    assert words in caught.value.why
    assert {path.name: path.read_bytes() for path in run_folder.iterdir()} == before


def test_weights_of_another_run_in_the_folder_are_refused(finished, run_folder):
    weights = load_supernet(run_folder / zoo.WEIGHTS)
    facts = {"labels": json.dumps(LABELS), "mean": "[72.9]", "std": "[90.0]", "dataset": "bands", "run": "0" * 64}
    save_supernet(run_folder / zoo.WEIGHTS, weights, facts)
    with pytest.raises(OutputError, match="is not of this run") as caught:
        train(recipe(), dataset(), run_folder)
    assert "000000000000" in caught.value.why


def test_the_package_follows_what_is_measured_on(run_folder, few_tests, monkeypatch):
    """`[measure]` is no part of the identity: what hangs on it is made again, and is never that of before."""
    rng = np.random.default_rng(0)
    monkeypatch.setattr(pairs_module, "measure", lambda *args: float(rng.uniform(0.3, 0.9)))
    lines = recipe().model_copy(update={"measure": recipe().measure.model_copy(update={"images": 30})})
    figures = train(lines, dataset(), run_folder)
    package = open_supernet(str(run_folder))
    assert [len(package.images(split)) for split in ("validation", "test")] == [30, 30]
    assert figures["test"]["images"] == 30
    assert json.loads((run_folder / zoo.PAIRS).read_bytes())["images"] == 30
    fitted_to = AccuracyPredictor.load(run_folder / zoo.PREDICTOR, package.space).fitted_to
    assert fitted_to.images_sha256 == package.images("validation").digest
    assert fitted_to.weights_sha256 == sha256_file(run_folder / zoo.WEIGHTS)


def test_a_folder_of_somebody_elses_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match="is not ours"):
        train(recipe(), dataset(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(OutputError):
        train(recipe(), dataset(), tmp_path / "thesis.tex")


def test_an_empty_folder_is_claimed_once(tmp_path):
    claim_run_folder(tmp_path / "run", recipe(), dataset())
    claim_run_folder(tmp_path / "run", recipe(), dataset())
    facts = json.loads((tmp_path / "run" / "recipe.json").read_bytes())
    assert facts["digest"] == recipe().digest
    assert facts["recipe"]["batch"] == 32


def test_a_run_does_not_write_behind_a_link(tmp_path):
    claim_run_folder(tmp_path / "run", recipe(), dataset())
    (tmp_path / "run" / "log.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="is a link"):
        claim_run_folder(tmp_path / "run", recipe(), dataset())


def test_a_damaged_claim_is_refused(tmp_path):
    (tmp_path / "recipe.json").write_text("{")
    with pytest.raises(OutputError):
        claim_run_folder(tmp_path, recipe(), dataset())


def test_too_few_pairs_are_told_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(train_module, "Trainer", lambda *_: pytest.fail("it trains"))
    with pytest.raises((DataError, ConfigError)):
        train(recipe(pairs="5"), dataset(), tmp_path / "run")


def test_a_predictor_wants_enough_pairs(finished):
    space = open_supernet(str(finished)).space
    pairs = read_pairs(finished / zoo.PAIRS, space)
    assert fit_predictor(space, pairs).predict(space.genome([space.largest()])).shape == (1,)
    with pytest.raises(DataError, match="cannot fit"):
        fit_predictor(space, pairs[:10])


# -- data --


def test_data_that_do_not_fit_the_recipe(tmp_path):
    with pytest.raises(DataError, match="no data folder"):
        load_data(recipe(), None)
    with pytest.raises(DataError, match="not an image folder"):
        load_data(recipe(), tmp_path)
    with pytest.raises(UnknownNameError, match="unknown dataset 'imagenet'"):
        load_data(recipe(dataset='"imagenet"'), tmp_path)


@pytest.fixture
def idx_folder(tmp_path):
    """Fashion-MNIST's four files with a few images."""
    rng = np.random.default_rng(0)
    for stem, count in (("train", 100), ("t10k", 20)):
        for kind, shape in (("images-idx3", (count, 28, 28)), ("labels-idx1", (count,))):
            header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
            values = rng.integers(0, 256 if "images" in kind else 10, shape, dtype=np.uint8)
            (tmp_path / f"{stem}-{kind}-ubyte.gz").write_bytes(gzip.compress(header + values.tobytes()))
    return tmp_path


def test_a_users_copy_of_fashion_mnist(idx_folder):
    data = load_data(recipe(dataset='"fashion-mnist"'), idx_folder)
    assert data.train.pixels.shape == (100, 28, 28, 1)
    colour = RECIPE.replace("[72.9]", "[120.0, 121.0, 122.0]").replace("[90.0]", "[61.0, 62.0, 63.0]")
    colour = colour.replace('"image-folder"', '"fashion-mnist"')
    assert load_data(parse_recipe(colour, "test"), idx_folder).channels == 3  # as the recipe's statistics want it


def test_a_recipe_without_statistics_takes_those_of_its_training_images():
    text = RECIPE.replace("mean = [72.9]\nstd = [90.0]\n", "")
    bare = parse_recipe(text, "test")
    with pytest.raises(ConfigError, match="no pixel statistics"):
        bare.make_space(3)
    full = resolve(bare, dataset()).recipe
    training, _ = dataset().split(60, 0)
    assert full.data.mean == (pytest.approx(training.pixels.mean(), abs=0.01),)
    assert full.data.std == (pytest.approx(training.pixels.std(), abs=0.01),)
    assert full.digest != bare.digest
    assert resolve(full, dataset()).recipe == full
    assert resolve(recipe(), dataset()).recipe == recipe()


def test_too_many_held_out_images(tmp_path):
    few = Images(np.zeros((20, 16, 16, 1), dtype=np.uint8), np.zeros(20, dtype=np.int64))
    with pytest.raises(DataError, match="cannot hold out 60 images"):
        train(recipe(), Dataset("few", few, few, LABELS), tmp_path / "run")
