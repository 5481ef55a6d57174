"""(subnet, measured accuracy) pairs, which predictors are fitted to: measured one by one, kept as they come."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ofa_edge.data.dataset import Images
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.errors import ConfigError, DataError, SpaceMismatchError
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
    total = space.count * len(space.resolutions)
    if count > total:
        raise ConfigError("more pairs than subnets", f"{count} of a space of {total}", f"--pairs {total}")
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
    """Measure each subnet after calibration.

    What `file` already holds is not measured again where the same weights and images stood behind it. A file that does
    not say what did is replaced, if it is of this space.
    """
    source, known = measured_on(supernet, calibration, images), {}
    if file.exists() and (found := _source(file)) in (None, source):
        pairs = read_pairs(file, supernet.space)
        known = {pair.subnet: pair for pair in pairs} if found == source else {}
    for done, subnet in enumerate(subnets, start=1):
        if subnet not in known:
            # Rounded here, as in the file, so that a resumed run fits the same predictor to the byte.
            top1 = round(measure_top1(supernet, subnet, calibration, images, preprocessing), 6)
            known[subnet] = Pair(subnet, top1)
            if done % 10 == 0 or done == len(subnets):
                write_pairs(file, supernet.space, list(known.values()), len(images), source)
        on_pair(done, len(subnets))
    return [known[subnet] for subnet in subnets]


def measured_on(supernet: Supernet, calibration: Images, images: Images) -> str:
    """Digest of the weights, the calibration images and the images behind measured accuracies."""
    digest = hashlib.sha256(f"{calibration.digest} {images.digest}".encode())
    for value in supernet.state_dict().values():
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def write_pairs(file: Path, space: Space, pairs: Sequence[Pair], images: int, source: str | None = None) -> None:
    """Write pairs as JSON with the space's hash, how many images stand behind each, and which (`measured_on`)."""
    rows = [{**pair.subnet.config(), "top1": pair.top1} for pair in pairs]
    write_json(file, {"space_hash": space.hash, "images": images, "measured_on": source, "pairs": rows})


def _source(file: Path) -> str | None:
    """What a file of pairs was measured on; None where it does not say, or cannot be read (`read_pairs` says why)."""
    try:
        found: str | None = json.loads(file.read_bytes()).get("measured_on")
    except (OSError, ValueError, AttributeError):
        return None
    return found


def read_pairs(file: Path, space: Space) -> list[Pair]:
    """Inverse of `write_pairs`. Raises DataError or SpaceMismatchError."""
    try:
        value = json.loads(file.read_bytes())
        hash_, rows = value["space_hash"], value["pairs"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError("damaged pairs", f"{file}: {error}", "remove the file to measure again") from error
    if hash_ != space.hash:
        raise SpaceMismatchError(
            "pairs of another search space",
            f"{file}: {hash_[:12]}, wanted {space.hash[:12]}",
            "remove the file to measure again",
        )
    return [Pair(space.from_config(row), float(row["top1"])) for row in rows]
