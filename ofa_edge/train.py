"""The training pipeline: recipe -> supernet -> measured pairs -> predictor -> a package that `build` can use.

Every step leaves its result in the run's folder and is skipped when it is already there, so a killed run goes on.
"""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ofa_edge import __version__, cost
from ofa_edge.data.dataset import Dataset, Images
from ofa_edge.data.open import CIFAR10, FASHION_MNIST, open_dataset
from ofa_edge.errors import ConfigError, DataError, OutputError
from ofa_edge.files import canonical_json, sha256_bytes, sha256_file, write_bytes, write_json
from ofa_edge.metrics import spearman
from ofa_edge.search.predictor import MIN_PAIRS, AccuracyPredictor
from ofa_edge.space import Space
from ofa_edge.supernet import zoo
from ofa_edge.supernet.evaluate import measure_top1
from ofa_edge.supernet.network import Supernet
from ofa_edge.supernet.weights import load_supernet, save_supernet
from ofa_edge.training.pairs import Pair, measure_pairs, sample_subnets
from ofa_edge.training.recipe import Recipe
from ofa_edge.training.trainer import Progress, Trainer

CALIBRATION_IMAGES, VALIDATION_IMAGES, TEST_IMAGES = 500, 4000, 2000
RECIPE, FIGURES = "recipe.json", "figures.json"
Report = Callable[[str, int, int], None]  # stage, done, total


@dataclass(frozen=True)
class TrainOptions:
    """How much to measure after training."""

    pairs: int = 200
    rank_subnets: int = 50  # random subnets at the largest resolution, for the rank correlation with MACs
    pair_seed: int = 1


def load_data(recipe: Recipe, folder: Path | None) -> Dataset:
    """The recipe's data set, from `folder` if given. Raises DataError if it does not fit the recipe."""
    channels = len(recipe.data.mean)
    wanted = None if recipe.data.dataset in (FASHION_MNIST, CIFAR10) else channels  # these have channels of their own
    data = open_dataset(recipe.data.dataset, folder, size=recipe.space.resolutions[-1], channels=wanted)
    if data.train.pixels.shape[3] != channels:
        raise DataError(
            "the data does not fit the recipe",
            f"{data.name} has {data.train.pixels.shape[3]} channels, the recipe's statistics have {channels}",
            "give one mean and one std for each channel in the recipe's [data]",
        )
    if len(data.train) - recipe.data.held_out < recipe.batch:
        raise DataError(
            "too few training images",
            f"{len(data.train)} images, {recipe.data.held_out} held out, batches of {recipe.batch}",
            "lower held_out or batch in the recipe, or add images",
        )
    return data


def claim_run_folder(folder: Path, recipe: Recipe) -> None:
    """Make the run's folder, or check that it holds a run of this recipe. Raises OutputError."""
    marker = folder / RECIPE
    if marker.is_file():
        try:
            made_by = json.loads(marker.read_bytes())["digest"]
        except (ValueError, KeyError, TypeError) as error:
            raise OutputError(
                f"{marker.name} is damaged", f"{folder}: {error}", "choose another folder with --out"
            ) from error
        if made_by != recipe.digest:
            raise OutputError(
                f"{folder} holds another run", f"its recipe is {str(made_by)[:12]}", "choose another folder with --out"
            )
        return
    if folder.is_dir() and any(folder.iterdir()):
        raise OutputError(f"{folder} is not ours", "it has files, and no run of this recipe", "choose another folder")
    write_json(marker, {"digest": recipe.digest, "recipe": recipe.model_dump(mode="json")})


def train(
    recipe: Recipe,
    data: Dataset,
    folder: Path,
    *,
    options: TrainOptions | None = None,
    device: str = "cpu",
    on_step: Callable[[Progress], None] = lambda _: None,
    on_stage: Report = lambda stage, done, total: None,
) -> dict[str, Any]:
    """Run a recipe to the end in `folder`, which then is a package for `--supernet`; return its measured figures."""
    options = options or TrainOptions()
    if options.pairs < MIN_PAIRS:
        raise ConfigError("too few pairs", f"{options.pairs}, at least {MIN_PAIRS} are needed", f"--pairs {MIN_PAIRS}")
    claim_run_folder(folder, recipe)
    space = recipe.make_space(len(data.class_names))
    train_images, held_out = data.split(recipe.data.held_out, recipe.data.split_seed)
    started = time.monotonic()
    if not (folder / zoo.WEIGHTS).is_file():
        trainer = Trainer(recipe, space, train_images, folder, device)
        trainer.resume()
        supernet = trainer.run(on_step).to("cpu")
        _save(folder, supernet, recipe, data)
    supernet = load_supernet(folder / zoo.WEIGHTS)
    calibration = train_images.take(slice(CALIBRATION_IMAGES))
    _save_package_images(folder, calibration, held_out, data.test)
    preprocessing = recipe.preprocessing(space.resolutions[-1])
    pairs = measure_pairs(
        supernet,
        sample_subnets(space, options.pairs, options.pair_seed),
        calibration,
        held_out,
        preprocessing,
        folder / zoo.PAIRS,
        lambda done, total: on_stage("pairs", done, total),
    )
    predictor = fit_predictor(space, pairs)
    predictor.save(folder / zoo.PREDICTOR)
    figures = {
        "version": __version__,
        "recipe_digest": recipe.digest,
        "seed": recipe.seed,
        "space_hash": space.hash,
        "weights_sha256": sha256_file(folder / zoo.WEIGHTS),
        "weights_bytes": (folder / zoo.WEIGHTS).stat().st_size,
        "predictor": predictor.summary(),
        "test": _measure_test(supernet, space, calibration, data.test, recipe, options, on_stage),
        "seconds_of_this_call": round(time.monotonic() - started, 1),
    }
    write_json(folder / FIGURES, figures)
    return figures


def fit_predictor(space: Space, pairs: list[Pair]) -> AccuracyPredictor:
    """Fit the accuracy predictor of a space to measured pairs."""
    genomes = space.genome(pair.subnet for pair in pairs)
    return AccuracyPredictor.fit(space, genomes, np.array([pair.top1 for pair in pairs]))


def _save(folder: Path, supernet: Supernet, recipe: Recipe, data: Dataset) -> None:
    facts = {
        "labels": json.dumps(data.class_names),
        "mean": json.dumps(recipe.data.mean),
        "std": json.dumps(recipe.data.std),
        "dataset": data.name,
        "recipe": recipe.name,
        "recipe_digest": recipe.digest,
        "seed": str(recipe.seed),
    }
    write_bytes(folder / zoo.LABELS, ("\n".join(data.class_names) + "\n").encode())
    save_supernet(folder / zoo.WEIGHTS, supernet, facts)


def _save_package_images(folder: Path, calibration: Images, held_out: Images, test: Images) -> None:
    if not (folder / zoo.IMAGES).is_file():
        splits = {
            "calibration": calibration,
            "validation": held_out.take(slice(VALIDATION_IMAGES)),
            "test": test.take(slice(TEST_IMAGES)),
        }
        zoo.save_images(folder / zoo.IMAGES, splits)


def _measure_test(
    supernet: Supernet,
    space: Space,
    calibration: Images,
    test: Images,
    recipe: Recipe,
    options: TrainOptions,
    on_stage: Report,
) -> dict[str, Any]:
    """Figures on the whole test set: both ends of the space at every size, and the ranking of random subnets."""
    preprocessing = recipe.preprocessing(space.resolutions[-1])
    corners = {f"{name} {r}": pick(r) for r in space.resolutions for name, pick in _ends(space)}
    rng = np.random.default_rng(recipe.seed + 2)
    random = [space.subnet(row) for row in space.sample(rng, options.rank_subnets, space.resolutions[-1])]
    total = len(corners) + len(random)
    results = []
    for done, subnet in enumerate([*corners.values(), *random], start=1):
        results.append(measure_top1(supernet, subnet, calibration, test, preprocessing))
        on_stage("test", done, total)
    macs = np.array([cost.macs(space, subnet) for subnet in random], dtype=np.float64)
    accuracy = np.array(results[len(corners) :])
    return {
        "images": len(test),
        "labels_sha256": sha256_bytes(canonical_json(test.labels.tolist())),
        "top1": {name: round(value, 4) for name, value in zip(corners, results, strict=False)},
        "random_subnets": len(random),
        "spearman_macs": round(spearman(macs, accuracy), 4),
        "random_top1_mean": round(float(accuracy.mean()), 4),
    }


def _ends(space: Space) -> tuple[tuple[str, Callable[[int], Any]], ...]:
    return (("largest", space.largest), ("smallest", space.smallest))


def export_package(run: Path, folder: Path) -> None:
    """Copy what `build` needs, and how it came about, out of a run's folder: no checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (
        zoo.WEIGHTS,
        zoo.PREDICTOR,
        zoo.PAIRS,
        zoo.IMAGES,
        zoo.LABELS,
        RECIPE,
        FIGURES,
        "log.jsonl",
    ):
        shutil.copyfile(run / name, folder / name)
