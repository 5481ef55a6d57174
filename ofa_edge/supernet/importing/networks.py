"""Specialised networks, a net.config and its weights, as static networks of ours."""

from collections.abc import Iterable
from dataclasses import dataclass

from ofa_edge.space import Space
from ofa_edge.supernet.importing.matching import Match, fill, match, require
from ofa_edge.supernet.importing.net_config import NetConfig
from ofa_edge.supernet.importing.reading import Checkpoint
from ofa_edge.supernet.importing.subnets import place, static_layout
from ofa_edge.supernet.normalise import BatchNorm
from ofa_edge.supernet.static import StaticNet


@dataclass(frozen=True)
class ImportedNetwork:
    """A static network made of a net.config and a checkpoint.

    Attributes:
        net: in eval mode, marked as calibrated: a specialised network's batch norm statistics are its own.
        match: how the file's keys were spelled.
        notes: what was left out, filled in or rewritten, in words.
    """

    net: StaticNet
    match: Match
    notes: tuple[str, ...]


def import_network(
    checkpoint: Checkpoint, config: NetConfig, image_size: int, spaces: Iterable[Space]
) -> ImportedNetwork:
    """Make a static network of a specialised one.

    Raises:
        ConfigError: the network is of none of the spaces.
        WeightsError: the weights are not those of the configuration.
    """
    placed = place(config, image_size, spaces)
    found = match(checkpoint.tensors, static_layout(placed.space, placed.subnet))
    require(found, "the net.config beside them", checkpoint.name)  # before anything is allocated
    net = StaticNet(placed.space, placed.subnet)
    fill(net, found, checkpoint.name)
    moved = _move_eps(net, config.bn.eps) if config.bn else ()
    net.calibrated = True
    return ImportedNetwork(net.eval(), found, (*checkpoint.notes, *placed.notes, *found.notes, *moved))


def _move_eps(net: StaticNet, eps: float) -> tuple[str, ...]:
    """Batch norm divides by sqrt(var + eps): another eps is taken up by the variance, exactly."""
    moved = 0
    for module in net.modules():
        if isinstance(module, BatchNorm) and module.eps != eps:
            assert module.running_var is not None
            module.running_var += eps - module.eps
            moved += 1
    if not moved:
        return ()
    return (f"batch norm's eps is {eps:g} in the net.config: the running variances of {moved} layers took it up",)
