"""Few images: all of them are trained on in the end, and each is first answered by a network that did not see it.

How strongly the head is regularised, and how long the network is trained, is what these answers are best at; and they
are as many as there are training images, where a split would leave a few.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.dataset import Images
from ofa_edge.data.sampling import stratified_folds
from ofa_edge.metrics import confusion, recalls, wilson95
from ofa_edge.training.noted import read_noted, write_noted
from ofa_edge.training.run import Progress
from ofa_edge.training.stopping import InStretches

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


Net = TypeVar("Net")


class Procedure(Protocol[Net]):
    """How a network, or a supernet, comes from images, step by step."""

    def headed(self, images: Images, ridge: float) -> Net:
        """It with the best linear head for these images."""

    def trainer(self, net: Net, images: Images, folder: Path) -> InStretches[Any]:
        """What trains it further on them, in place, resumed."""

    def answers(self, net: Net, seen: Images, images: Images) -> NDArray[np.float32]:
        """What it says of images after calibration on those that it has seen, while its training may go on.

        Logits [networks, N, classes]: of a supernet those of several subnets.
        """


def in_folds(images: Images, folds: int, seed: int) -> list[tuple[Images, NDArray[np.int64]]]:
    """For each fold the images of all others, and the rows of its own."""
    place = stratified_folds(images.labels, folds, seed)
    return [(images.take(np.flatnonzero(place != fold)), np.flatnonzero(place == fold)) for fold in range(folds)]


def fold_folder(folder: Path, fold: int) -> Path:
    """Where a fold's training is."""
    return folder / f"fold-{fold}"


def cross_validate(
    procedure: Procedure[Net],
    images: Images,
    folds: int,
    seed: int,
    folder: Path,
    on_step: Callable[[Progress], None],
    shares: Sequence[float] = SHARES,
) -> OutOfFold:
    """Choose the ridge and the length of a run by answers out of fold.

    Args:
        procedure: what is chosen for.
        images: all that may be trained on.
        folds: parts; each is answered by a network trained on the others.
        seed: of the parts.
        folder: for what an interrupted call goes on with.
        on_step: told of each step of every fold.
        shares: of a run's steps, in rising order, after which images are answered.

    Raises:
        OutputError: what an interrupted call noted is damaged.
    """
    parts = in_folds(images, folds, seed)
    taken = []
    for ridge in RIDGES:
        told = [_taken(procedure, procedure.headed(train, ridge), train, images.take(rows)) for train, rows in parts]
        taken.append(_joined(told, parts))
    by_ridge = [_balanced(each, images.labels) for each in taken]
    ridge = RIDGES[int(np.argmax(by_ridge))]
    by_fold = [
        _answered(
            procedure,
            ridge,
            train,
            images.take(rows),
            fold_folder(folder, fold),
            _Told(on_step, f"fold {fold + 1} of {folds}"),
            shares,
        )
        for fold, (train, rows) in enumerate(parts)
    ]
    later = [_joined([each[index] for each in by_fold], parts) for index in range(len(shares))]
    by_share = [_balanced(each, images.labels) for each in later]
    best = len(shares) - 1 - int(np.argmax(by_share[::-1]))  # of equal ones the longest
    chosen = {"ridge": ridge, "share_of_steps": shares[best], "balanced": round(by_share[best], 4)}
    tried = {"ridge": dict(zip(RIDGES, by_ridge, strict=True)), "share": dict(zip(shares, by_share, strict=True))}
    return OutOfFold(ridge, shares[best], _facts(later[best], images.labels, folds, chosen, tried))


@dataclass(frozen=True)
class _Told:
    """Progress of a fold, under its name."""

    on_step: Callable[[Progress], None]
    name: str

    def __call__(self, progress: Progress) -> None:
        self.on_step(replace(progress, phase=self.name))


Taken = NDArray[np.int64]  # the class that each image is taken for by each network [networks, N]


def _taken(procedure: Procedure[Net], net: Net, seen: Images, images: Images) -> Taken:
    return np.asarray(procedure.answers(net, seen, images).argmax(2))


def _answered(
    procedure: Procedure[Net],
    ridge: float,
    train: Images,
    others: Images,
    folder: Path,
    on_step: Callable[[Progress], None],
    shares: Sequence[float],
) -> list[Taken]:
    """What the other images are taken for after each share of the steps."""
    file = folder / _ANSWERS
    known: dict[str, list[list[int]]] = read_noted(file) or {}
    if len(known) < len(shares):
        net = procedure.headed(train, ridge)
        trainer = procedure.trainer(net, train, folder)
        for share in shares:
            step = round(share * trainer.total_steps)
            if str(share) in known and step <= trainer.step:
                continue
            trainer.run(on_step, stop_at=step)
            known[str(share)] = _taken(procedure, net, train, others).tolist()
            write_noted(file, known)
    return [np.array(known[str(share)], np.int64) for share in shares]


def _joined(by_fold: Sequence[Taken], parts: Sequence[tuple[Images, NDArray[np.int64]]]) -> Taken:
    """What all images are taken for, in their order."""
    rows = np.concatenate([rows for _, rows in parts])
    return np.concatenate(by_fold, axis=1)[:, np.argsort(rows)]


def _balanced(taken: Taken, labels: NDArray[np.int64]) -> float:
    """The mean of the networks' balanced accuracies."""
    classes = int(max(labels.max(), taken.max())) + 1
    return float(np.mean([np.nanmean(recalls(confusion(each, labels, classes))) for each in taken]))


def _facts(
    taken: Taken,
    labels: NDArray[np.int64],
    folds: int,
    chosen: dict[str, float],
    tried: dict[str, dict[float, float]],
) -> dict[str, Any]:
    share = float((taken == labels).mean())
    interval = wilson95(round(share * len(labels)), len(labels))  # several networks answer the same images
    return {
        "folds": folds,
        "images": len(labels),
        "networks": len(taken),
        "top1": round(share, 4),
        "top1_interval95": [round(each, 4) for each in interval],
        **chosen,
        **{f"balanced_by_{of}": {str(each): round(score, 4) for each, score in by.items()} for of, by in tried.items()},
        "reading": "each image answered by a network trained without it; the same answers chose ridge and length, "
        "which makes them a little too good",
    }
