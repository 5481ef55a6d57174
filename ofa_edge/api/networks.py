"""Subnets as networks: drawn, cut out, calibrated, evaluated, and in the reference's own words."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ofa_edge.data.dataset import Images
from ofa_edge.metrics import METRICS, Metric
from ofa_edge.space import Space, Subnet
from ofa_edge.supernet.zoo import SupernetPackage

if TYPE_CHECKING:
    from ofa_edge.supernet.network import Supernet
    from ofa_edge.supernet.static import StaticNet


def sample(space: Space, count: int, *, seed: int = 0, resolution: int | None = None) -> list[Subnet]:
    """Random subnets, each choice uniform. Raises ConfigError for a resolution, in pixels, that the space lacks."""
    return [space.subnet(row) for row in space.sample(np.random.default_rng(seed), count, resolution)]


def extract(supernet: "SupernetPackage | Supernet", subnet: Subnet) -> "StaticNet":
    """Copy a subnet's slice of the weights into a network of its own, images [N, C, r, r] -> logits [N, classes].

    It has to be calibrated (`calibrate`) before it is evaluated. A package that holds one network gives that one.

    Args:
        supernet: from `open_supernet`; or what its `load()` gave, which saves reading the weights for every subnet.
        subnet: of its space.

    Raises:
        ConfigError: the subnet is not of this space.
        WeightsError: the package holds another network, and no supernet.
    """
    if not isinstance(supernet, SupernetPackage):
        return supernet.extract(subnet)
    if supernet.weights is not None and subnet == supernet.subnet:
        from ofa_edge.supernet.weights import load_static

        return load_static(supernet.weights)
    return supernet.load().extract(subnet)


def calibrate(net: "StaticNet", package: SupernetPackage, images: Images | None = None) -> "StaticNet":
    """Set a network's batch norm statistics from images, in place, and its own head where it has one; the network.

    Args:
        net: from `extract`.
        package: the supernet that it was cut from.
        images: to go by; the package's calibration images by default.

    Raises:
        DataError: there are no images, or they do not fit the network.
    """
    from ofa_edge.supernet.own_data import calibrate_for

    return calibrate_for(package, net, package.images("calibration") if images is None else images)


def evaluate(
    net: "StaticNet", package: SupernetPackage, images: Images | None = None, *, metric: Metric = "top1"
) -> float:
    """Accuracy of a calibrated network, 0..1.

    Args:
        net: from `calibrate`.
        package: the supernet that it was cut from.
        images: labelled by the package's classes; the package's test images by default.
        metric: `top1`, the share of images that are right, or `balanced`, the mean of that share over classes.

    Raises:
        WeightsError: the network is not calibrated.
        DataError: there are no images, or they do not fit the network.
    """
    from ofa_edge.supernet.evaluate import logits

    found = package.images("test") if images is None else images
    answers = logits(net, found, package.preprocessing(net.subnet.resolution))
    return METRICS[metric](answers, found.labels)


def to_net_config(space: Space, subnet: Subnet) -> dict[str, Any]:
    """A subnet as the reference's `net.config`, in JSON values. The resolution is not part of it.

    Raises:
        UnsupportedError: the reference has no such family.
        ConfigError: the subnet is not of the space.
    """
    from ofa_edge.supernet.importing.written import net_config

    return net_config(space, subnet)


def from_net_config(config: Mapping[str, Any] | str | Path, space: Space, resolution: int | None = None) -> Subnet:
    """Read a subnet from a `net.config` of the reference, or of `to_net_config`.

    Where two width ratios round to one width, the smaller one is taken: the network is the same.

    Args:
        config: its content, or the file.
        space: that the subnet is of.
        resolution: input size in pixels; the space's largest by default.

    Raises:
        ConfigError: the file cannot be read, or the network is not of the space; says how it differs.
    """
    from ofa_edge.supernet.importing.net_config import parse_net_config, read_net_config
    from ofa_edge.supernet.importing.subnets import choose

    read = (
        parse_net_config(dict(config), "net.config") if isinstance(config, Mapping) else read_net_config(Path(config))
    )
    return choose(read, space, (), resolution or space.resolutions[-1]).subnet
