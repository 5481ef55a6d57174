"""The networks that are compared, and the files that every tool starts from."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ofa_edge import cost
from ofa_edge.files import canonical_json, sha256_bytes, sha256_file, write_bytes, write_json
from ofa_edge.space import Space, Subnet
from ofa_edge.supernet.evaluate import extract_calibrated, logits
from ofa_edge.supernet.weights import save_static
from ofa_edge.supernet.zoo import DEFAULT, SupernetPackage, open_supernet
from ofa_edge.workflows.build.images import BuildData, package_data, synthetic_data

SEED = 0
RANDOM = {"any kernels": 7, "3x3 and 5x5 only": 3}  # the second kind shows what the rewrites do where they need not
STATIC, INPUTS, CALIBRATION, LABELS, REFERENCE, FACTS = (
    "static.safetensors",
    "test.npy",
    "calibration.npy",
    "labels.npy",
    "reference.npy",
    "facts.json",
)


@dataclass(frozen=True)
class Group:
    """A supernet whose subnets are compared.

    Attributes:
        name: in files and in the page.
        supernet: as `open_supernet` takes it.
        resolution: of every subnet; None: each has its own.
    """

    name: str
    supernet: str
    resolution: int | None

    def package(self) -> SupernetPackage:
        """The supernet; untrained where it is a published one."""
        return open_supernet(self.supernet, untrained=self.supernet != DEFAULT)


GROUPS = (Group("w1.0", "ofa_mbv3_d234_e346_k357_w1.0", 224), Group("default", DEFAULT, None))


@dataclass(frozen=True)
class Network:
    """One subnet.

    Attributes:
        group: its supernet.
        role: "smallest", "largest" or "random-N".
        rank: place within the group; smallest and largest come first, then random ones of both kinds in turn.
    """

    group: Group
    role: str
    rank: int
    subnet: Subnet

    @property
    def key(self) -> str:
        """Its name in files."""
        return f"{self.group.name}-{self.role}"


def networks(group: Group, limit: int | None = None) -> list[Network]:
    """The group's subnets, at most `limit` of them: smallest, largest, random ones from a fixed seed."""
    space = group.package().space
    rng = np.random.default_rng(SEED)
    narrow = space.restricted(kernels=tuple(kernel for kernel in space.kernels if kernel < 7))
    free, small = (
        [part.subnet(row) for row in part.sample(rng, count, group.resolution)]
        for part, count in zip((space, narrow), RANDOM.values(), strict=True)
    )
    mixed = [subnet for pair in zip(free, small, strict=False) for subnet in pair] + free[len(small) :]
    resolution = group.resolution or space.resolutions[0]
    chosen = {"smallest": space.smallest(resolution), "largest": space.largest(group.resolution)}
    chosen |= {f"random-{number}": subnet for number, subnet in enumerate(mixed, start=1)}
    return [Network(group, role, rank, subnet) for rank, (role, subnet) in enumerate(chosen.items())][:limit]


def prepare(network: Network, folder: Path) -> None:
    """Write what every tool starts from: the network, images normalised [N, C, H, W], torch's answers, facts.

    Returns at once where that was done before, from the same weights.
    """
    package = network.group.package()
    digest = _digest(network, package)
    if (folder / FACTS).is_file() and read_facts(folder)["digest"] == digest:
        return
    data = package_data(package) if package.trained else synthetic_data(package)
    preprocessing = package.preprocessing(network.subnet.resolution)
    net = extract_calibrated(package.load(), network.subnet, data.calibration, preprocessing)
    save_static(folder / STATIC, net)
    _save(folder / INPUTS, preprocessing.apply(data.test.pixels))
    _save(folder / CALIBRATION, preprocessing.apply(data.calibration.pixels))
    _save(folder / LABELS, data.test.labels)
    _save(folder / REFERENCE, logits(net, data.test, preprocessing))
    write_json(folder / FACTS, {**_facts(package.space, network, package, data), "digest": digest})


def read_facts(folder: Path) -> dict[str, Any]:
    """What `prepare` wrote about a network."""
    facts: dict[str, Any] = json.loads((folder / FACTS).read_bytes())
    return facts


def _digest(network: Network, package: SupernetPackage) -> str:
    weights = sha256_file(package.weights) if package.weights else "seed 0"
    return sha256_bytes(canonical_json([package.space.hash, network.subnet.config(), weights]))


def _facts(space: Space, network: Network, package: SupernetPackage, data: BuildData) -> dict[str, Any]:
    subnet = network.subnet
    depthwise = [op for op in cost.operators(space, subnet) if op.kind == "depthwise"]
    macs = cost.macs(space, subnet)
    return {
        "group": network.group.name,
        "role": network.role,
        "rank": network.rank,
        "subnet": subnet.config(),
        "trained": package.trained,
        "images": data.source,
        "calibration_images": len(data.calibration),
        "labelled": data.labelled,
        "classes": space.num_classes,
        "macs": macs,
        "depthwise": len(depthwise),
        "depthwise_7x7": sum(op.kernel == 7 for op in depthwise),
        "macs_7x7": sum(op.macs for op in depthwise if op.kernel == 7) / macs,
    }


def _save(path: Path, array: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_bytes(path, buffer.getvalue())
