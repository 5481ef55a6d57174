"""A training run: recipe -> supernet -> measured pairs -> predictor -> a package that `build` can use.

Every step leaves its result in the run's folder and is skipped when it is already there, so a killed run goes on.
"""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge import __version__, cost
from ofa_edge.data.dataset import Dataset, Images
from ofa_edge.errors import ConfigError, OutputError
from ofa_edge.files import canonical_json, parse_json, read_regular, sha256_bytes, sha256_file, write_bytes, write_json
from ofa_edge.metrics import METRICS, Metric, argmax, confusion, recalls, spearman
from ofa_edge.records.licences import LICENCES, handed_on
from ofa_edge.supernet import zoo
from ofa_edge.supernet.evaluate import measure as measure_subnet
from ofa_edge.supernet.evaluate import subnet_logits
from ofa_edge.supernet.header import read_weights_file
from ofa_edge.supernet.network import Supernet
from ofa_edge.supernet.weights import load_supernet, save_supernet
from ofa_edge.supernet.zoo import SupernetPackage
from ofa_edge.training.claim import IDENTITY, RunIdentity, claim_run
from ofa_edge.training.data import resolve
from ofa_edge.training.distributed import World
from ofa_edge.training.package_data import CALIBRATION_IMAGES, VALIDATION_IMAGES
from ofa_edge.training.plan import HEAD_SUBNETS, head_views
from ofa_edge.training.recipe import Recipe
from ofa_edge.training.run import CHECKPOINT, LOG, Progress
from ofa_edge.training.step import StepFunction, recipe_step, step_identity
from ofa_edge.training.stopping import facts_of as stopping_facts
from ofa_edge.training.stopping import train_watched
from ofa_edge.training.teacher import Teacher, require_same
from ofa_edge.training.teacher import facts_of as teacher_facts
from ofa_edge.training.timing import Estimate, estimate
from ofa_edge.training.trainer import Trainer
from ofa_edge.training.transfer import Begun, begin, facts_of, fit_new_head, settled
from ofa_edge.workflows.accuracy_predictor import MIN_PAIRS, measure_and_fit, prior_of
from ofa_edge.workflows.move_folds import Move
from ofa_edge.workflows.phase_log import PhaseLog, ends

TEST_IMAGES, WATCHED_IMAGES = 2000, 1000  # at most: of a test, and of each measurement during a run
RECIPE, FIGURES, PHASES = "recipe.json", "figures.json", "phases.json"
Report = Callable[[str, int, int], None]  # stage, done, total


def claim_run_folder(
    folder: Path,
    recipe: Recipe,
    data: Dataset,
    *,
    dry: bool = False,
    accept_code: bool = False,
    step_function: StepFunction = recipe_step,
) -> RunIdentity:
    """Make the run's folder, or check that it holds this very run (see `claim_run`). Raises OutputError."""
    facts: dict[str, Any] = {"digest": recipe.digest, "recipe": recipe.model_dump(mode="json")}
    decides = recipe.deciding
    if step_function is not recipe_step:  # the recipe alone does not say what trained this
        decides["step"] = facts["step"] = step_identity(step_function)
    split = data.split(recipe.data.held_out_images, recipe.data.split_seed)
    identity = RunIdentity.of(decides, data.class_names, *split, data.test)
    held = claim_run(folder, RECIPE, facts, identity, dry=dry, accept_code=accept_code)
    if not dry:  # what is measured may have changed, which makes it no other run
        write_json(folder / RECIPE, {**facts, IDENTITY: held})
    return identity


def train(
    recipe: Recipe,
    data: Dataset,
    folder: Path,
    *,
    device: str = "cpu",
    world: World | None = None,
    accept_code: bool = False,
    step_function: StepFunction = recipe_step,
    start: SupernetPackage | None = None,
    begun: Begun | None = None,
    teacher: Teacher | None = None,
    on_step: Callable[[Progress], None] = lambda _: None,
    on_stage: Report = lambda stage, done, total: None,
) -> dict[str, Any]:
    """Run a recipe to the end in `folder`, which then is a package for `--supernet`.

    Args:
        recipe: what to do; what it leaves to the data is settled first (`ofa_edge.training.data.resolve`).
        data: the data set that it names.
        folder: the run's folder; the same run (`RunIdentity`) found there is continued.
        device: torch device of the training; measurements run on the CPU.
        world: the processes of the run, this one alone by default. The first one measures and writes.
        accept_code: go on with a run that other code began.
        step_function: computes the gradients of a step, in place of what the recipe says; recorded by its source.
        start: the supernet that the recipe's [start] names.
        begun: what `begin` made of it, where a caller has that already; it is trained in place.
        teacher: that the recipe's [teacher] names.
        on_step: told of each training step.
        on_stage: told of each measurement: stage, done, total.

    Returns:
        The measured figures; empty in all processes but the first.
    """
    world = world or World()
    if (recipe.start is None) != (start is None):
        raise ConfigError(
            "a start without its supernet", f"[start] of '{recipe.name}'", "--from SUPERNET, or no [start]"
        )
    require_same(recipe.teacher, teacher)
    if start is not None:
        recipe = settled(recipe, start, data)
    resolved = resolve(recipe, data, world.size)
    recipe, measure = resolved.recipe, resolved.recipe.measure
    space = recipe.make_space(len(data.class_names))
    if measure.pairs < min(MIN_PAIRS, space.count * len(space.resolutions)):
        raise ConfigError("too few pairs", f"{measure.pairs}, at least {MIN_PAIRS} are needed", f"--pairs {MIN_PAIRS}")
    identity = None
    if world.first:
        identity = claim_run_folder(folder, recipe, data, accept_code=accept_code, step_function=step_function)
    train_images, calibration, held_out, test = _parts(recipe, data)
    started = time.monotonic()
    if start is not None and begun is None:
        begun = begin(recipe, start, space, data.class_names)
    move = found = None
    if recipe.folds and start is not None:
        move = Move(recipe, start, space, data.class_names, device, step_function, teacher)
        found = move.validated(train_images, folder, on_step)
        assert begun is not None
        begun.hold(found.ridge)
    if not _is_trained(folder, identity):
        if begun is not None and not (folder / CHECKPOINT).is_file():
            fit_new_head(begun, recipe, train_images, calibration, found.ridge if found else None)
        after_phase = PhaseLog(folder / PHASES, recipe, calibration, held_out.sample(TEST_IMAGES))
        trainer = Trainer(
            recipe,
            space,
            train_images,
            folder,
            device,
            world,
            after_phase,
            step_function=step_function,
            start=None if begun is None else begun.net,
            teacher=teacher,
        )
        trainer.resume()
        share = 1.0 if found is None else found.share
        supernet = _trained(trainer, recipe, calibration, held_out, on_step, share).to("cpu")
        if identity is not None:
            save_weights(folder, supernet, recipe, data, identity)
    if identity is None:
        return {}
    supernet = load_supernet(folder / zoo.WEIGHTS)
    if start is not None and not (folder / LICENCES).is_file():
        write_json(folder / LICENCES, handed_on(start.licences, Path(start.name).name).model_dump(mode="json"))
    _save_package_images(folder, calibration, held_out, test)
    predictor = None
    if measure.pairs >= MIN_PAIRS:  # fewer where the space has no more: a search of it goes by MACs
        predictor = measure_and_fit(
            supernet,
            measure.pairs,
            calibration,
            held_out,
            recipe.preprocessing(space.resolutions[-1]),
            folder / zoo.PAIRS,
            weights_sha256=sha256_file(folder / zoo.WEIGHTS),
            on_pair=lambda done, total: on_stage("pairs", done, total),
            metric=measure.metric,
            prior=None if start is None else prior_of(start, measure.metric),
            out_of_fold=move.examined(train_images, folder, found) if move and found else (),
        )
        predictor.save(folder / zoo.PREDICTOR)
    weights_sha256 = sha256_file(folder / zoo.WEIGHTS)
    known = _known_figures(folder, recipe, weights_sha256, identity)
    figures = {
        "version": __version__,
        "recipe_digest": recipe.digest,
        "run": identity.digest,
        "seed": recipe.seed,
        **facts_of(recipe, begun),
        **teacher_facts(teacher),
        **stopping_facts(folder, recipe.patience),
        **({} if found is None else {"out_of_fold": found.facts}),
        "measure": measure.model_dump(mode="json"),
        "space_hash": space.hash,
        "weights_sha256": weights_sha256,
        "images_sha256": sha256_file(folder / zoo.IMAGES),
        "weights_bytes": (folder / zoo.WEIGHTS).stat().st_size,
        "classes": resolved.counts.facts(),
        "held_out_images": len(held_out),  # measured on: of those in `classes`, what [measure] images left
        "predictor": predictor and predictor.summary(),
        "test": known.get("test") or _measure_test(supernet, calibration, test, recipe, data.class_names, on_stage),
        "seconds_of_this_call": round(time.monotonic() - started, 1),
    }
    write_json(folder / FIGURES, figures)
    return figures


def _trained(
    trainer: Trainer,
    recipe: Recipe,
    calibration: Images,
    held_out: Images,
    on_step: Callable[[Progress], None],
    share: float,
) -> Supernet:
    """The supernet at the end of its run, after that share of it, or at its best on held-out images."""
    last = trainer.plan.phases[-1]
    if recipe.patience is None:
        trainer.run(on_step, stop_at=round(share * trainer.total_steps))
        if trainer.step < trainer.total_steps:
            trainer.after_phase(last, trainer.net)
        return trainer.net
    watched = held_out.sample(WATCHED_IMAGES)
    space, sizes = trainer.space, recipe.preprocessing(trainer.space.resolutions[-1])

    def score(net: Supernet) -> float:
        both = [pick(space.resolutions[-1]) for _, pick in ends(space)]
        return float(np.mean([measure_subnet(net, each, calibration, watched, sizes, "balanced") for each in both]))

    train_watched(trainer, last.start, recipe.patience, score, on_step)
    trainer.after_phase(last, trainer.net)  # of the state that is written, wherever the run ended
    return trainer.net


def estimate_run(recipe: Recipe, data: Dataset, device: str = "cpu", teacher: Teacher | None = None) -> Estimate:
    """How long `train` would take on this machine, by a few timed steps of one process. Nothing is written.

    Args:
        recipe: resolved.
        data: the data set that it names.
        device: torch device of the training.
        teacher: that the recipe's [teacher] names.
    """
    space, measure = recipe.make_space(len(data.class_names)), recipe.measure
    train_images, calibration, held_out, test = _parts(recipe, data)
    tested = 2 * len(space.resolutions) + measure.rank_subnets
    logged = 2 * len(recipe.phases)
    measured = measure.pairs * (len(calibration) + len(held_out)) + tested * (len(calibration) + len(test))
    measured += logged * (len(calibration) + min(len(held_out), TEST_IMAGES))
    if recipe.start is not None and recipe.start.ridge is not None:
        measured += HEAD_SUBNETS * (len(calibration) + head_views(len(train_images)))
    found = estimate(recipe, space, train_images, calibration, measured, device=device, teacher=teacher)
    runs = 1 + recipe.folds  # each fold takes all steps, and is measured on its own images
    return replace(found, phases=tuple(runs * seconds for seconds in found.phases))


def _parts(recipe: Recipe, data: Dataset) -> tuple[Images, Images, Images, Images]:
    """Images to train on, those of them to calibrate with, and held-out and test images to measure on."""
    images = recipe.measure.images
    train_images, held_out = data.split(recipe.data.held_out_images, recipe.data.split_seed)
    # What the package carries is what pairs are measured on, so that a predictor made from it later goes on with them.
    held_out = held_out.sample(min(images or VALIDATION_IMAGES, VALIDATION_IMAGES))
    return train_images, train_images.sample(CALIBRATION_IMAGES), held_out, data.test.sample(images)


def _is_trained(folder: Path, identity: RunIdentity | None) -> bool:
    """Whether the folder has the weights of this run (None: that is the first process's affair).

    Raises:
        OutputError: it has those of another one.
    """
    path = folder / zoo.WEIGHTS
    if identity is None or not path.is_file():
        return path.is_file()
    found = read_weights_file(path).facts.get("run")
    if found != identity.digest:
        raise OutputError(
            f"{path} is not of this run",
            f"its header says run {str(found)[:12]}, and {RECIPE} is of {identity.digest[:12]}",
            "remove the file to train again, or choose another folder with --out",
        )
    return True


def _known_figures(folder: Path, recipe: Recipe, weights_sha256: str, identity: RunIdentity) -> dict[str, Any]:
    """The figures of an earlier call, if they are of the same run and weights."""
    try:
        figures: dict[str, Any] = parse_json(read_regular(folder / FIGURES))
        found = (figures["run"], figures["weights_sha256"], figures["measure"])
        same = found == (identity.digest, weights_sha256, recipe.measure.model_dump(mode="json"))
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # none, or damaged: measured again and replaced
    return figures if same else {}


def save_weights(folder: Path, supernet: Supernet, recipe: Recipe, data: Dataset, identity: RunIdentity) -> None:
    """Write a package's weights and labels; the header says how images are read."""
    facts = {
        "labels": json.dumps(data.class_names),
        "mean": json.dumps(recipe.data.statistics[0]),
        "std": json.dumps(recipe.data.statistics[1]),
        "dataset": data.name,
        "reading": json.dumps(recipe.data.reading.to_json()),
        "recipe": recipe.name,
        "recipe_digest": recipe.digest,
        "run": identity.digest,
        "seed": str(recipe.seed),
    }
    write_bytes(folder / zoo.LABELS, ("\n".join(data.class_names) + "\n").encode())
    save_supernet(folder / zoo.WEIGHTS, supernet, facts)


def _save_package_images(folder: Path, calibration: Images, held_out: Images, test: Images) -> None:
    splits = {
        "calibration": calibration,
        "validation": held_out,
        "test": test.sample(TEST_IMAGES),
    }
    if not zoo.holds_images(folder / zoo.IMAGES, splits):
        zoo.save_images(folder / zoo.IMAGES, splits)


def _measure_test(
    supernet: Supernet,
    calibration: Images,
    test: Images,
    recipe: Recipe,
    class_names: Sequence[str],
    on_stage: Report,
) -> dict[str, Any]:
    """Figures on the test set: both ends of the space at every size, and the ranking of random subnets."""
    space, measure = supernet.space, recipe.measure
    preprocessing = recipe.preprocessing(space.resolutions[-1])
    corners = {f"{name} {r}": pick(r) for r in space.resolutions for name, pick in ends(space)}
    rng = np.random.default_rng(recipe.seed + 2)
    random = [space.subnet(row) for row in space.sample(rng, measure.rank_subnets, space.resolutions[-1])]
    both = {f"{name} {space.resolutions[-1]}" for name, _ in ends(space)}
    total = len(corners) + len(random)
    found: dict[Metric, list[float]] = {metric: [] for metric in METRICS}
    recall = {}
    names = [*corners, *(f"random {index}" for index in range(len(random)))]
    for done, (name, subnet) in enumerate(zip(names, [*corners.values(), *random], strict=True), start=1):
        answers = subnet_logits(supernet, subnet, calibration, test, preprocessing)
        for metric, score in METRICS.items():
            found[metric].append(score(answers, test.labels))
        if name in both:
            recall[name] = _recall(answers, test, class_names)
        on_stage("test", done, total)
    macs = np.array([cost.macs(space, subnet) for subnet in random], dtype=np.float64)
    drawn = {metric: np.array(values[len(corners) :]) for metric, values in found.items()}
    return {
        "images": len(test),
        "labels_sha256": sha256_bytes(canonical_json(test.labels.tolist())),
        **{metric: _by_name(corners, values) for metric, values in found.items()},
        "recall": recall,
        "random_subnets": len(random),
        "spearman_macs": round(spearman(macs, drawn[measure.metric]), 4),
        **{f"random_{metric}_mean": round(float(values.mean()), 4) for metric, values in drawn.items()},
    }


def _by_name(names: Iterable[str], values: Iterable[float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in zip(names, values, strict=False)}


def _recall(answers: NDArray[np.float32], test: Images, class_names: Sequence[str]) -> dict[str, float]:
    """Share of each class's images that are right; classes without images are left out."""
    found = recalls(confusion(argmax(answers), test.labels, len(class_names)))
    return {name: round(float(value), 4) for name, value in zip(class_names, found, strict=True) if not np.isnan(value)}


def export_package(run: Path, folder: Path) -> None:
    """Copy what `build` needs, and how it came about, out of a run's folder: no checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (
        zoo.WEIGHTS,
        zoo.PREDICTOR,
        zoo.PAIRS,
        zoo.IMAGES,
        zoo.LABELS,
        LICENCES,
        RECIPE,
        FIGURES,
        PHASES,
        LOG,
    ):
        if name in (zoo.PREDICTOR, zoo.PAIRS, LICENCES) and not (run / name).is_file():
            continue  # the space is too small for a predictor; nobody said anything of licences
        write_bytes(folder / name, (run / name).read_bytes())
