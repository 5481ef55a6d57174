"""A subnet from whatever a user names it by."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ofa_edge.errors import ConfigError
from ofa_edge.files import parse_json, read_regular
from ofa_edge.space import Space, Subnet

HINT = "largest, smallest, JSON or a file of it (ks, e and d, or a net.config), or the folder of a build"


def read_subnet(text: str, space: Space, resolution: int | None = None) -> Subnet:
    """A subnet of `space`.

    Args:
        text: `largest`, `smallest`; a configuration as JSON, or a file of it: ours, one of the reference's or its
            net.config; or the folder or manifest of a build.
        space: the supernet's.
        resolution: input size; by default the configuration's, or the space's largest.

    Raises:
        ConfigError: it cannot be read, or is not of the space.
    """
    if text in ("largest", "smallest"):
        size = resolution or space.resolutions[-1]
        return space.largest(size) if text == "largest" else space.smallest(size)
    given = text.lstrip().startswith("{")
    where = "the given JSON" if given else text
    try:
        path = Path(text)
        value = parse_json(text if given else read_regular(path / "manifest.json" if path.is_dir() else path))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError("not a subnet", f"{where[:80]}: {error}", HINT) from error
    if not isinstance(value, Mapping):
        raise ConfigError("not a subnet", f"{where[:80]}: a list or a number, wanted keys and values", HINT)
    return subnet_of(value, space, where, resolution)


def subnet_of(value: Mapping[str, Any], space: Space, where: str, resolution: int | None = None) -> Subnet:
    """A subnet from parsed JSON: a configuration, a net.config, or what holds one under `subnet`.

    Raises:
        ConfigError: see `read_subnet`.
    """
    record = value.get("subnet", value)
    if record is None:
        raise ConfigError(
            "a build from a file has no subnet",
            f"{where}: its network is not of a search space",
            "--subnet with the folder of a build from this supernet",
        )
    if isinstance(record, Mapping) and "stages" in record:
        subnet = space.check(_recorded(record, where))
    elif isinstance(record, Mapping) and "classifier" in record:
        from ofa_edge.supernet.importing.net_config import parse_net_config
        from ofa_edge.supernet.importing.subnets import choose

        return choose(parse_net_config(record, where), space, (), resolution or space.resolutions[-1]).subnet
    else:
        subnet = space.from_config(record)
    return space.check(subnet.at(resolution)) if resolution else subnet


def _recorded(record: Mapping[str, Any], where: str) -> Subnet:
    """As manifests have it."""
    try:
        stages = tuple(tuple((int(kernel), expand) for kernel, expand in stage) for stage in record["stages"])
        return Subnet(stages, int(record["resolution"]), tuple(record.get("widths", ())))
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError("not a subnet", f"{where}: {type(error).__name__}: {error}", HINT) from error
