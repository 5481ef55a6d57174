"""Recipes: all that decides what a training run produces.

A *recipe* is the method: phases, losses, learning rates. A *preset* is where it is applied: the space, the data, the
batch. A TOML file may hold both; a shipped method (`ofa`, `ofa-edge`, `no-shrinking`) holds the first only and is
joined with a preset. Preset values win, and options of the command line win over both.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.data.reading import Reading
from ofa_edge.errors import ConfigError
from ofa_edge.files import canonical_json, sha256_bytes
from ofa_edge.names import PlainName
from ofa_edge.space import Family, Space

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Choice = Literal["largest", "smallest", "random"]


class Strict(BaseModel):
    """Unknown keys and infinite numbers are errors; values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SpaceRecipe(Strict):
    """The search space; the number of classes and channels comes from the data, what is left out from the family."""

    family: Family = "ofa_mobilenetv3"
    width_mult: Annotated[float, Field(gt=0)] = 1.0
    resolutions: Annotated[tuple[Positive, ...], Field(min_length=1)]
    strides: tuple[int, ...] | None = None
    kernels: tuple[int, ...] | None = None
    expands: tuple[int | float, ...] | None = None
    depths: tuple[int, ...] | None = None
    width_ratios: tuple[float, ...] | None = None


class DataRecipe(Strict):
    """The data set, what is held out of its training part, and the statistics of its pixels (0..255).

    Without `mean` and `std` they are those of the training images, see `ofa_edge.training.data`. How files are read
    (`channels`, `value_range`, `channel_order`): docs/data.md.
    """

    dataset: str
    held_out: Positive
    split_seed: Annotated[int, Field(ge=0)] = 0
    limit: Positive | None = None  # train on the first images only, for quick tests
    mean: Annotated[tuple[float, ...], Field(min_length=1)] | None = None
    std: tuple[Annotated[float, Field(gt=0)], ...] | None = None
    channels: Literal[1, 3] | None = None  # as mean has them, else as the images have them
    value_range: tuple[float, float] | None = None  # values in files that become 0 and 255; all of the container
    channel_order: Literal["rgb", "bgr"] = "rgb"  # in files

    @model_validator(mode="after")
    def _fits(self) -> "DataRecipe":
        if (self.mean and len(self.mean)) != (self.std and len(self.std)):
            raise ValueError("mean and std want one value for each channel, both or neither")
        if self.mean and self.channels not in (None, len(self.mean)):
            raise ValueError(f"channels = {self.channels}, and mean has {len(self.mean)} values")
        if self.value_range and not self.value_range[0] < self.value_range[1]:
            raise ValueError("value_range is [low, high], low below high")
        return self

    @property
    def wanted_channels(self) -> int | None:
        """Channels of the images; None: as the data have them."""
        return self.channels or (len(self.mean) if self.mean else None)

    @property
    def reading(self) -> Reading:
        """How values in files become pixels."""
        return Reading(self.value_range, self.channel_order)

    @property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation by channel, once they are known."""
        if self.mean is None or self.std is None:
            raise ConfigError("no pixel statistics", "the recipe's [data] has no mean and std", "with_statistics first")
        return self.mean, self.std


class AugmentRecipe(Strict):
    """See `ofa_edge.data.augment`. With `crop`, any shift comes on top."""

    flip: bool = True
    shift: Annotated[int, Field(ge=0)] = 2
    erase: Share = 0.0
    crop: tuple[float, float] | None = None  # share of the area, as (0.08, 1.0)
    ratio: tuple[float, float] = (0.75, 4 / 3)
    brightness: Share = 0.0
    saturation: Share = 0.0
    cutout: Annotated[int, Field(ge=0)] = 0


class MeasureRecipe(Strict):
    """What is measured after training."""

    pairs: Positive = 200  # subnets for the accuracy predictor
    rank_subnets: Positive = 50  # random subnets at the largest resolution, for the rank correlation with MACs
    images: Positive | None = None  # of the held-out and of the test images, the first ones; all by default


class Phase(Strict):
    """A stretch of training with one schedule.

    `subnets` are trained together in each step, their gradients summed: `largest` and `smallest` of the phase's space,
    and `random` ones, drawn uniformly. One input resolution is drawn for each batch. What they learn from:

    - `distill = "none"`: the labels.
    - `distill = "teacher"`: the predictions of the full network, frozen after the phase before the first such one, and
      the labels (Once-For-All, appendix B).
    - `distill = "largest"`: the largest one learns the labels, the others its predictions of the same step (in-place
      distillation of the sandwich rule, BigNAS, ECCV 2020). `labels = true` adds the labels for them too.
    """

    name: str
    epochs: Annotated[float, Field(gt=0)]  # times the recipe's `scale`
    lr: Annotated[float, Field(gt=0)]  # at a batch of `lr_batch`, where the recipe gives that
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    warmup_from: Share = 0.0  # share of lr that the warm-up starts from
    final_lr: Share = 0.0  # the cosine does not fall below this share of lr
    subnets: Annotated[tuple[Choice, ...], Field(min_length=1)] = ("largest",)
    kernels: tuple[int, ...] | None = None  # what is elastic in this phase; all of the space by default
    expands: tuple[int | float, ...] | None = None
    depths: tuple[int, ...] | None = None
    width_ratios: tuple[float, ...] | None = None
    resolutions: tuple[int, ...] | None = None  # repeat one to draw it more often
    distill: Literal["none", "largest", "teacher"] = "none"
    labels: bool = False
    divergence: Literal["kl", "alpha"] = "kl"  # of in-place distillation
    ramp: Share = 0.0  # the first part of the phase, over which the gradients of all but the largest rise from 0 to 1
    sort_channels: bool = False  # before the phase starts

    @model_validator(mode="after")
    def _fits(self) -> "Phase":
        if self.distill == "largest" and self.subnets[0] != "largest":
            raise ValueError('in-place distillation wants "largest" as the first of `subnets`')
        return self


class Recipe(Strict):
    """Everything that decides what a run produces."""

    name: PlainName  # becomes the run's folder
    description: str = ""
    seed: Annotated[int, Field(ge=0)] = 0
    scale: Annotated[float, Field(gt=0)] = 1.0  # of all phases' epochs
    batch: Positive  # of one process
    lr_batch: Positive | None = None  # learning rates are for this batch, and scaled in proportion (Goyal et al., 2017)
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0
    regularise: Literal["all", "largest"] = "largest"  # which subnets dropout, drop-path and label smoothing act on
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    clip_value: Annotated[float, Field(gt=0)] | None = None
    zero_gamma: bool = False  # residual blocks start as identities
    amp: bool = False  # convolutions in bfloat16 (autocast): for GPUs
    space: SpaceRecipe
    data: DataRecipe
    augment: AugmentRecipe = AugmentRecipe()
    measure: MeasureRecipe = MeasureRecipe()
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _fits(self) -> "Recipe":
        for index, phase in enumerate(self.phases):
            strange = set(phase.resolutions or ()) - set(self.space.resolutions)
            if strange or phase.resolutions == ():
                raise ValueError(
                    f"phase '{phase.name}': resolutions {phase.resolutions} of {self.space.resolutions}; "
                    "use some of the space's"
                )
            if phase.distill == "teacher" and index == 0:
                raise ValueError(f"phase '{phase.name}' has no phase before it that could train its teacher")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of what decides the weights; what is measured afterwards is not part of it."""
        return sha256_bytes(canonical_json(self.model_dump(mode="json", exclude={"measure", "description"})))

    def make_space(self, num_classes: int) -> Space:
        """The space for data with that many classes."""
        given = {key: value for key, value in self.space.model_dump().items() if value is not None}
        channels = len(self.data.statistics[0])
        return Space.of(given.pop("family"), self.name, in_channels=channels, num_classes=num_classes, **given)

    def preprocessing(self, size: int) -> Preprocessing:
        """What the networks expect at an input size."""
        mean, std = self.data.statistics
        return Preprocessing(size, len(mean), mean, std)
