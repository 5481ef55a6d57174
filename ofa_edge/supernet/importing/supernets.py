"""Checkpoints of supernets and of static full networks as supernets of ours; the space is found by shapes."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from ofa_edge.errors import WeightsError
from ofa_edge.space import Space
from ofa_edge.supernet.importing.matching import MATRIX, Match, Shapes, fill, match, require, shapes_of
from ofa_edge.supernet.importing.reading import Checkpoint, read_checkpoint
from ofa_edge.supernet.network import Supernet

Kind = Literal["supernet", "static full network"]


@dataclass(frozen=True)
class ImportedSupernet:
    """A supernet made of a checkpoint.

    Attributes:
        net: in eval mode.
        kind: what the file held: all of a supernet, or its largest network only.
        match: how the file's keys were spelled.
        notes: what was left out or filled in, in words.
    """

    net: Supernet
    kind: Kind
    match: Match
    notes: tuple[str, ...]


def load_checkpoint(path: Path, space: Space) -> Supernet:
    """Read a checkpoint of the reference into a supernet of exactly this space. Raises WeightsError."""
    return import_supernet(read_checkpoint(path), [space], free=False).net


def import_supernet(checkpoint: Checkpoint, spaces: Iterable[Space], *, free: bool = True) -> ImportedSupernet:
    """Make a supernet of a checkpoint, of the first space whose layout it has in full.

    Args:
        checkpoint: the file's tensors.
        spaces: candidates.
        free: take the number of input channels and of classes from the file; else they are the space's.

    Raises:
        WeightsError: it fits none; what is missing, left over or misshapen is said for the nearest.
    """
    nearest: tuple[Space, Match] | None = None
    for candidate in spaces:
        space, layout = candidate, supernet_layout(candidate)
        found = match(checkpoint.tensors, layout)
        if free:
            space = with_ends_of(candidate, found.tensors, layout)
            if space != candidate:
                layout = supernet_layout(space)
                found = match(checkpoint.tensors, layout)
        if nearest is None or found.faults < nearest[1].faults:
            nearest = space, found
        if not found.faults:
            break
    if nearest is None:
        raise ValueError("no candidate spaces")
    space, found = nearest
    _refuse_subnets(checkpoint, found)
    require(found, f"supernet '{space.name}'", checkpoint.name)  # before anything is allocated
    net = Supernet(space)
    fill(net, found, checkpoint.name)
    transformed = any(key.endswith(MATRIX) for key in found.tensors)
    elastic = any(key.endswith(MATRIX) for key in net.state_dict())
    flat = "flat layers" in found.dialect
    kind: Kind = "static full network" if flat and not (elastic and transformed) else "supernet"
    return ImportedSupernet(net.eval(), kind, found, (*checkpoint.notes, *found.notes))


def supernet_layout(space: Space) -> dict[str, torch.Size]:
    """Keys and shapes of a space's supernet; nothing is allocated."""
    with torch.device("meta"):
        return shapes_of(Supernet(space))


def with_ends_of(space: Space, tensors: Mapping[str, Tensor], layout: Shapes) -> Space:
    """The space with as many input channels and classes as the tensors have; unchanged where they do not say."""
    stem = tensors.get(next(key for key in layout if key.endswith("conv.weight")))
    last = tensors.get(next(key for key in layout if key.startswith("classifier.") and key.endswith("weight")))
    channels, classes = space.in_channels, space.num_classes
    if stem is not None and stem.ndim == 4 and stem.shape[1] >= 1:
        channels = stem.shape[1]
    if last is not None and last.ndim == 2 and last.shape[0] >= 2:
        classes = last.shape[0]
    return dataclasses.replace(space, in_channels=channels, num_classes=classes)


def _refuse_subnets(checkpoint: Checkpoint, found: Match) -> None:
    """A clearer word than hundreds of keys for the usual mistake: the weights of a subnet without its configuration."""
    # Blocks of a subnet are numbered densely: of the last ones all keys are missing.
    blocks = {key.split(".")[1] for key in found.missing if key.startswith("blocks.")}
    if "flat layers" in found.dialect and len(blocks) > 1:
        raise WeightsError(
            "weights of a subnet, not of a supernet",
            f"{checkpoint.name}: {found.why}",
            "give its net.config as well: ofa-edge zoo import net.config run.config init",
        )
