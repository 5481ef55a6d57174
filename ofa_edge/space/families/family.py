"""What a family of networks is: its parts in order, with their names, and the published choices."""

import functools
import itertools
from dataclasses import dataclass

from ofa_edge.space.blocks import Activation, BlockKind
from ofa_edge.space.layers import Layer, scaled

CLASSIFIER = "classifier"  # the last child of every network


@dataclass(frozen=True)
class StageShape:
    """One elastic stage.

    Attributes:
        width: output channels at multiplier 1.0; None keeps those of its input.
        base_depth: blocks that are always there; the space's depths are counted on top.
        optional: a stage of one block, skipped or kept; kept where the depth is the largest.
        single: a stage of exactly one block, whatever the space's depths.
        expand: the only expand ratio of its blocks, where the space's do not apply.
        child: the list, a child of the network, that its blocks are in.
    """

    width: int | None
    activation: Activation
    squeeze: bool = False
    kind: BlockKind = "mbconv"
    base_depth: int = 0
    optional: bool = False
    single: bool = False
    expand: float | None = None
    child: str = "blocks"

    def channels(self, *factors: float) -> int:
        """Output channels at a width multiplier and a width ratio."""
        return scaled(self.width, *factors)

    def depths(self, chosen: tuple[int, ...]) -> tuple[int, ...]:
        """Numbers of blocks to choose from, where the space's depths are `chosen`."""
        return tuple(sorted({self.blocks(depth, chosen) for depth in chosen}))

    def blocks(self, depth: int, chosen: tuple[int, ...]) -> int:
        """Number of blocks at one of the space's depths."""
        if self.single:
            return 1
        return int(depth == chosen[-1]) if self.optional else self.base_depth + depth

    def expands(self, chosen: tuple[float, ...]) -> tuple[float, ...]:
        """Expand ratios to choose from, where the space's are `chosen`."""
        return chosen if self.expand is None else (self.expand,)


@dataclass(frozen=True)
class Family:
    """One family. All that tells it from another is here: nothing else asks which one it is.

    Attributes:
        parts: layers and stages in the order in which they run. The layers in front of the last stage are the stem,
            those behind it the head. Parts of one child follow each other.
        strides: default stride plan: the stem's, then one for each stage. Where a layer has a stage's, the stage has 1.
        kernels, expands, depths, width_ratios: the published choices. No width ratios: widths are not elastic.
    """

    parts: tuple[Layer | StageShape, ...]
    bn_eps: float
    strides: tuple[int, ...]
    kernels: tuple[int, ...] = (3, 5, 7)
    expands: tuple[float, ...] = (3, 4, 6)
    depths: tuple[int, ...] = (2, 3, 4)
    width_ratios: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        children = [child for child, _ in itertools.groupby(part.child for part in self.parts)]
        if len(set(children)) < len(children) or children[-1] != CLASSIFIER or self.parts[0].width is None:
            raise ValueError(f"a family begins with a width, keeps children together, ends in {CLASSIFIER}: {children}")
        strides = sorted(place for place in self.stride_places if place is not None)
        if not len(self.stages) + 1 == len(strides) == len(set(strides)) == len(self.strides):
            raise ValueError(f"a family has a stride for its stem and each stage, each of one part: {strides}")
        if self.width_ratios and any(layer.kind in ("separable", "mix") for layer in (*self.stem, *self.head)):
            raise ValueError("layers of kind separable and mix are not elastic in width")
        if any(self._may_be_empty(stage) and not self._keeps_its_map(stage) for stage in range(len(self.stages))):
            raise ValueError("a stage that may be empty has no width of its own, and a layer has its stride")
        if self.kernels != (3,) and any(stage.kind != "mbconv" for stage in self.stages):
            raise ValueError("only mbconv blocks have elastic kernels")

    def _may_be_empty(self, stage: int) -> bool:
        return 0 in self.stages[stage].depths(self.depths)

    def _keeps_its_map(self, stage: int) -> bool:
        return self.stages[stage].width is None and self.stride_places[self.stage_places[stage]] is None

    @functools.cached_property
    def stage_places(self) -> tuple[int, ...]:
        """Which parts are stages."""
        return tuple(place for place, part in enumerate(self.parts) if isinstance(part, StageShape))

    @functools.cached_property
    def stages(self) -> tuple[StageShape, ...]:
        """The elastic stages."""
        return tuple(part for part in self.parts if isinstance(part, StageShape))

    @functools.cached_property
    def stem_places(self) -> tuple[int, ...]:
        """Which parts are the stem's layers; blocks of a first stage may stand between them."""
        return tuple(place for place in range(self.stage_places[-1]) if place not in self.stage_places)

    @functools.cached_property
    def head_places(self) -> tuple[int, ...]:
        """Which parts are the head's layers."""
        return tuple(range(self.stage_places[-1] + 1, len(self.parts)))

    @property
    def stem(self) -> tuple[Layer, ...]:
        """The layers in front of the last stage."""
        return tuple(part for part in self.parts[: self.stage_places[-1]] if isinstance(part, Layer))

    @property
    def head(self) -> tuple[Layer, ...]:
        """The layers behind the last stage."""
        return tuple(part for part in self.parts[self.stage_places[-1] :] if isinstance(part, Layer))

    def inside(self, stage: int) -> bool:
        """Whether a stage stands inside the stem."""
        return self.stage_places[stage] < self.stem_places[-1]

    @functools.cached_property
    def slots(self) -> tuple[int, ...]:
        """Which of a space's widths each part reads, and at the end the last that there is; -1: the images' channels.

        A part puts out what the next one reads (a classifier puts out classes).
        """
        return tuple(itertools.accumulate((int(part.width is not None) for part in self.parts), initial=-1))

    @functools.cached_property
    def frame_slots(self) -> tuple[int, ...]:
        """The widths that stem and head depend on."""
        ends = {self.slots[place + end] for place in (*self.stem_places, *self.head_places) for end in (0, 1)}
        return tuple(sorted(ends - {-1}))

    @functools.cached_property
    def stride_places(self) -> tuple[int | None, ...]:
        """Which stride of the plan each part has; None: stride 1."""
        taken = {layer.stride for layer in (*self.stem, *self.head)}
        numbers = itertools.count(1)
        own = (part.stride if isinstance(part, Layer) else next(numbers) for part in self.parts)
        return tuple(
            None if isinstance(part, StageShape) and place in taken else place
            for part, place in zip(self.parts, own, strict=True)
        )

    @functools.cached_property
    def lists(self) -> frozenset[str]:
        """The children that are lists: those that hold a stage, or more than one layer."""
        stages = {stage.child for stage in self.stages}
        names = [part.child for part in self.parts]
        return frozenset(name for name in names if name in stages or names.count(name) > 1)
