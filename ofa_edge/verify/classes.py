"""What the ladder's ends say of each class: recall before and after conversion, and what is mistaken for what."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ofa_edge.metrics import argmax, confusion, holm, mcnemar_p
from ofa_edge.records.classes import CONFUSED_PAIRS, MATRIX_CLASSES, ClassesRecord, ClassRecord, ConfusedPair, Split
from ofa_edge.records.scores import ScoresByClass
from ofa_edge.verify.ladder import Answers
from ofa_edge.verify.scoring import Scorer

SIGNIFICANT = 0.05  # of Holm's adjusted p


def classes_record(
    names: Sequence[str], start: Answers, artifact: Answers, labels: Mapping[Split, NDArray[np.int64]] | None
) -> ClassesRecord | None:
    """Both ends of a ladder, class by class; None without labels.

    Args:
        names: of all classes, by number.
        start: the first rung's answers to the test images.
        artifact: the last rung's answers to the same.
        labels: class numbers of each set's images; the test set's in the order of the answers.
    """
    if labels is None:
        return None
    truth = labels["test"]
    count = len(names)
    before, after = argmax(start.logits) == truth, argmax(artifact.logits) == truth
    table = confusion(argmax(artifact.logits), truth, count)
    images = {split: np.bincount(numbers, minlength=count) for split, numbers in labels.items()}
    lost, won = (np.bincount(truth[which], minlength=count) for which in (before & ~after, after & ~before))
    worse = _worse(images["test"], lost, won)
    return ClassesRecord(
        start=start.name,
        artifact=artifact.name,
        classes=tuple(
            ClassRecord(
                name=name,
                calibration=int(images["calibration"][number]),
                validation=int(images["validation"][number]),
                test=int(images["test"][number]),
                right_before=int((before & (truth == number)).sum()),
                right=int(table[number, number]),
                lost=int(lost[number]),
                won=int(won[number]),
                no_answer=int(table[number, count]),
                worse=bool(worse[number]),
            )
            for number, name in enumerate(names)
        ),
        matrix=tuple(tuple(map(int, row[:count])) for row in table) if count <= MATRIX_CLASSES else None,
        pairs=() if count <= MATRIX_CLASSES else _pairs(table[:, :count]),
    )


def by_class(scorer: Scorer, start: Answers, artifact: Answers) -> ScoresByClass | None:
    """Both ends of a ladder, class by class, of a detector or a segmenter; None of a classifier."""
    found = scorer.by_class(start.logits, artifact.logits)
    if scorer.metric == "top-1" or not any(item.truth for item in found):
        return None
    unit: Literal["objects", "pixels"] = "objects" if scorer.metric == "mAP" else "pixels"
    return ScoresByClass(metric=scorer.metric, unit=unit, start=start.name, artifact=artifact.name, classes=found)


def _worse(images: NDArray[np.int64], lost: NDArray[np.int64], won: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which classes lose more than chance explains, all classes with images taken together."""
    shown = np.flatnonzero(images)
    adjusted = np.ones(len(images))
    adjusted[shown] = holm(np.array([mcnemar_p(int(lost[number]), int(won[number])) for number in shown]))
    return (adjusted < SIGNIFICANT) & (lost > won)


def _pairs(table: NDArray[np.int64]) -> tuple[ConfusedPair, ...]:
    wrong = table.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:CONFUSED_PAIRS]
    rows, columns = np.unravel_index(order, wrong.shape)
    return tuple(
        ConfusedPair(true=int(true), answered=int(answered), images=int(wrong[true, answered]))
        for true, answered in zip(rows, columns, strict=True)
        if wrong[true, answered]
    )
