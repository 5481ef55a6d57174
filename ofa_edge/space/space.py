"""A search space: the elastic dimensions and the fixed shape of one supernet."""

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import ConfigError
from ofa_edge.files import canonical_json, sha256_bytes
from ofa_edge.space.blocks import ActiveBlock, BlockSpec
from ofa_edge.space.configs import read_config
from ofa_edge.space.families import FAMILIES
from ofa_edge.space.faults import faults
from ofa_edge.space.fields import SpaceFields
from ofa_edge.space.genomes import GenomeCode, Genomes
from ofa_edge.space.layers import Layer, LayerSpec
from ofa_edge.space.subnet import Subnet
from ofa_edge.space.words import one_of

_ELASTIC = ("kernels", "expands", "depths", "width_ratios")


@dataclass(frozen=True)
class Space(SpaceFields):
    """A space whose fields were checked; `Space.of` fills in what its family publishes."""

    @classmethod
    def of(cls, family: str, name: str, **changes: Any) -> "Space":
        """A space of `family` with the published choices and strides, but for `changes` (fields of a space)."""
        if family not in FAMILIES:
            raise ConfigError(f"space '{name}': no family '{family}'", f"known: {', '.join(FAMILIES)}", "choose one")
        shape = FAMILIES[family]
        published = {field: getattr(shape, field) for field in ("strides", *_ELASTIC)}
        return cls(name, family=family, **{**published, **changes})

    def __post_init__(self) -> None:
        for field, wrong, hint in faults(self):
            raise ConfigError(f"space '{self.name}': bad {field}", wrong, hint)

    # -- fixed shape ---------------------------------------------------------------------------------------------

    @functools.cached_property
    def widths(self) -> tuple[int, ...]:
        """All widths in order, at their largest: one for each of the family's parts that has its own."""
        return self._widths_at((self.width_ratios[-1] if self.width_ratios else 1.0,) * (self.shape.slots[-1] + 1))

    def active_widths(self, ratios: tuple[float, ...]) -> tuple[int, ...]:
        """`widths` at a subnet's width ratios; where widths are fixed there are no ratios."""
        return self._widths_at(ratios) if self.width_ratios else self.widths

    def _widths_at(self, ratios: tuple[float, ...]) -> tuple[int, ...]:
        own = [part for part in self.shape.parts if part.width is not None]
        return tuple(part.channels(self.width_mult, ratio) for part, ratio in zip(own, ratios, strict=True))

    @property
    def num_widths(self) -> int:
        """Elastic widths: all of them, or none."""
        return self.shape.slots[-1] + 1 if self.width_ratios else 0

    @functools.cached_property
    def part_strides(self) -> tuple[int, ...]:
        """Stride of each of the family's parts; of a stage, that of its first block."""
        return tuple(1 if place is None else self.strides[place] for place in self.shape.stride_places)

    def layer(self, place: int, widths: tuple[int, ...]) -> LayerSpec:
        """The layer at a place of the family's parts, at `widths` (of `active_widths`)."""
        layer, (before, after) = self.shape.parts[place], self.shape.slots[place : place + 2]
        assert isinstance(layer, Layer), "a stage is no layer"
        return LayerSpec(
            layer,
            in_channels=widths[before] if before >= 0 else self.in_channels,
            out_channels=self.num_classes if layer.kind == "classifier" else widths[after],
            stride=self.part_strides[place],
            bn_eps=self.shape.bn_eps,
        )

    @property
    def num_stages(self) -> int:
        """Elastic stages."""
        return len(self.shape.stages)

    @functools.cached_property
    def blocks(self) -> tuple[BlockSpec, ...]:
        """All elastic blocks of the supernet, in order, at full width."""
        specs: list[BlockSpec] = []
        for stage, (place, depths) in enumerate(zip(self.shape.stage_places, self.stage_depths, strict=True)):
            shape, (before, after) = self.shape.stages[stage], self.shape.slots[place : place + 2]
            for position in range(depths[-1]):
                entry = after if position else before
                specs.append(
                    BlockSpec(
                        index=len(specs),
                        stage=stage,
                        position=position,
                        in_channels=self.widths[entry],
                        out_channels=self.widths[after],
                        stride=1 if position else self.part_strides[place],
                        activation=shape.activation,
                        squeeze=shape.squeeze,
                        kind=shape.kind,
                        bn_eps=self.shape.bn_eps,
                        in_slot=entry,
                        out_slot=after,
                    )
                )
        return tuple(specs)

    @functools.cached_property
    def first_blocks(self) -> tuple[int, ...]:
        """Index of each stage's first block, and one past the last block."""
        return self.code.first_blocks

    def active_blocks(self, subnet: Subnet) -> tuple[ActiveBlock, ...]:
        """The blocks that a subnet keeps, in order, at their active widths."""
        widths = self.active_widths(subnet.widths)
        return tuple(
            ActiveBlock(spec.within(widths, widths), kernel, expand)
            for start, pairs in zip(self.first_blocks, subnet.stages, strict=False)
            for spec, (kernel, expand) in zip(self.blocks[start:], pairs, strict=False)
        )

    @functools.cached_property
    def hash(self) -> str:
        """SHA-256 of all that shapes the networks (not the name). Weights, predictors and tables carry it."""
        facts = self.to_json()
        del facts["name"]
        return sha256_bytes(canonical_json(facts))

    def hash_at(self, resolutions: tuple[int, ...]) -> str:
        """The hash that this space has with other input sizes, which shape no weights and no blocks."""
        return dataclasses.replace(self, resolutions=tuple(resolutions)).hash

    def to_json(self) -> dict[str, Any]:
        """The space as JSON, with its family."""
        facts = dataclasses.asdict(self)
        if not facts["width_ratios"]:
            del facts["width_ratios"]  # files of fixed-width spaces are older than the field
        return {"family": facts.pop("family"), **facts}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Space":
        """Inverse of `to_json`. Raises ConfigError on unknown keys or another family."""
        known = {field.name for field in dataclasses.fields(cls)}
        hint = "use a file written by this version of ofa-edge"
        try:
            facts = dict(value)
            if facts.get("family") not in FAMILIES or "name" not in facts or not set(facts) <= known:
                found = f"family = {facts.get('family')!r}, unknown keys: {sorted(set(facts) - known)}"
                raise ConfigError("not a search space", found, hint)
            values: dict[str, Any] = {}
            for key, item in facts.items():
                values[key] = tuple(item) if isinstance(item, list) else item
            return cls(**values)
        except (TypeError, ValueError, OverflowError) as error:
            raise ConfigError("not a search space", f"a value of another type: {error}", hint) from error

    # -- subnets -------------------------------------------------------------------------------------------------

    @functools.cached_property
    def count(self) -> int:
        """Number of distinct subnets at one resolution."""
        total = len(self.width_ratios) ** self.num_widths if self.width_ratios else 1
        for shape, depths in zip(self.shape.stages, self.stage_depths, strict=True):
            choices = len(self.kernels) * len(shape.expands(self.expands))
            total *= sum(choices**depth for depth in depths)
        return total

    def restricted(
        self,
        *,
        kernels: tuple[int, ...] | None = None,
        expands: tuple[float, ...] | None = None,
        depths: tuple[int, ...] | None = None,
        width_ratios: tuple[float, ...] | None = None,
    ) -> "Space":
        """The part of this space with fewer choices, as in a phase of progressive shrinking.

        Its subnets are subnets of this space. Its genomes are not: decode them with the space that drew them.

        Raises:
            ConfigError: a choice that this space does not have.
        """
        given = {"kernels": kernels, "expands": expands, "depths": depths, "width_ratios": width_ratios}
        changes = {field: tuple(values) for field, values in given.items() if values is not None}
        for field, values in changes.items():
            if not set(values) <= set(getattr(self, field)):
                raise ConfigError(
                    f"space '{self.name}' has no such {field}",
                    f"{field} = {values}, of {getattr(self, field)}",
                    "restrict a space to choices that it has",
                )
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]

    def uniform(
        self, kernel: int, expand: float, depth: int, resolution: int | None = None, width_ratio: float | None = None
    ) -> Subnet:
        """The subnet with one kernel, expand ratio, depth and width ratio everywhere.

        The resolution and the width ratio are the largest by default. Stages whose depth is not free keep their own.
        """
        stages = []
        for shape in self.shape.stages:
            pair = (kernel, expand if shape.expand is None else shape.expand)
            stages.append((pair,) * shape.blocks(depth, self.depths))
        ratio = width_ratio if width_ratio is not None or not self.width_ratios else self.width_ratios[-1]
        widths = (ratio,) * self.num_widths if ratio is not None else ()
        return self.check(Subnet(tuple(stages), resolution or self.resolutions[-1], widths))

    def largest(self, resolution: int | None = None) -> Subnet:
        """The subnet with every choice at its largest."""
        return self.uniform(self.kernels[-1], self.expands[-1], self.depths[-1], resolution)

    def smallest(self, resolution: int | None = None) -> Subnet:
        """The subnet with every choice at its smallest; at the smallest resolution by default."""
        ratio = self.width_ratios[0] if self.width_ratios else None
        return self.uniform(self.kernels[0], self.expands[0], self.depths[0], resolution or self.resolutions[0], ratio)

    def check(self, subnet: Subnet) -> Subnet:
        """Return `subnet` if it is of this space, else raise ConfigError."""
        wrong: str | None = None
        if len(subnet.stages) != self.num_stages:
            wrong = f"{len(subnet.stages)} stages, wanted {self.num_stages}"
        elif any(depth not in own for depth, own in zip(subnet.depths, self.stage_depths, strict=True)):
            wrong = f"depths {subnet.depths}, wanted one each of {self.stage_depths}"
        elif not all(self._knows(stage, pair) for stage, pairs in enumerate(subnet.stages) for pair in pairs):
            wrong = f"a block outside kernels {self.kernels} and expand ratios {self.expands}"
        elif len(subnet.widths) != self.num_widths or not set(subnet.widths) <= set(self.width_ratios):
            wrong = f"width ratios {subnet.widths}, wanted {self.num_widths} of {self.width_ratios}"
        elif subnet.resolution not in self.resolutions:
            wrong = f"resolution {subnet.resolution}, wanted {one_of(self.resolutions)}"
        if wrong:
            raise ConfigError(f"subnet {subnet.id} is not of space '{self.name}'", wrong, "use a subnet of this space")
        return subnet

    def _knows(self, stage: int, pair: tuple[int, float]) -> bool:
        return pair[0] in self.kernels and pair[1] in self.shape.stages[stage].expands(self.expands)

    def from_config(self, config: Mapping[str, Any]) -> Subnet:
        """Read a subnet from `Subnet.config()` or from either dialect of the reference.

        The reference's vectors hold an entry for every block of the supernet, skipped ones included; those are dropped.
        One number in place of a vector holds everywhere: `{"ks": 7, "e": 6, "d": 4}`.
        The resolution is `r` (an int, or a list of one) or `image_size`; the largest of the space where it is absent.
        ResNet's `{"d", "e", "w"}` counts extra blocks in `d`, the stem's convolution first, and holds indices in `w`.

        Raises:
            ConfigError: a key is missing or unknown, or has another length or other values than the space; names them.
        """
        return self.check(read_config(self, config))

    # -- genomes -------------------------------------------------------------------------------------------------

    @functools.cached_property
    def code(self) -> GenomeCode:
        """How subnets are coded as genomes (columns, choices)."""
        shapes = [self.shape.stages[spec.stage] for spec in self.blocks]
        return GenomeCode(
            kernels=(self.kernels,) * len(shapes),
            expands=tuple(shape.expands(self.expands) for shape in shapes),
            depths=self.stage_depths,
            widths=(self.width_ratios,) * self.num_widths,
            resolutions=self.resolutions,
        )

    @property
    def genome_length(self) -> int:
        """Columns of a genome."""
        return self.code.length

    def active(self, genomes: Genomes) -> NDArray[np.bool_]:
        """Which blocks each genome keeps: [N, blocks]."""
        return self.code.active(genomes)

    def canonical(self, genomes: Genomes) -> Genomes:
        """A copy with the genes of skipped blocks at 0, so that equal networks have equal rows."""
        return self.code.canonical(genomes)

    def sample(self, rng: np.random.Generator, count: int, resolution: int | None = None) -> Genomes:
        """`count` random genomes, each gene uniform (the reference's sampler), canonical: [count, genome_length].

        Raises:
            ConfigError: a resolution that the space lacks.
        """
        genomes = self.code.sample(rng, count)
        if resolution is not None:
            genomes[:, -1] = self.resolutions.index(self._known(resolution))
        return genomes

    def _known(self, resolution: int) -> int:
        if resolution in self.resolutions:
            return resolution
        near = min(self.resolutions, key=lambda each: abs(each - resolution))
        wanted = f"resolution {resolution}, wanted {one_of(self.resolutions)}"
        raise ConfigError(f"space '{self.name}' has no such resolution", wanted, f"for example {near}")

    def mutate(
        self, genomes: Genomes, rng: np.random.Generator, probability: float = 0.1, resolution_probability: float = 0.1
    ) -> Genomes:
        """Resample each block's pair, each depth, each width and the resolution, independently at the given rates."""
        return self.code.mutate(genomes, rng, probability, resolution_probability)

    def crossover(self, first: Genomes, second: Genomes, rng: np.random.Generator) -> Genomes:
        """Take each gene from either parent by a coin; a block's kernel and expand ratio have coins of their own."""
        return self.code.crossover(first, second, rng)

    def genome(self, subnets: Iterable[Subnet]) -> Genomes:
        """Encode subnets: [N, genome_length]. Raises ConfigError for one that is not of the space."""
        return self.code.encode(map(self.check, subnets))

    def subnet(self, genome: Genomes) -> Subnet:
        """Decode one genome [genome_length]."""
        return self.code.decode(genome)

    def one_hot(self, genomes: Genomes) -> NDArray[np.float32]:
        """Features for accuracy predictors, in the order of the reference's tutorial form; see `GenomeCode`."""
        return self.code.one_hot(genomes)
