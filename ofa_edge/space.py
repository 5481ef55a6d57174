"""The search space of OFA-MobileNetV3 and its subnets. NumPy only: search and latency models need no torch.

A `Space` is the architecture as data (Once-For-All, ICLR 2020, section 3 and appendix B): five elastic stages of MBConv
blocks behind a static stem block, each block with its own kernel size and expand ratio, each stage with its own depth.
A `Subnet` is one point of it: frozen, hashable, and canonical by construction: it holds no entry for a skipped block.
A *genome* is the same point as a row of small integers, so that search can work on thousands of them at once.
"""

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import ConfigError
from ofa_edge.files import canonical_json, sha256_bytes

Activation = Literal["relu", "h_swish"]
Genomes = NDArray[np.int8]

# Widths at multiplier 1.0, as in the reference: stem, static block, stages 0-4, final expand, feature mix.
BASE_WIDTHS = (16, 16, 24, 40, 80, 112, 160, 960, 1280)
STAGE_ACTIVATIONS: tuple[Activation, ...] = ("relu", "relu", "h_swish", "h_swish", "h_swish")
STAGE_SQUEEZE = (False, True, False, True, True)
IMAGENET_STRIDES = (2, 2, 2, 2, 1, 2)
IMAGENET_RESOLUTIONS = tuple(range(128, 225, 16))


def make_divisible(value: float, divisor: int = 8) -> int:
    """Round `value` to a multiple of `divisor`, never below 90 % of it (MobileNet's rule): 11 -> 16, 36 -> 40."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def middle_width(in_channels: int, expand: float) -> int:
    """Channels between a block's expand and project convolutions."""
    return make_divisible(round(in_channels * expand))


def squeeze_width(channels: int) -> int:
    """Channels between the two layers of a squeeze-and-excite module over `channels`."""
    return make_divisible(channels // 4)


def output_size(size: int, stride: int) -> int:
    """Spatial size after a convolution with padding k//2."""
    return (size - 1) // stride + 1


@dataclass(frozen=True)
class BlockSpec:
    """What is fixed about one elastic MBConv block: everything but kernel size and expand ratio."""

    index: int  # 0-based over all elastic blocks of the supernet
    stage: int
    position: int  # within the stage
    in_channels: int
    out_channels: int
    stride: int
    activation: Activation
    squeeze: bool

    @property
    def shortcut(self) -> bool:
        """Whether the input is added to the output."""
        return self.stride == 1 and self.in_channels == self.out_channels


@dataclass(frozen=True, order=True)
class Subnet:
    """One network of a space: per stage, a (kernel, expand) pair for each block it keeps; and the input resolution.

    Example:
        >>> Subnet(stages=(((3, 4), (5, 6)),) * 5, resolution=224).depths
        (2, 2, 2, 2, 2)
    """

    stages: tuple[tuple[tuple[int, int], ...], ...]
    resolution: int

    @property
    def depths(self) -> tuple[int, ...]:
        """Blocks kept in each stage."""
        return tuple(len(stage) for stage in self.stages)

    @functools.cached_property
    def id(self) -> str:
        """Short digest that names this subnet in files and reports."""
        return sha256_bytes(canonical_json(self.config()))[:12]

    def config(self) -> dict[str, Any]:
        """The subnet as JSON: `{"d": [...], "ks": [...], "e": [...], "r": int}`, active blocks only."""
        blocks = [block for stage in self.stages for block in stage]
        return {
            "d": list(self.depths),
            "ks": [kernel for kernel, _ in blocks],
            "e": [expand for _, expand in blocks],
            "r": self.resolution,
        }

    def at(self, resolution: int) -> "Subnet":
        """The same network at another input resolution."""
        return dataclasses.replace(self, resolution=resolution)


@dataclass(frozen=True)
class Space:
    """The elastic dimensions and the fixed shape of an OFA-MobileNetV3 supernet.

    `strides` is the stride plan: of the stem, then of the first block of each stage.
    """

    name: str
    width_mult: float = 1.0
    in_channels: int = 3
    num_classes: int = 1000
    strides: tuple[int, ...] = IMAGENET_STRIDES
    resolutions: tuple[int, ...] = IMAGENET_RESOLUTIONS
    kernels: tuple[int, ...] = (3, 5, 7)
    expands: tuple[int, ...] = (3, 4, 6)
    depths: tuple[int, ...] = (2, 3, 4)

    def __post_init__(self) -> None:
        for field in ("resolutions", "kernels", "expands", "depths"):
            values = getattr(self, field)
            if not values or list(values) != sorted(set(values)) or min(values) < 1:
                raise ConfigError(
                    f"space '{self.name}': bad {field}",
                    f"{field} = {values!r}; wanted positive values in rising order, each once",
                    f"sort {field} and drop repeats",
                )
        if any(kernel not in (3, 5, 7) for kernel in self.kernels):
            raise ConfigError(f"space '{self.name}': bad kernels", f"kernels = {self.kernels!r}", "use some of 3, 5, 7")
        if len(self.strides) != 6 or any(stride not in (1, 2) for stride in self.strides):
            raise ConfigError(
                f"space '{self.name}': bad strides",
                f"strides = {self.strides!r}; wanted six values of 1 or 2: the stem, then stages 0-4",
                "for example strides = [2, 2, 2, 2, 1, 2]",
            )
        if self.width_mult <= 0 or self.in_channels < 1 or self.num_classes < 2:
            raise ConfigError(
                f"space '{self.name}': bad width, channels or classes",
                f"width_mult = {self.width_mult}, in_channels = {self.in_channels}, num_classes = {self.num_classes}",
                "use a positive width, at least one channel and two classes",
            )

    # -- fixed shape ---------------------------------------------------------------------------------------------

    @functools.cached_property
    def widths(self) -> tuple[int, ...]:
        """Channels of stem, static block, stages 0-4, final expand and feature mix layers."""
        return tuple(make_divisible(base * self.width_mult) for base in BASE_WIDTHS)

    @property
    def max_depth(self) -> int:
        """Blocks of a stage at full depth."""
        return self.depths[-1]

    @property
    def num_stages(self) -> int:
        """Elastic stages."""
        return len(self.strides) - 1

    @functools.cached_property
    def blocks(self) -> tuple[BlockSpec, ...]:
        """All elastic blocks of the supernet, in order."""
        specs: list[BlockSpec] = []
        channels = self.widths[1]
        for stage in range(self.num_stages):
            for position in range(self.max_depth):
                specs.append(
                    BlockSpec(
                        index=len(specs),
                        stage=stage,
                        position=position,
                        in_channels=channels,
                        out_channels=self.widths[2 + stage],
                        stride=self.strides[1 + stage] if position == 0 else 1,
                        activation=STAGE_ACTIVATIONS[stage],
                        squeeze=STAGE_SQUEEZE[stage],
                    )
                )
                channels = self.widths[2 + stage]
        return tuple(specs)

    @functools.cached_property
    def hash(self) -> str:
        """SHA-256 of all that shapes the networks (not the name). Weights, predictors and tables carry it."""
        facts = dataclasses.asdict(self)
        del facts["name"]
        return sha256_bytes(canonical_json({"family": "ofa_mobilenetv3", **facts}))

    def to_json(self) -> dict[str, Any]:
        """The space as JSON, with its family."""
        return {"family": "ofa_mobilenetv3", **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Space":
        """Inverse of `to_json`. Raises ConfigError on unknown keys or another family."""
        facts = dict(value)
        family = facts.pop("family", None)
        known = {field.name for field in dataclasses.fields(cls)}
        if family != "ofa_mobilenetv3" or "name" not in facts or not set(facts) <= known:
            raise ConfigError(
                "not a search space",
                f"family = {family!r}, unknown keys: {sorted(set(facts) - known)}",
                "use a file written by this version of ofa-edge",
            )
        values: dict[str, Any] = {key: tuple(item) if isinstance(item, list) else item for key, item in facts.items()}
        return cls(**values)

    # -- subnets -------------------------------------------------------------------------------------------------

    @functools.cached_property
    def count(self) -> int:
        """Number of distinct subnets at one resolution."""
        choices = len(self.kernels) * len(self.expands)
        return int(sum(choices**depth for depth in self.depths) ** self.num_stages)

    def uniform(self, kernel: int, expand: int, depth: int, resolution: int | None = None) -> Subnet:
        """The subnet with one kernel, expand ratio and depth everywhere; at the largest resolution by default."""
        stage = ((kernel, expand),) * depth
        return self.check(Subnet((stage,) * self.num_stages, resolution or self.resolutions[-1]))

    def largest(self, resolution: int | None = None) -> Subnet:
        """The subnet with every choice at its largest."""
        return self.uniform(self.kernels[-1], self.expands[-1], self.depths[-1], resolution)

    def smallest(self, resolution: int | None = None) -> Subnet:
        """The subnet with every choice at its smallest; at the smallest resolution by default."""
        return self.uniform(self.kernels[0], self.expands[0], self.depths[0], resolution or self.resolutions[0])

    def check(self, subnet: Subnet) -> Subnet:
        """Return `subnet` if it is of this space, else raise ConfigError."""
        wrong: str | None = None
        if len(subnet.stages) != self.num_stages:
            wrong = f"{len(subnet.stages)} stages, wanted {self.num_stages}"
        elif any(depth not in self.depths for depth in subnet.depths):
            wrong = f"depths {subnet.depths}, each wanted in {self.depths}"
        elif any(k not in self.kernels or e not in self.expands for stage in subnet.stages for k, e in stage):
            wrong = f"a block outside kernels {self.kernels} and expand ratios {self.expands}"
        elif subnet.resolution not in self.resolutions:
            wrong = f"resolution {subnet.resolution}, wanted one of {self.resolutions}"
        if wrong:
            raise ConfigError(f"subnet {subnet.id} is not of space '{self.name}'", wrong, "use a subnet of this space")
        return subnet

    def from_config(self, config: Mapping[str, Any]) -> Subnet:
        """Read a subnet from `Subnet.config()` or from either dialect of the reference.

        The reference's vectors hold an entry for every block of the supernet, skipped ones included; those are dropped.
        The resolution is `r` (an int, or a list of one) or `image_size`; the largest of the space where it is absent.
        """
        try:
            depths = [int(depth) for depth in config["d"]]
            kernels, expands = ([int(item) for item in config[key]] for key in ("ks", "e"))
            size = config.get("r", config.get("image_size", self.resolutions[-1]))
            resolution = int(size[0] if isinstance(size, Sequence) else size)
            full = len(kernels) == len(self.blocks) != sum(depths)
            stages, start = [], 0
            for depth in depths:
                pairs = list(zip(kernels[start : start + depth], expands[start : start + depth], strict=True))
                if len(pairs) != depth:
                    raise ValueError(f"{len(kernels)} kernels and {len(expands)} expand ratios for depths {depths}")
                stages.append(tuple(pairs))
                start += self.max_depth if full else depth
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ConfigError(
                "not a subnet configuration",
                f"{type(error).__name__}: {error}",
                'give {"ks": [...], "e": [...], "d": [...], "r": 224}',
            ) from error
        return self.check(Subnet(tuple(stages), resolution))

    # -- genomes -------------------------------------------------------------------------------------------------
    # Columns: kernel index of each block, expand index of each block, depth index of each stage, resolution index.
    # Canonical: a skipped block holds index 0 in both of its columns.

    @property
    def genome_length(self) -> int:
        """Columns of a genome."""
        return 2 * len(self.blocks) + self.num_stages + 1

    @functools.cached_property
    def _gene_sizes(self) -> NDArray[np.int64]:
        blocks = len(self.blocks)
        sizes = [len(self.kernels)] * blocks + [len(self.expands)] * blocks
        return np.array(sizes + [len(self.depths)] * self.num_stages + [len(self.resolutions)], dtype=np.int64)

    def active(self, genomes: Genomes) -> NDArray[np.bool_]:
        """Which blocks each genome keeps: [N, blocks]."""
        blocks = len(self.blocks)
        depths = np.asarray(self.depths)[genomes[:, 2 * blocks : 2 * blocks + self.num_stages]]
        return np.asarray(np.arange(self.max_depth) < depths[:, :, None]).reshape(len(genomes), blocks)

    def canonical(self, genomes: Genomes) -> Genomes:
        """A copy with the genes of skipped blocks at 0, so that equal networks have equal rows."""
        keep = self.active(genomes)
        result = genomes.copy()
        result[:, : 2 * len(self.blocks)] *= np.tile(keep, 2)
        return result

    def sample(self, rng: np.random.Generator, count: int, resolution: int | None = None) -> Genomes:
        """`count` random genomes, each gene uniform (the reference's sampler), canonical: [count, genome_length]."""
        genomes = rng.integers(0, self._gene_sizes, size=(count, self.genome_length)).astype(np.int8)
        if resolution is not None:
            genomes[:, -1] = self.resolutions.index(resolution)
        return self.canonical(genomes)

    def mutate(
        self, genomes: Genomes, rng: np.random.Generator, probability: float = 0.1, resolution_probability: float = 0.1
    ) -> Genomes:
        """Resample each block's (kernel, expand), each depth, and the resolution, independently at the given rates."""
        blocks, count = len(self.blocks), len(genomes)
        fresh = rng.integers(0, self._gene_sizes, size=genomes.shape).astype(np.int8)
        block = rng.random((count, blocks)) < probability
        depth = rng.random((count, self.num_stages)) < probability
        resolution = rng.random((count, 1)) < resolution_probability
        return self.canonical(np.where(np.hstack([block, block, depth, resolution]), fresh, genomes))

    def crossover(self, first: Genomes, second: Genomes, rng: np.random.Generator) -> Genomes:
        """Take each gene from either parent by a coin; a block's kernel and expand ratio have coins of their own."""
        return self.canonical(np.where(rng.random(first.shape) < 0.5, first, second))

    def genome(self, subnets: Iterable[Subnet]) -> Genomes:
        """Encode subnets: [N, genome_length]."""
        blocks = len(self.blocks)
        rows = []
        for subnet in subnets:
            row = np.zeros(self.genome_length, dtype=np.int8)
            for stage, pairs in enumerate(subnet.stages):
                for position, (kernel, expand) in enumerate(pairs):
                    index = stage * self.max_depth + position
                    row[index] = self.kernels.index(kernel)
                    row[blocks + index] = self.expands.index(expand)
                row[2 * blocks + stage] = self.depths.index(len(pairs))
            row[-1] = self.resolutions.index(subnet.resolution)
            rows.append(row)
        return np.array(rows, dtype=np.int8).reshape(-1, self.genome_length)

    def subnet(self, genome: Genomes) -> Subnet:
        """Decode one genome [genome_length]."""
        blocks = len(self.blocks)
        stages = []
        for stage in range(self.num_stages):
            start = stage * self.max_depth
            depth = self.depths[genome[2 * blocks + stage]]
            stages.append(
                tuple(
                    (self.kernels[genome[index]], self.expands[genome[blocks + index]])
                    for index in range(start, start + depth)
                )
            )
        return Subnet(tuple(stages), self.resolutions[genome[-1]])

    def one_hot(self, genomes: Genomes) -> NDArray[np.float32]:
        """Features for accuracy predictors, in the order of the reference's tutorial form.

        Per block one-hots of the kernel, then per block one-hots of the expand ratio, both all-zero where the block is
        skipped, then a one-hot of the resolution: [N, blocks * (kernels + expands) + resolutions].
        """
        blocks = len(self.blocks)
        keep = self.active(genomes)[:, :, None]
        kernels = (genomes[:, :blocks, None] == np.arange(len(self.kernels))) & keep
        expands = (genomes[:, blocks : 2 * blocks, None] == np.arange(len(self.expands))) & keep
        resolution = genomes[:, -1, None] == np.arange(len(self.resolutions))
        count = len(genomes)
        return np.hstack([kernels.reshape(count, -1), expands.reshape(count, -1), resolution]).astype(np.float32)
