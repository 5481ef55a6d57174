"""How good both ends of what a training phase made elastic are, written down after each phase."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ofa_edge.data.dataset import Images
from ofa_edge.files import parse_json, read_regular, write_json
from ofa_edge.metrics import METRICS
from ofa_edge.space import Space, Subnet
from ofa_edge.supernet.evaluate import subnet_logits
from ofa_edge.supernet.network import Supernet
from ofa_edge.training.plan import PhasePlan
from ofa_edge.training.recipe import Recipe


class PhaseLog:
    """Records, after each phase, the accuracy of both ends of what was elastic in it, on held-out images."""

    def __init__(self, file: Path, recipe: Recipe, calibration: Images, held_out: Images) -> None:
        self.file, self.recipe, self.calibration, self.held_out = file, recipe, calibration, held_out

    def __call__(self, part: PhasePlan, supernet: Supernet) -> None:
        """Measure both ends and write them down."""
        records = _records(self.file)
        resolution = max(part.resolutions())
        preprocessing = self.recipe.preprocessing(resolution)
        record: dict[str, Any] = {"phase": part.phase.name, "step": part.end, "resolution": resolution}
        for name, pick in ends(part.space):
            answers = subnet_logits(supernet, pick(resolution), self.calibration, self.held_out, preprocessing)
            for metric, score in METRICS.items():
                record.setdefault(metric, {})[name] = round(score(answers, self.held_out.labels), 4)
        kept = [other for other in records if other["step"] < part.end]
        write_json(self.file, [*kept, {**record, "images": len(self.held_out)}])


def _records(file: Path) -> list[dict[str, Any]]:
    """What earlier phases left; one that is damaged is laid aside for whoever wants to look."""
    try:
        records: list[dict[str, Any]] = parse_json(read_regular(file))
        known = all(isinstance(each["step"], int) for each in records)
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError):
        known = False
    if not known:
        file.replace(file.with_name(f"{file.name}.damaged"))
        return []
    return records


def ends(space: Space) -> tuple[tuple[str, Callable[[int], Subnet]], ...]:
    """The names of both ends of a space, and what gives them at an input size."""
    return (("largest", space.largest), ("smallest", space.smallest))
