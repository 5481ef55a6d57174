"""(subnet, measured accuracy) pairs, which predictors are fitted to: measured one by one, kept as they come."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ofa_edge.data.dataset import Images
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.errors import SpaceMismatchError
from ofa_edge.files import write_json
from ofa_edge.space import Space, Subnet
from ofa_edge.supernet.evaluate import measure_top1
from ofa_edge.supernet.network import Supernet


@dataclass(frozen=True)
class Pair:
    """A subnet and its top-1, 0..1."""

    subnet: Subnet
    top1: float


def sample_subnets(space: Space, count: int, seed: int) -> list[Subnet]:
    """`count` distinct subnets: the largest and the smallest at each resolution, then random ones at random sizes."""
    corners = [corner for r in space.resolutions for corner in (space.largest(r), space.smallest(r))]
    rng = np.random.default_rng(seed)
    chosen = dict.fromkeys(corners[:count])
    while len(chosen) < count:
        chosen.setdefault(space.subnet(space.sample(rng, 1)[0]))
    return list(chosen)


def measure_pairs(
    supernet: Supernet,
    subnets: Sequence[Subnet],
    calibration: Images,
    images: Images,
    preprocessing: Preprocessing,
    file: Path,
    on_pair: Callable[[int, int], None] = lambda done, total: None,
) -> list[Pair]:
    """Measure each subnet after calibration; what `file` already holds is not measured again."""
    known = {pair.subnet: pair for pair in read_pairs(file, supernet.space)} if file.exists() else {}
    for done, subnet in enumerate(subnets, start=1):
        if subnet not in known:
            known[subnet] = Pair(subnet, measure_top1(supernet, subnet, calibration, images, preprocessing))
            if done % 10 == 0 or done == len(subnets):
                write_pairs(file, supernet.space, list(known.values()), len(images))
        on_pair(done, len(subnets))
    return [known[subnet] for subnet in subnets]


def write_pairs(file: Path, space: Space, pairs: Sequence[Pair], images: int) -> None:
    """Write pairs as JSON with the space's hash and how many images stand behind each."""
    rows = [{**pair.subnet.config(), "top1": round(pair.top1, 6)} for pair in pairs]
    write_json(file, {"space_hash": space.hash, "images": images, "pairs": rows})


def read_pairs(file: Path, space: Space) -> list[Pair]:
    """Inverse of `write_pairs`. Raises SpaceMismatchError."""
    value = json.loads(file.read_bytes())
    if value["space_hash"] != space.hash:
        raise SpaceMismatchError(
            "pairs of another search space",
            f"{file}: {value['space_hash'][:12]}, wanted {space.hash[:12]}",
            "remove the file to measure again",
        )
    return [Pair(space.from_config(row), float(row["top1"])) for row in value["pairs"]]
