"""Few images: all of them are trained on in the end, and each is first answered by a network that did not see it.

How strongly the head is regularised, and how long the network is trained, is what these answers are best at; and they
are as many as there are training images, where a split would leave a few.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.dataset import Images
from ofa_edge.data.sampling import stratified_folds
from ofa_edge.files import parse_json, write_json
from ofa_edge.metrics import confusion, recalls, wilson95
from ofa_edge.supernet.static import StaticNet
from ofa_edge.training.run import Progress
from ofa_edge.training.single import SingleTrainer

FOLDS = 4
RIDGES = (0.01, 0.1, 1.0, 10.0)
SHARES = tuple(number / 10 for number in range(11))  # of a run's steps, after which images are answered
_ANSWERS = "answers.json"


@dataclass(frozen=True)
class OutOfFold:
    """What cross-validation found.

    Attributes:
        ridge: of the head.
        share: of the steps.
        facts: for the record, as JSON values.
    """

    ridge: float
    share: float
    facts: dict[str, Any]


class Procedure(Protocol):
    """How a network comes from images, step by step."""

    def headed(self, images: Images, ridge: float) -> StaticNet:
        """A network with the best linear head for these images."""

    def trainer(self, net: StaticNet, images: Images, folder: Path) -> SingleTrainer:
        """What trains it further on them, resumed."""

    def answers(self, net: StaticNet, seen: Images, images: Images) -> NDArray[np.float32]:
        """What it says of images after calibration on those that it has seen, while its training may go on: logits."""


def cross_validate(
    procedure: Procedure, images: Images, folds: int, seed: int, folder: Path, on_step: Callable[[Progress], None]
) -> OutOfFold:
    """Choose the ridge and the length of a run by answers out of fold.

    Args:
        procedure: what is chosen for.
        images: all that may be trained on.
        folds: parts; each is answered by a network trained on the others.
        seed: of the parts.
        folder: for what an interrupted call goes on with.
        on_step: told of each step of every fold.
    """
    place = stratified_folds(images.labels, folds, seed)
    parts = [(images.take(np.flatnonzero(place != fold)), np.flatnonzero(place == fold)) for fold in range(folds)]
    taken = np.full((len(RIDGES), len(images)), -1)
    for train, rows in parts:
        for index, ridge in enumerate(RIDGES):
            net = procedure.headed(train, ridge)
            taken[index, rows] = procedure.answers(net, train, images.take(rows)).argmax(1)
    by_ridge = [_balanced(each, images.labels) for each in taken]
    ridge = RIDGES[int(np.argmax(by_ridge))]
    later = np.full((len(SHARES), len(images)), -1)
    for fold, (train, rows) in enumerate(parts):
        told = _Told(on_step, f"fold {fold + 1} of {folds}")
        later[:, rows] = _answered(procedure, ridge, train, images.take(rows), folder / f"fold-{fold}", told)
    by_share = [_balanced(each, images.labels) for each in later]
    best = len(SHARES) - 1 - int(np.argmax(by_share[::-1]))  # of equal ones the longest
    return OutOfFold(ridge, SHARES[best], _facts(later[best], images.labels, folds, ridge, by_ridge, by_share, best))


@dataclass(frozen=True)
class _Told:
    """Progress of a fold, under its name."""

    on_step: Callable[[Progress], None]
    name: str

    def __call__(self, progress: Progress) -> None:
        self.on_step(replace(progress, phase=self.name))


def _answered(
    procedure: Procedure, ridge: float, train: Images, others: Images, folder: Path, on_step: Callable[[Progress], None]
) -> NDArray[np.int64]:
    """The class that each of the other images is taken for after each share of the steps [shares, N]."""
    file = folder / _ANSWERS
    known: dict[str, list[int]] = parse_json(file.read_bytes()) if file.is_file() else {}
    if len(known) < len(SHARES):
        trainer = procedure.trainer(procedure.headed(train, ridge), train, folder)
        for share in SHARES:
            step = round(share * trainer.total_steps)
            if str(share) in known and step <= trainer.step:
                continue
            trainer.run(on_step, stop_at=step)
            known[str(share)] = procedure.answers(trainer.net, train, others).argmax(1).tolist()
            write_json(file, known)
    return np.array([known[str(share)] for share in SHARES], np.int64)


def _balanced(taken: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    return float(np.nanmean(recalls(confusion(taken, labels, int(max(labels.max(), taken.max())) + 1))))


def _facts(
    taken: NDArray[np.int64],
    labels: NDArray[np.int64],
    folds: int,
    ridge: float,
    by_ridge: list[float],
    by_share: list[float],
    best: int,
) -> dict[str, Any]:
    right = int((taken == labels).sum())
    return {
        "folds": folds,
        "images": len(labels),
        "top1": round(right / len(labels), 4),
        "top1_interval95": [round(each, 4) for each in wilson95(right, len(labels))],
        "balanced": round(by_share[best], 4),
        "ridge": ridge,
        "share_of_steps": SHARES[best],
        "balanced_by_ridge": {str(each): round(score, 4) for each, score in zip(RIDGES, by_ridge, strict=True)},
        "balanced_by_share": {str(each): round(score, 4) for each, score in zip(SHARES, by_share, strict=True)},
        "reading": "each image answered by a network trained without it; the same answers chose ridge and length, "
        "which makes them a little too good",
    }
