"""A classifier that somebody else trained, an ONNX file, as the teacher of a run: read, held against the data, asked.

What goes into it is known as for `build --model`: by options, by what the file says of itself, else assumed, and said.
"""

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ofa_edge.data.dataset import Dataset, Images
from ofa_edge.data.preprocess import Pixels, Preprocessing
from ofa_edge.errors import ConfigError, DataError, UsageError
from ofa_edge.export.onnx.given import Given, read_given
from ofa_edge.metrics import argmax, balanced_accuracy, confusion, mcnemar_p, top1, wilson95
from ofa_edge.schema import changed
from ofa_edge.training.recipe import Recipe, TeacherRecipe
from ofa_edge.training.teacher import Teacher
from ofa_edge.workflows.build.base import ModelOptions
from ofa_edge.workflows.build.model_interface import interface_of
from ofa_edge.workflows.build.model_metadata import said_labels

CHECKED = 200  # training images, and test images, that a teacher has to answer before it is believed
_CHANCE = 0.01  # a teacher that guesses is taken for one that knows this often at most
_OTHER_ORDER = 0.001  # and one in the right order for one that is not; less, since the best of all orders is looked at
_NAMED = 5


def given_teacher(file: str | Path | None, **values: Any) -> ModelOptions | None:
    """What was said of a teacher's file; None where there is none. Raises ConfigError for half of it."""
    if file is not None:
        return ModelOptions(Path(file), task="classify", **values)
    for name, value in values.items():
        if value is not None:
            hint = f"--teacher FILE.onnx --teacher-{name} ..."
            raise ConfigError(f"--teacher-{name} without --teacher", "there is nothing to say of it", hint)
    return None


def taught(recipe: Recipe, options: ModelOptions | None, data: Dataset) -> tuple[Recipe, Teacher | None]:
    """A run's recipe with its teacher, and that; as it was, and None, where none is given. Raises as `read_teacher`."""
    if options is None:
        return recipe, None
    teacher = read_teacher(options, data.train, data.test, data.class_names, recipe.teacher)
    return changed(recipe, teacher=teacher.recipe), teacher


def read_teacher(
    options: ModelOptions, train: Images, test: Images, classes: Sequence[str], recipe: TeacherRecipe | None = None
) -> Teacher:
    """Read a teacher and hold it against the data: its images, its classes, and what it says of `CHECKED` images.

    Args:
        options: its file, and what that does not say of itself.
        train: images that will be trained on.
        test: for its accuracy, beside that on training images, which it may have been trained on.
        classes: of the run, by number.
        recipe: how it counts.

    Raises:
        ModelFileError: no ONNX file, or ONNX Runtime cannot run it.
        ConfigError: no classifier of one image, or of other images or classes.
        DataError: it knows no more of the training images than a guess.
    """
    name = options.file.name
    try:
        given = read_given(options.file, options.shape)
        _require_classifier(given, int(train.pixels.shape[3]))
        known = interface_of(given, options, None)
        outputs, assumed = _outputs(given, options, classes)
    except UsageError as error:
        raise type(error)(*map(_of_teacher, (error.what, error.why, error.hint))) from error
    reading = known.interface.inputs[0].preprocessing
    assert reading is not None
    ask = _asked(given, reading, outputs)
    train = train.sample(CHECKED)
    shown = ask(train.pixels)
    _require_numbers(name, shown)
    _require_knowledge(name, argmax(shown), train.labels, classes, guessed=bool(assumed))
    if _are_shares(shown):
        ask, assumed = _logs(ask), (*assumed, "its outputs are probabilities: their logarithms are taken for logits")
    test = test.sample(CHECKED)
    found = {"training": _measured(shown, train), "test": _measured(ask(test.pixels), test)}
    settled = changed(
        recipe or TeacherRecipe(),
        file=name,
        sha256=given.digest,
        shape=tuple(given.first.given_shape),
        mean=reading.mean,
        std=reading.std,
        outputs=outputs,
    )
    words = (each for each in known.assumed if "its classes have no names" not in each)
    notes = [f"teacher {name}: {_of_teacher(each)}" for each in (*words, *assumed)]
    notes += [
        f"teacher {name}: top-1 {100 * part['top1']:.1f} % of {part['images']} {which} images"
        for which, part in found.items()
    ]
    return Teacher(settled, ask, {**found, "assumed": list(notes[: -len(found)])}, tuple(notes))


def _of_teacher(words: str) -> str:
    """A message about `--model` and its options, about `--teacher` and its own."""
    words = words.replace("--model", "--teacher").replace(", or --task features", "")
    return re.sub(r"--(labels|mean|std|shape)\b", r"--teacher-\1", words)


def _require_classifier(given: Given, channels: int) -> None:
    name = given.path.name
    if len(given.outputs) > 1:
        outputs = ", ".join(f"'{each}' {list(shape)}" for each, shape in zip(given.outputs, given.output_shapes))  # noqa: B905 - of one length
        raise ConfigError(f"{name} has several outputs", outputs, "export it with its logits alone")
    if not given.takes_images:
        inputs = ", ".join(f"'{each.name}' {list(each.shape)}" for each in given.inputs)
        raise ConfigError(f"{name} does not take one image", inputs, "a teacher is a classifier of images")
    if sum(size > 1 for size in given.output_shapes[0]) != 1:
        shape = list(given.output_shapes[0])
        raise ConfigError(
            f"{name} gives no row of logits", f"'{given.outputs[0]}' {shape}", "a classifier as a teacher"
        )
    if given.shape[1] != channels:
        kinds = {1: "grey", 3: "in colour"}
        raise ConfigError(
            f"{name} takes images of {given.shape[1]} channels",
            f"the run's images are {kinds.get(channels, f'of {channels} channels')}, and it is shown the same ones",
            f"a teacher of images of {channels} channels, or [data] channels = {given.shape[1]} in the recipe",
        )


def _outputs(given: Given, options: ModelOptions, classes: Sequence[str]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The number of its output for each class, and what was assumed for it."""
    name, count = given.path.name, max(given.output_shapes[0])
    labels = said_labels(given, options, count)
    if labels is None:
        if count != len(classes):
            raise ConfigError(
                f"{name} has {count} outputs, the data have {len(classes)} classes",
                f"{_some(classes)}; the file does not name its own",
                "a teacher of these very classes; --labels FILE with a class a line says which output is which",
            )
        return tuple(range(count)), (f"its outputs are taken for {_some(classes)}, in this order; else --labels FILE",)
    strange, missing = (
        [each for each in labels if each not in classes],
        [each for each in classes if each not in labels],
    )
    if strange or missing:
        parts = ((missing, "it does not know"), (strange, "the data do not have"))
        raise ConfigError(
            f"{name} knows other classes than the data have",
            "; ".join(f"{words} {_some(found)}" for found, words in parts if found),
            "a teacher of these very classes; --labels FILE, a class a line in the order of its outputs, renames them",
        )
    return tuple(labels.index(each) for each in classes), ()


def _asked(given: Given, reading: Preprocessing, outputs: Sequence[int]) -> Callable[[Pixels], NDArray[np.float32]]:
    """Images to logits in the order of the data's classes; one at a time, so that none depends on its neighbours."""
    opened = given.opened()

    def ask(pixels: Pixels) -> NDArray[np.float32]:
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            rows = list(pool.map(opened, reading.apply(pixels)))
        return np.ascontiguousarray(np.concatenate(rows)[:, list(outputs)])

    return ask


def _are_shares(answers: NDArray[np.float32]) -> bool:
    return bool((answers >= 0).all() and np.allclose(answers.sum(axis=1), 1, atol=1e-3))


def _logs(ask: Callable[[Pixels], NDArray[np.float32]]) -> Callable[[Pixels], NDArray[np.float32]]:
    return lambda pixels: np.log(np.maximum(ask(pixels), 1e-7))


def _measured(answers: NDArray[np.float32], images: Images) -> dict[str, Any]:
    right = int((argmax(answers) == images.labels).sum())
    return {
        "images": len(images),
        "top1": round(top1(answers, images.labels), 4),
        "top1_interval95": [round(each, 4) for each in wilson95(right, len(images))],
        "balanced": round(balanced_accuracy(answers, images.labels), 4),
    }


def _require_knowledge(
    name: str, taken: NDArray[np.int64], labels: NDArray[np.int64], classes: Sequence[str], *, guessed: bool
) -> None:
    """Raise DataError for a teacher that guesses, or whose outputs, in an order that nobody named, fit in another one.

    Chance is how often its answers and the labels would agree if they had nothing to do with each other.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.stats import binomtest

    table = confusion(taken, labels, len(classes))[:, :-1]
    count, right = len(labels), int(np.diagonal(table).sum())
    chance = float(table.sum(0) @ table.sum(1)) / count**2
    better = linear_sum_assignment(-table)[1]  # the output that each class would have had
    other = better[labels]
    lost, won = int(((taken == labels) & (taken != other)).sum()), int(((taken != labels) & (taken == other)).sum())
    permuted = mcnemar_p(lost, won) < _OTHER_ORDER and won > lost
    order = f"; {right - lost + won} would be right with the outputs in another order" if permuted else ""
    why = f"{right} of {count} training images are right, {chance * count:.0f} by chance{order}"
    if binomtest(right, count, chance, alternative="greater").pvalue > _CHANCE:
        hint = "the right --mean and --std of its pixels, or --labels FILE in the order of its outputs"
        raise DataError(f"{name} knows no more of these classes than a guess", why, _of_teacher(hint))
    if guessed and permuted:
        raise DataError(
            f"the outputs of {name} are not in the order of the classes' names",
            why,
            _of_teacher("--labels FILE with a class a line, in the order of its outputs"),
        )


def _require_numbers(name: str, answers: NDArray[np.float32]) -> None:
    if not np.isfinite(answers).all():
        what, hint = f"the answers of {name} are no numbers", _of_teacher("--mean and --std as it was trained with")
        raise DataError(what, f"NaN or infinity in those to {len(answers)} training images", hint)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
