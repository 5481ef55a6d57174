"""Units and whole subnets as small models to be timed: the project's own layers, through the project's own export.

Weights are random, batch norm is calibrated on noise: what a network takes depends on neither. Models are kept in the
cache, so an interrupted calibration exports nothing twice.
"""

import itertools
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ofa_edge.cache import StageCache, code_version
from ofa_edge.cost import Operator, operators
from ofa_edge.files import write_bytes
from ofa_edge.latency.units import UnitTable
from ofa_edge.runtimes import Runtime, Turns
from ofa_edge.space import Genomes, Space, Subnet
from ofa_edge.targets import Target
from ofa_edge.vocabulary import Precision, numbers

if TYPE_CHECKING:
    from torch import nn

    from ofa_edge.supernet.static import StaticNet

STAGE = "timed-model"
_CALIBRATION = 8  # inputs that batch norm is calibrated on
OnModel = Callable[[int, int], None]  # models done, of how many


@dataclass(frozen=True)
class Piece:
    """A part of a subnet, or all of it: what one timed model holds.

    Attributes:
        subnet: one that runs it.
        part: "stem", "head", "whole", or the place of a block among the subnet's active ones.
    """

    subnet: Subnet
    part: str | int


@dataclass(frozen=True)
class Making:
    """How models are made: what a cached one depends on besides its piece."""

    runtime: Runtime
    precision: Precision
    target: Target

    @property
    def turns(self) -> Turns:
        """What the runtime has for it."""
        turns = self.runtime.turns
        assert turns is not None  # `make_calibration_plan` refuses others
        return turns

    def facts(self) -> dict[str, Any]:
        """As JSON, with the versions that make the models."""
        own = self.turns.facts(self.target, self.precision)
        versions = {name: metadata.version(name) for name in ("torch", "onnx", "onnxsim")}
        facts: dict[str, Any] = {"runtime": self.runtime.name, "precision": self.precision, "ofa-edge": code_version()}
        facts |= {**own, "versions": {**versions, **own.get("versions", {})}}
        if numbers(self.precision).ranges:
            facts["ranges"] = f"batch norm calibrated on {_CALIBRATION} inputs of noise"
        return facts


def pieces(space: Space, table: UnitTable) -> dict[str, Piece]:
    """Each unit of a space but the call by its name, with where to find it in some subnet."""
    genomes = _covering(space)
    rows = table.rows(genomes)
    found: dict[str, Piece] = {}
    for genome, row in zip(genomes, rows, strict=True):
        subnet = None
        place = 0
        for column, number in enumerate(row.tolist()):
            if column == 2 or number == len(table.units):  # the call; a skipped block
                continue
            name = table.units[number].name
            if name not in found:
                subnet = subnet or space.subnet(genome)
                found[name] = Piece(subnet, ("stem", "head")[column] if column < 2 else place)
            place += column > 2
    return found


def _covering(space: Space) -> Genomes:
    """Genomes in which every choice of every block at every size and width occurs: all blocks alike, at full depth."""
    rows = []
    ratios = space.width_ratios or (None,)
    for resolution in space.resolutions:
        for kernel in space.kernels:
            for expand in space.expands:
                for ratio in ratios:
                    subnet = space.uniform(kernel, expand, space.depths[-1], resolution, ratio)
                    rows.append(space.genome([subnet])[0])
    genomes = np.array(rows)
    if not space.width_ratios:
        return genomes
    count, columns = len(space.width_ratios), space.code.width_columns()
    mixed = [genomes]
    for first in range(count):
        for second in range(count):
            for odd in (0, 1):  # neighbours differ, in both orders
                changed = genomes[:: len(ratios)].copy()
                width = np.arange(changed[:, columns].shape[1])
                changed[:, columns] = np.where(width % 2 == odd, first, second)
                mixed.append(changed)
    frame = columns.start + np.array(space.shape.frame_slots)
    for chosen in itertools.product(range(count), repeat=len(frame)):
        changed = genomes[:: len(ratios)].copy()
        changed[:, frame] = chosen
        mixed.append(changed)
    return np.vstack(mixed)


def export_pieces(
    space: Space, wanted: Sequence[Piece], making: Making, cache: StageCache, on_model: OnModel = lambda done, all: None
) -> list[Path]:
    """Models of pieces, in order, made or from the cache.

    Raises:
        ConversionError: the runtime cannot take one.
    """
    facts = making.facts()
    inputs = [{**facts, "piece": _facts(space, piece)} for piece in wanted]
    missing = [index for index, each in enumerate(inputs) if not cache.has(STAGE, each)]
    size = making.turns.batch
    for start in range(0, len(missing), size):
        batch = missing[start : start + size]
        on_model(start, len(missing))
        with tempfile.TemporaryDirectory(prefix="ofa-edge-timed-") as folder:
            made = _make(space, [wanted[index] for index in batch], making, Path(folder))
            for index, path in zip(batch, made, strict=True):
                cache.run(STAGE, inputs[index], partial(_copy, path))
    on_model(len(missing), len(missing))

    def again(piece: Piece, out: Path) -> None:  # damaged or pruned meanwhile
        with tempfile.TemporaryDirectory(prefix="ofa-edge-timed-") as folder:
            _copy(_make(space, [piece], making, Path(folder))[0], out)

    entries = [cache.run(STAGE, each, partial(again, piece)) for each, piece in zip(inputs, wanted, strict=True)]
    return [entry.path(f"model{making.turns.suffix}") for entry in entries]


def _facts(space: Space, piece: Piece) -> dict[str, Any]:
    """What shapes a piece: not where it stands."""
    made = operators_of(space, piece)
    part = "block" if isinstance(piece.part, int) else piece.part
    return {"part": part, "operators": [asdict(each) for each in made], "family": space.family}


def _operators(space: Space, piece: Piece) -> tuple[Operator, ...]:
    from ofa_edge.cost import block_input_size, block_operators, head_operators, stem_operators

    subnet, widths = piece.subnet, space.active_widths(piece.subnet.widths)
    if piece.part == "stem":
        return stem_operators(space, subnet.resolution, widths)
    if piece.part == "head":
        return head_operators(space, subnet.resolution, widths)
    block = space.active_blocks(subnet)[int(piece.part)]
    return block_operators(
        block.spec, block.kernel, block.expand, block_input_size(space, block.spec, subnet.resolution)
    )


def _make(space: Space, wanted: Sequence[Piece], making: Making, folder: Path) -> list[Path]:
    outs, jobs = [folder / f"{number}{making.turns.suffix}" for number in range(len(wanted))], []
    for piece, out in zip(wanted, outs, strict=True):
        content = making.turns.draw(operators_of(space, piece))
        if content is not None:
            write_bytes(out, content)
            continue
        from ofa_edge.export.onnx.export import export_onnx
        from ofa_edge.supernet.fold import fold_batch_norm

        net, shape = module_of(space, piece)
        export_onnx(fold_batch_norm(net), shape, out.with_suffix(".onnx"))
        jobs.append((out.with_suffix(".onnx"), out))
    if jobs:
        making.turns.make(jobs, making.target, making.precision)
    return outs


def operators_of(space: Space, piece: Piece) -> tuple[Operator, ...]:
    """A piece's operators, in order."""
    return operators(space, piece.subnet) if piece.part == "whole" else _operators(space, piece)


def _copy(path: Path, out: Path) -> None:
    shutil.copyfile(path, out / f"model{path.suffix}")


def module_of(space: Space, piece: Piece) -> tuple["nn.Module", tuple[int, int, int, int]]:
    """A piece as a torch module with random weights, and the shape of its input."""
    import torch
    from torch import nn

    from ofa_edge.supernet.bn_recalibration import recalibrate_bn
    from ofa_edge.supernet.static import StaticNet

    torch.manual_seed(0)
    net = StaticNet(space, piece.subnet)
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    # Ranges as a trained network has them: XNNPACK leaves int8 additions of very different scales to slow kernels.
    entry = operators(space, piece.subnet)[0]
    recalibrate_bn(net, [torch.randn(_CALIBRATION, entry.in_channels, entry.in_size, entry.in_size)])
    first = _operators(space, piece)[0] if piece.part != "whole" else operators(space, piece.subnet)[0]
    shape = (1, first.in_channels, first.in_size, first.in_size)
    return (net if piece.part == "whole" else _cut(net, piece.part)).eval(), shape


def _cut(net: "StaticNet", part: str | int) -> "nn.Module":
    from torch import nn

    if isinstance(part, int):
        return net.modules_of("block")[part]
    return nn.Sequential(*net.modules_of("stem" if part == "stem" else "head"))
