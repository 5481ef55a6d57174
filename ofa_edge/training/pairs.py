"""(subnet, measured accuracy) pairs, which predictors are fitted to: measured one by one, kept as they come."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ofa_edge.data.dataset import Images
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.errors import ConfigError, DataError, SpaceMismatchError
from ofa_edge.files import LARGEST_MODEL, parse_json, read_regular, sha256_bytes, write_json
from ofa_edge.metrics import METRICS, Metric
from ofa_edge.space import Space, Subnet
from ofa_edge.supernet.evaluate import subnet_logits
from ofa_edge.supernet.network import Supernet

_CORNER_SIZES = 8  # resolutions whose largest and smallest subnets are in every sample


@dataclass(frozen=True)
class Examined:
    """A supernet, the images that its subnets are calibrated on, and those that they answer."""

    supernet: Supernet
    calibration: Images
    images: Images


@dataclass(frozen=True)
class Pair:
    """A subnet and its top-1, 0..1; its balanced accuracy where pairs are measured by that."""

    subnet: Subnet
    top1: float


def sample_subnets(space: Space, count: int, seed: int) -> list[Subnet]:
    """`count` distinct subnets: the largest and the smallest at each resolution, then random ones at random sizes.

    Of many resolutions those are taken from a few, evenly spread; a larger sample begins with a smaller one.
    """
    total = space.count * len(space.resolutions)
    if count > total:
        raise ConfigError("more pairs than subnets", f"{count} of a space of {total}", f"--pairs {total}")
    last = len(space.resolutions) - 1
    places = np.linspace(0, last, min(last + 1, _CORNER_SIZES)).round().astype(int).tolist()
    sizes = [space.resolutions[place] for place in places]
    corners = [corner for r in sizes for corner in (space.largest(r), space.smallest(r))]
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
    metric: Metric = "top1",
) -> list[Pair]:
    """`measure_examined` of one supernet."""
    return measure_examined([Examined(supernet, calibration, images)], subnets, preprocessing, file, on_pair, metric)


def measure_examined(
    examined: Sequence[Examined],
    subnets: Sequence[Subnet],
    preprocessing: Preprocessing,
    file: Path,
    on_pair: Callable[[int, int], None] = lambda done, total: None,
    metric: Metric = "top1",
) -> list[Pair]:
    """Measure each subnet after calibration, by `metric` over the images of all supernets, which are of one space.

    What `file` already holds is not measured again where the same weights and images stood behind it, and the metric.
    A file that does not say what did is replaced, if it is of this space.
    """
    space = examined[0].supernet.space
    images = sum(len(each.images) for each in examined)
    source, known = _digest_of(examined), {}
    if file.exists() and (found := _source(file))[0] in (None, source):
        pairs = read_pairs(file, space)
        known = {pair.subnet: pair for pair in pairs} if found == (source, metric) else {}
    for done, subnet in enumerate(subnets, start=1):
        if subnet not in known:
            # Rounded here, as in the file, so that a resumed run fits the same predictor to the byte.
            accuracy = round(measure(examined, subnet, preprocessing, metric), 6)
            known[subnet] = Pair(subnet, accuracy)
            if done % 10 == 0 or done == len(subnets):
                write_pairs(file, space, list(known.values()), images, source, metric)
        on_pair(done, len(subnets))
    return [known[subnet] for subnet in subnets]


def measure(examined: Sequence[Examined], subnet: Subnet, preprocessing: Preprocessing, metric: Metric) -> float:
    """A subnet's accuracy, 0..1, over the images of all supernets."""
    answers = [subnet_logits(each.supernet, subnet, each.calibration, each.images, preprocessing) for each in examined]
    return METRICS[metric](np.concatenate(answers), np.concatenate([each.images.labels for each in examined]))


def _digest_of(examined: Sequence[Examined]) -> str:
    """What pairs are measured on; of one supernet as `measured_on` says it."""
    digests = [measured_on(each.supernet, each.calibration, each.images) for each in examined]
    return digests[0] if len(digests) == 1 else sha256_bytes(" ".join(digests).encode())


def measured_on(supernet: Supernet, calibration: Images, images: Images) -> str:
    """Digest of the weights, the calibration images and the images behind measured accuracies."""
    digest = hashlib.sha256(f"{calibration.digest} {images.digest}".encode())
    for value in supernet.state_dict().values():
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def write_pairs(
    file: Path,
    space: Space,
    pairs: Sequence[Pair],
    images: int,
    source: str | None = None,
    metric: Metric = "top1",
) -> None:
    """Write pairs as JSON with the space's hash, how many images stand behind each, and which (`measured_on`)."""
    rows = [{**pair.subnet.config(), metric: pair.top1} for pair in pairs]
    facts = {"space_hash": space.hash, "images": images, "measured_on": source, "metric": metric}
    write_json(file, {**facts, "pairs": rows})


def _source(file: Path) -> tuple[str | None, str]:
    """What a file of pairs was measured on (None: it does not say), and by which metric."""
    try:
        value = parse_json(read_regular(file, LARGEST_MODEL))
        return value.get("measured_on"), value.get("metric", "top1")
    except (OSError, ValueError, AttributeError):
        return None, "top1"  # it cannot be read: `read_pairs` says why


def read_pairs(file: Path, space: Space) -> list[Pair]:
    """Inverse of `write_pairs`. Raises DataError or SpaceMismatchError."""
    try:
        value = parse_json(read_regular(file, LARGEST_MODEL))
        hash_, rows, metric = value["space_hash"], value["pairs"], value.get("metric", "top1")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError("damaged pairs", f"{file}: {error}", "remove the file to measure again") from error
    if hash_ != space.hash:
        raise SpaceMismatchError(
            "pairs of another search space",
            f"{file}: {str(hash_)[:12]}, wanted {space.hash[:12]}",
            "remove the file to measure again",
        )
    if not isinstance(metric, str) or metric not in METRICS or not isinstance(rows, list):
        raise DataError("damaged pairs", f"{file}: metric = {metric!r:.40}", "remove the file to measure again")
    return [_pair(row, metric, space, file) for row in rows]


def _pair(row: Any, metric: str, space: Space, file: Path) -> Pair:
    score: Any = row.get(metric) if isinstance(row, dict) else None
    if type(score) not in (int, float) or not 0 <= score <= 1:
        raise DataError(
            "damaged pairs",
            f"{file}: {metric} = {score!r:.40}, a share of 1 is wanted",
            "remove the file to measure again",
        )
    return Pair(space.from_config(row), float(score))
