"""The data of a recipe: read, and the recipe resolved against them.

A recipe may leave open what only the data can say: the statistics of the pixels, how many images a share held out is,
a batch that the training set can fill, how many subnets the space has to measure. `resolve` settles all of it in one
place; the resolved recipe is the one that is recorded, and its digest is the run's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.channels import pixel_statistics
from ofa_edge.data.dataset import Dataset
from ofa_edge.data.open import IMAGE_FOLDER, class_folders, open_dataset
from ofa_edge.data.review import FEW, Expected, review_set
from ofa_edge.data.sampling import stratified, stratified_split
from ofa_edge.errors import ConfigError, DataError
from ofa_edge.schema import changed
from ofa_edge.training.package_data import CALIBRATION_IMAGES
from ofa_edge.training.recipe import Recipe

_ENOUGH_FOR_HEADS = 100  # calibration images of a class
_SMALLEST_BATCH = 2  # batch norms want two images
_NAMED, _FEW_NAMED = 8, 40  # classes named in one message


@dataclass(frozen=True)
class ClassCounts:
    """Images of each class in every split, as the recipe makes them.

    Attributes:
        names: of the classes.
        training: what is trained on, [data] limit applied: [classes].
        held_out: kept apart of the training images: [classes].
        test: [classes].
    """

    names: tuple[str, ...]
    training: tuple[int, ...]
    held_out: tuple[int, ...]
    test: tuple[int, ...]

    @property
    def few(self) -> tuple[str, ...]:
        """Classes with fewer than 20 training images."""
        return tuple(name for name, count in zip(self.names, self.training, strict=True) if count < FEW)

    def facts(self) -> list[dict[str, Any]]:
        """The same as JSON values, a record for each class."""
        rows = zip(self.names, self.training, self.held_out, self.test, strict=True)
        return [{"name": name, "training": a, "held_out": b, "test": c} for name, a, b, c in rows]


@dataclass(frozen=True)
class Resolved:
    """A recipe with nothing left open.

    Attributes:
        recipe: what will be done; resolving it again changes nothing.
        counts: images of each class.
        notes: what was set or changed, a sentence each.
    """

    recipe: Recipe
    counts: ClassCounts
    notes: tuple[str, ...]


def load_data(
    recipe: Recipe, folder: Path | None, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> Dataset:
    """The recipe's data set, from `folder` if given, in the channels that its statistics have, and reviewed.

    Raises:
        DataError: they are missing, damaged, of another kind, or refused (`ofa_edge.data.review`).
        UnknownNameError: no data set of that name.
    """
    try:
        data = open_dataset(
            recipe.data.dataset,
            folder,
            size=recipe.space.resolutions[-1],
            channels=recipe.data.wanted_channels,
            split_seed=recipe.data.split_seed,
            reading=recipe.data.reading,
            on_progress=on_progress,
        )
    except DataError as error:
        classes = class_folders(folder) if recipe.data.dataset != IMAGE_FOLDER else []
        if not classes:
            raise
        raise DataError(
            error.what,
            f"{error.why}; the recipe's data set is {recipe.data.dataset}, and {folder} has folders: {_some(classes)}",
            "--preset own-images-smoke (minutes) or own-images for a folder of your classes; in a recipe of your own, "
            f'dataset = "{IMAGE_FOLDER}" under [data]',
        ) from error
    known = None
    if recipe.data.mean is not None:
        hint = "correct mean and std in the recipe's [data], or leave them out: they are computed then"
        known = Expected(*recipe.data.statistics, "the recipe's", hint)
    return review_set(data, recipe.data.reading, known, channels_given=recipe.data.channels is not None)


def resolve(recipe: Recipe, data: Dataset, processes: int = 1) -> Resolved:
    """The recipe with what the data decide: images held out, pixel statistics, a batch that fits, subnets to measure.

    Args:
        recipe: as the user gave it, or resolved already.
        data: the data set that it names.
        processes: of the run; each takes a batch.

    Raises:
        DataError: too few images, or a class without training images; it is named.
    """
    notes: list[str] = []
    kept, held_out = _split(recipe, data)
    training = kept[stratified(data.train.labels[kept], recipe.data.limit, recipe.data.split_seed)]
    classes = len(data.class_names)
    parts = (data.train.labels[training], data.train.labels[held_out], data.test.labels)
    counts = ClassCounts(
        data.class_names, *(tuple(np.bincount(labels, minlength=classes).tolist()) for labels in parts)
    )
    _require_every_class(recipe, counts)
    if counts.few:
        rows = [f"{name} ({counts.training[data.class_names.index(name)]})" for name in counts.few]
        notes.append(f"fewer than {FEW} training images: {_some(rows, _FEW_NAMED)}; expect little of such classes")
        if recipe.start is not None and not recipe.folds:
            notes.append("--folds 4 answers every training image by networks that did not see it: five times the cost")
    measured = recipe.measure.images
    if measured is not None and measured < classes:
        notes.append(f"[measure] images = {measured}: too few to measure each of {classes} classes")
    fitted = _fitted(recipe, data, kept, len(held_out), len(training), processes, notes)
    return Resolved(_with_many(_with_heads(fitted, counts, notes), counts, notes), counts, tuple(notes))


def _fitted(
    recipe: Recipe,
    data: Dataset,
    kept: NDArray[np.int64],
    held_out: int,
    training: int,
    processes: int,
    notes: list[str],
) -> Recipe:
    part: dict[str, Any] = {"held_out": held_out}
    if held_out != recipe.data.held_out:
        notes.append(f"held out: {held_out} of {len(data.train)} images (held_out = {recipe.data.held_out:g})")
    if recipe.data.mean is None:
        mean, std = (
            tuple(round(value, 2) for value in each) for each in pixel_statistics(data.train.take(kept).pixels)
        )
        part |= {"mean": mean, "std": std}
        notes.append(f"mean {list(mean)} and std {list(std)} are those of {len(kept)} training images")
    whole: dict[str, Any] = {"data": changed(recipe.data, **part)}
    if training < 2 * recipe.batch * processes and recipe.batch > _SMALLEST_BATCH:
        batch = max(_SMALLEST_BATCH, training // (4 * processes))
        if training < batch * processes:
            raise DataError("too few training images", f"{training} in {processes} process(es)", "add images")
        rates = f", learning rates in proportion (x {batch / recipe.batch:.3g})" if recipe.lr_batch else ""
        notes.append(f"batch {batch} in place of {recipe.batch}: there are {training} training images{rates}")
        whole["batch"] = batch
    if recipe.patience is not None and (processes > 1 or held_out < FEW * len(data.class_names)):
        why = "several processes" if processes > 1 else f"{held_out} held-out images are too few to choose by"
        notes.append(f"no early stopping: {why}")
        whole["patience"] = None
    whole |= _folds(changed(recipe, **whole), data, kept, processes, notes)
    recipe = changed(recipe, **whole)
    space = recipe.make_space(len(data.class_names))
    subnets = space.count * len(space.resolutions)
    if recipe.measure.pairs > subnets:
        notes.append(f"{subnets} subnets are measured in place of {recipe.measure.pairs}: the space has no more")
        recipe = changed(recipe, measure=changed(recipe.measure, pairs=subnets))
    return recipe


def _with_heads(recipe: Recipe, counts: ClassCounts, notes: list[str]) -> Recipe:
    """Heads of subnets' own are fitted to the calibration images: not where those tell much less of a class."""
    total, fewest = sum(counts.training), min(counts.training)
    held = fewest * min(1.0, CALIBRATION_IMAGES / total)
    if recipe.start is None or recipe.start.heads != "own" or held >= min(fewest, _ENOUGH_FOR_HEADS):
        return recipe
    notes.append(f"one head for all subnets: of the smallest class {held:.0f} of {fewest} images are for calibration")
    return changed(recipe, start=changed(recipe.start, heads="shared"))


def _with_many(recipe: Recipe, counts: ClassCounts, notes: list[str]) -> Recipe:
    """The recipe as its [many] has it, where the smallest class has so many images."""
    many, fewest = recipe.many, min(counts.training)
    if many is None:
        return recipe
    if fewest < many.images:
        return changed(recipe, many=None)
    phases = tuple(changed(phase, lr=phase.lr * many.lr) for phase in recipe.phases)
    notes.append(
        f"{fewest} training images of the smallest class: rates x {many.lr:g}, layer_decay {many.layer_decay:g}"
    )
    return changed(recipe, many=None, layer_decay=many.layer_decay, phases=phases)


def _folds(recipe: Recipe, data: Dataset, kept: NDArray[np.int64], processes: int, notes: list[str]) -> dict[str, Any]:
    """No cross-validation where it has nothing to say, or cannot be; the changed keys."""
    if not recipe.folds:
        return {}
    fewest = int(np.bincount(data.train.labels[kept], minlength=len(data.class_names)).min())
    if recipe.start is None or recipe.folds == 1:
        why = "a part is answered by networks trained on the others" if recipe.start else "they are of [start], --from"
        raise ConfigError(f"folds = {recipe.folds}", why, "folds = 4 with --from, or folds = 0")
    if processes > 1 or fewest >= FEW or recipe.patience is not None or fewest < 2:
        why = "several processes" if processes > 1 else f"{fewest} training images of the smallest class"
        notes.append(f"no cross-validation: {why}")
        return {"folds": 0}
    notes.append(f"cross-validated in {recipe.folds} folds, each of which costs as much as the run")
    return {}


def _split(recipe: Recipe, data: Dataset) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of what may be trained on, and of what is held out (see `Dataset.split`)."""
    labels, wanted = data.train.labels, recipe.data.held_out
    if not isinstance(wanted, int):
        wanted = max(round(wanted * len(labels)), len(np.unique(labels)))
    elif wanted >= len(labels):
        raise DataError(
            f"cannot hold out {wanted} images",
            f"the training set of {data.name} has {len(labels)}",
            "held_out = 0.1 under [data] of the recipe, for a tenth of them",
        )
    kept, held_out = stratified_split(labels, wanted, recipe.data.split_seed)
    if not len(held_out):
        raise DataError(
            "no image to hold out",
            f"no class of {data.name} has more than one training image",
            "add images: training needs about 20 per class",
        )
    return kept, held_out


def _require_every_class(recipe: Recipe, counts: ClassCounts) -> None:
    empty = [name for name, count in zip(counts.names, counts.training, strict=True) if not count]
    if empty:
        limit = recipe.data.limit
        raise DataError(
            "a class without training images",
            f"{_some(empty)}, of {len(counts.names)} classes",
            f"raise [data] limit = {limit}" if limit and limit < len(counts.names) else "add images, or leave it out",
        )


def _some(names: list[str], most: int = _NAMED) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
