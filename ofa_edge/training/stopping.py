"""Early stopping: a run is measured at even intervals on images that it does not learn from, and the best is kept.

Each measurement is of a whole state of the run and is written down, so that a killed run comes to the same end.
One process does it all: several would have to wait for the one that measures.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import nn

from ofa_edge.files import atomic_path, require_regular
from ofa_edge.training.noted import damaged, read_noted, write_noted
from ofa_edge.training.run import Progress

CHECKS = 20  # at most, and the state at the start
RECORD, BEST = "checks.json", "best.safetensors"


Net_co = TypeVar("Net_co", bound=nn.Module, covariant=True)


class InStretches(Protocol[Net_co]):
    """A trainer that can be told to stop at a step."""

    folder: Path

    @property
    def step(self) -> int:
        """Steps done."""

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""

    @property
    def state(self) -> Net_co:
        """What is trained."""

    def run(self, on_step: Callable[[Progress], None] = ..., save_every: float = ..., stop_at: int | None = ...) -> Any:
        """Train to a step."""


@dataclass(frozen=True)
class Check:
    """The score of a run after so many steps; the higher the better."""

    step: int
    score: float


def points(start: int, end: int) -> list[int]:
    """Steps to measure after: `start`, and up to `CHECKS` more, evenly spread, to the end."""
    count = min(CHECKS, end - start)
    return [start + (end - start) * number // count for number in range(count + 1)]


def best_of(checks: list[Check]) -> Check:
    """The highest score; of equal ones the last."""
    return max(checks, key=lambda check: (check.score, check.step))


def train_watched(
    trainer: InStretches[Net_co],
    start: int,
    patience: float,
    score: Callable[[Net_co], float],
    on_step: Callable[[Progress], None] = lambda _: None,
) -> list[Check]:
    """Train until nothing has become better for a while; the trained network then is the best of those measured.

    Args:
        trainer: where it stands; resumed already.
        start: step of the first measurement.
        patience: share of the steps behind `start` without a higher score, after which the run ends.
        score: of a state of the network, on images that are not trained on.
        on_step: told of each step.

    Returns:
        All measurements.

    Raises:
        OutputError: what an interrupted call noted is damaged.
    """
    record, best = trainer.folder / RECORD, trainer.folder / BEST
    found = _read(record) if best.is_file() else {}
    checks: list[Check] = []
    for point in points(start, trainer.total_steps):
        if checks and point - best_of(checks).step > patience * (trainer.total_steps - start):
            break
        if point < trainer.step and point not in found:
            continue  # it is past, and nobody wrote its score down
        if point > trainer.step or point not in found:
            trainer.run(on_step, stop_at=point)
            found[point] = score(trainer.state)
            seen = [*checks, Check(point, found[point])]
            if best_of(seen).step == point:
                _save(best, trainer.state)
            write_noted(record, [asdict(check) for check in seen])
        checks.append(Check(point, found[point]))
    trainer.state.load_state_dict(_load(best))
    return checks


def _read(record: Path) -> dict[int, float]:
    """Scores by step; none where there is no record. Raises OutputError where it is damaged."""
    return {each["step"]: each["score"] for each in read_noted(record) or ()}


def _save(path: Path, net: nn.Module) -> None:
    from safetensors.torch import save_file

    with atomic_path(path) as part:
        save_file({key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}, part)


def _load(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        require_regular(path)
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise damaged(path, error) from error


def facts_of(folder: Path, patience: float | None) -> dict[str, Any]:
    """What a run's figures say of its end; nothing where it was not watched."""
    if patience is None:
        return {}
    checks = [Check(step, score) for step, score in _read(folder / RECORD).items()]
    return {
        "stopping": {
            "patience": patience,
            "stopped_after": checks[-1].step,
            "best_after": best_of(checks).step,
            "balanced": {str(check.step): round(check.score, 4) for check in checks},
        }
    }
