"""Recipes: all that decides what a training run produces.

A *recipe* is the method: phases, losses, learning rates. A *preset* is where it is applied: the space, the data, the
batch. A TOML file may hold both; a shipped method (`ofa`, `ofa-edge`, `no-shrinking`) holds the first only and is
joined with a preset. Preset values win, and options of the command line win over both. Every key carries its meaning:
docs/recipe.md is printed from here (`ofa_edge.training.recipe_keys`).
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.data.reading import Reading
from ofa_edge.errors import ConfigError
from ofa_edge.files import canonical_json, sha256_bytes
from ofa_edge.metrics import Metric
from ofa_edge.names import PlainName
from ofa_edge.schema import Strict
from ofa_edge.space import FAMILIES, Space

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Choice = Literal["largest", "smallest", "random"]
Balance = Literal["none", "sampler", "loss"]


def _known_family(name: str) -> str:
    if name not in FAMILIES:
        raise ValueError(f"no family '{name}'; known: {', '.join(FAMILIES)}")
    return name


FamilyName = Annotated[str, AfterValidator(_known_family), WithJsonSchema({"enum": list(FAMILIES)})]


def key(meaning: str, default: Any = ..., *, unit: str = "") -> Any:
    """A key of a recipe file: what it means, its default (none: it has to be given), and its unit."""
    return Field(default, description=meaning, json_schema_extra={"unit": unit})


class SpaceRecipe(Strict):
    """The search space; the number of classes and channels comes from the data, what is left out from the family."""

    family: FamilyName = key("architecture of the supernet", "ofa_mobilenetv3")
    width_mult: Annotated[float, Field(gt=0)] = key("multiplies all channels; 1 is the published width", 1.0)
    resolutions: Annotated[tuple[Positive, ...], Field(min_length=1)] = key(
        "input sizes, in rising order; one is drawn for each batch, and images are kept in memory at the largest",
        unit="pixels",
    )
    strides: tuple[int, ...] | None = key(
        "stride of the stem, then of each stage; the image's side is divided by all of them", None
    )
    kernels: tuple[int, ...] | None = key("sizes of depthwise kernels to choose from", None, unit="pixels")
    expands: tuple[int | float, ...] | None = key("expand ratios of blocks to choose from", None)
    depths: tuple[int, ...] | None = key("numbers of blocks in a stage to choose from", None, unit="blocks")
    width_ratios: tuple[float, ...] | None = key("shares of a stage's channels to choose from (ofa_resnet only)", None)


class DataRecipe(Strict):
    """The data set, what is held out of its training part, and the statistics of its pixels (0..255).

    A share held out, and `mean` and `std` that are left out, become values once the data are read: see
    `ofa_edge.training.data`. How files are read (`channels`, `value_range`, `channel_order`): docs/data.md.
    """

    dataset: str = key("fashion-mnist, cifar-10, image-folder, or the name of an installed package's data set")
    held_out: Annotated[int, Field(gt=0, strict=True)] | Annotated[float, Field(gt=0, lt=1)] = key(
        "training images kept apart for choices (subnets are compared on them), class by class: how many, or, below 1, "
        "which share, at least one of each class; no class gives its last image",
        0.1,
        unit="images, or a share of them",
    )
    split_seed: Annotated[int, Field(ge=0)] = key("seed of all splits: of what is held out, and of a test set made", 0)
    limit: Positive | None = key(
        "train on only this many images, classes in proportion; for quick tests", None, unit="images"
    )
    balance: Balance = key(
        "for classes of unlike size: `sampler` draws all classes alike often in an epoch of the same length, `loss` "
        "weighs labels inversely to the images of their class, mean 1 over the training images",
        "none",
    )
    mean: Annotated[tuple[float, ...], Field(min_length=1)] | None = key(
        "mean by channel; computed from the training images where it is left out", None, unit="pixel values 0..255"
    )
    std: tuple[Annotated[float, Field(gt=0)], ...] | None = key(
        "standard deviation by channel; likewise", None, unit="pixel values 0..255"
    )
    channels: Literal[1, 3] | None = key("1 grey, 3 colour; as mean has them, else as the images have them", None)
    value_range: tuple[float, float] | None = key(
        "values in files that become 0 and 255, those beyond are cut off; all that the container holds", None
    )
    channel_order: Literal["rgb", "bgr"] = key("order of the channels in files", "rgb")

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
            raise ConfigError("no pixel statistics", "the recipe's [data] has no mean and std", "resolve it first")
        return self.mean, self.std

    @property
    def held_out_images(self) -> int:
        """How many images are held out, once that is known."""
        if not isinstance(self.held_out, int):
            raise ConfigError("held_out is a share", f"{self.held_out} of images not seen yet", "resolve it first")
        return self.held_out


class StartRecipe(Strict):
    """Weights that a run begins with, in place of random ones: those of a trained supernet, with another head."""

    supernet: str = key("name or folder of the supernet")
    weights: str | None = key("SHA-256 of its weights; filled in when the run begins", None)
    keep_classes: bool = key("classes that both have by name keep their rows of the head", False)
    ridge: Annotated[float, Field(gt=0)] | None = key(
        "the new head begins as the best linear one on features of subnets of all kinds, of augmented images (ridge "
        "regression); how strongly its weights are held small. Left out: at random",
        None,
        unit="mean squares of a feature",
    )
    heads: Literal["shared", "own"] = key(
        "`own`: each subnet has a head of its own when it is cut out and calibrated, the best linear one on its own "
        "features of the calibration images, of that ridge; the head that is trained is for the training. Not where "
        "rows of the head are kept, nor where calibration images hold a part of a class that is under 100. "
        "`shared`: all have the one that is trained",
        "shared",
    )

    @model_validator(mode="after")
    def _solvable(self) -> "StartRecipe":
        if self.heads == "own" and self.ridge is None:
            raise ValueError('heads = "own" without a ridge: say how strongly their weights are held small, ridge = 10')
        return self


class ManyRecipe(Strict):
    """How a run differs whose smallest class has many training images: what is known need not be protected then."""

    images: Positive = key("training images of the smallest class, from which on this table holds", unit="images")
    lr: Annotated[float, Field(gt=0)] = key("the rates of all phases times this", 1.0)
    layer_decay: Annotated[float, Field(gt=0, le=1)] = key("in place of the recipe's", 1.0)


class TeacherRecipe(Strict):
    """A classifier of the same classes in a file, whose answers are learnt wherever labels are: `--teacher FILE.onnx`.

    `weight`, `temperature` and `views` may be given; the rest is filled in from the file when the run begins.
    """

    weight: Annotated[float, Field(gt=0)] = key("of its answers, beside the labels", 1.0)
    temperature: Annotated[float, Field(gt=0)] = key("that its logits and the network's are divided by", 4.0)
    views: Literal["each", "stored"] = key(
        "what it is asked: `each` augmented image as the network sees it, or every `stored` image once", "each"
    )
    file: str | None = key("name of the file; filled in", None)
    sha256: str | None = key("of the file; filled in", None)
    shape: tuple[Positive, ...] | None = key("of its input; filled in", None)
    mean: tuple[float, ...] | None = key("of its pixels, by channel; filled in", None, unit="pixel values 0..255")
    std: tuple[float, ...] | None = key("likewise; filled in", None, unit="pixel values 0..255")
    outputs: tuple[int, ...] | None = key("number of its output for each class of the run; filled in", None)


class AugmentRecipe(Strict):
    """See `ofa_edge.data.augment`. With `crop`, any shift comes on top."""

    flip: bool = key("mirror half of the images, left to right", True)
    shift: Annotated[int, Field(ge=0)] = key(
        "move each image by up to this much either way, edges filled with 0", 2, unit="pixels"
    )
    erase: Share = key("chance that a square of a quarter to a half of the side is filled with noise", 0.0)
    crop: tuple[float, float] | None = key(
        "cut a random part out of each image and resize it: least and largest share of its area, as [0.3, 1.0]", None
    )
    ratio: tuple[float, float] = key("least and largest width by height of a crop", (0.75, 4 / 3))
    brightness: Share = key("factors of brightness are drawn from 1 - this to 1 + this", 0.0)
    saturation: Share = key("the same for the distance from grey; of no effect on grey images", 0.0)
    cutout: Annotated[int, Field(ge=0)] = key(
        "side of a square, centred anywhere in each image, that is filled with the mean", 0, unit="pixels"
    )


class MeasureRecipe(Strict):
    """What is measured after training. It does not decide the weights."""

    metric: Metric = key(
        "what subnets are compared by, and so what the predictor predicts and the search looks for: `top1`, the share "
        "of images that are right, or `balanced`, the mean of that share over classes",
        "top1",
    )
    pairs: Positive = key(
        "subnets measured for the accuracy predictor, fewer where the space has fewer", 200, unit="subnets"
    )
    rank_subnets: Positive = key(
        "random subnets at the largest resolution, for the rank correlation of accuracy with MACs", 50, unit="subnets"
    )
    images: Positive | None = key(
        "how many of the held-out and of the test images to use, classes in proportion; all where it is left out",
        None,
        unit="images",
    )


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

    name: str = key("shown in the log")
    epochs: Annotated[float, Field(gt=0)] = key("length, times the recipe's `scale`", unit="epochs")
    lr: Annotated[float, Field(gt=0)] = key("highest learning rate, at a batch of `lr_batch` where that is given")
    warmup_epochs: Annotated[float, Field(ge=0)] = key(
        "first part, in which the rate rises linearly; times `scale`", 0.0, unit="epochs"
    )
    warmup_from: Share = key("share of `lr` that the warm-up starts from", 0.0)
    final_lr: Share = key("share of `lr` that the cosine does not fall below", 0.0)
    subnets: Annotated[tuple[Choice, ...], Field(min_length=1)] = key(
        "subnets trained in each step, their gradients summed", ("largest",)
    )
    kernels: tuple[int, ...] | None = key(
        "kernels that are elastic in this phase; all of the space's", None, unit="pixels"
    )
    expands: tuple[int | float, ...] | None = key("expand ratios, likewise", None)
    depths: tuple[int, ...] | None = key("depths, likewise", None, unit="blocks")
    width_ratios: tuple[float, ...] | None = key("width ratios, likewise", None)
    resolutions: tuple[int, ...] | None = key(
        "input sizes of this phase, some of the space's; repeat one to draw it more often", None, unit="pixels"
    )
    distill: Literal["none", "largest", "teacher"] = key(
        "what subnets learn from: `none`, the labels; `teacher`, the full network as it was before the first such "
        "phase; `largest`, the largest subnet's predictions in the same step, while that one learns the labels",
        "none",
    )
    labels: bool = key("learn the labels beside what `distill` names", False)
    divergence: Literal["kl", "alpha"] = key(
        "distance from the largest one's predictions: KL, or AlphaNet's adaptive alpha-divergence", "kl"
    )
    ramp: Share = key("first part of the phase, over which the gradients of all but the largest rise from 0 to 1", 0.0)
    train: Literal["all", "head"] = key("what is trained: all weights, or the last layer alone", "all")
    sort_channels: bool = key("before the phase, sort channels so that smaller subnets keep the important ones", False)

    @model_validator(mode="after")
    def _fits(self) -> "Phase":
        if self.distill == "largest" and self.subnets[0] != "largest":
            raise ValueError('in-place distillation wants "largest" as the first of `subnets`')
        return self


class Recipe(Strict):
    """Everything that decides what a run produces."""

    name: PlainName = key("what the run is called; its folder is runs/NAME")
    description: str = key("for people", "")
    seed: Annotated[int, Field(ge=0)] = key("seed of all draws of the training", 0)
    scale: Annotated[float, Field(gt=0)] = key("multiplies the epochs of all phases", 1.0)
    min_steps: Positive | None = key(
        "a run has at least this many steps: where a small set would give fewer, all phases are lengthened alike",
        None,
        unit="steps",
    )
    batch: Positive = key(
        "images of one step in one process; lowered to a quarter of the training images where those make fewer than "
        "two batches",
        unit="images",
    )
    lr_batch: Positive | None = key(
        "learning rates are for this batch, and scaled in proportion (Goyal et al., 2017); without it they stay as "
        "they are",
        None,
        unit="images",
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = key("of SGD with Nesterov momentum", 0.9)
    weight_decay: Annotated[float, Field(ge=0)] = key("of all weights but those of batch norms and biases", 0.0)
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = key("probability moved from the label to all classes", 0.0)
    dropout: Annotated[float, Field(ge=0, lt=1)] = key("share of features dropped before the classifier", 0.0)
    drop_path: Annotated[float, Field(ge=0, lt=1)] = key(
        "chance that the last residual block is skipped for an image; earlier ones in proportion", 0.0
    )
    regularise: Literal["all", "largest"] = key("subnets that dropout, drop-path and label smoothing act on", "largest")
    clip_norm: Annotated[float, Field(gt=0)] | None = key("gradients are scaled to at most this norm", None)
    clip_value: Annotated[float, Field(gt=0)] | None = key("each gradient is cut to at most this size", None)
    zero_gamma: bool = key("residual blocks start as identities", False)
    layer_decay: Annotated[float, Field(gt=0, le=1)] = key(
        "the rate of each layer is that of the one behind it times this: the head's is the phase's", 1.0
    )
    patience: Share | None = key(
        "early stopping: the mean balanced accuracy of the largest and the smallest subnet on held-out images is "
        "measured 21 times in the last phase; the best state is what is written, and the run ends where none was "
        "better for this share of the phase. Not with under 20 held-out images a class: chance would choose",
        None,
    )
    folds: Annotated[int, Field(ge=0)] = key(
        "of a run that begins with a supernet ([start]), where a class has under 20 training images and nothing stops "
        "early: parts of a cross-validation that chooses the head's ridge and whether more than the head is trained, "
        "and whose answers the predictor's pairs are measured by. Each part costs as much as the run. 0: none",
        0,
    )
    amp: bool = key("convolutions in bfloat16 (autocast): for GPUs", False)
    start: StartRecipe | None = key("see [start]", None)
    many: ManyRecipe | None = key("see [many]; settled when the run begins, and left out of its record", None)
    teacher: TeacherRecipe | None = key("see [teacher]", None)
    space: SpaceRecipe = key("see [space]")
    data: DataRecipe = key("see [data]")
    augment: AugmentRecipe = key("see [augment]", AugmentRecipe())
    measure: MeasureRecipe = key("see [measure]", MeasureRecipe())
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)] = key("see [[phases]]: one table each, in order")

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
        return sha256_bytes(canonical_json(self.deciding))

    @property
    def deciding(self) -> dict[str, Any]:
        """What decides the weights, as JSON values; keys that came later only where they are not the default."""
        facts = self.model_dump(mode="json", exclude={"measure", "description"})
        facts["phases"] = [
            {name: value for name, value in phase.items() if (name, value) != ("train", "all")}
            for phase in facts["phases"]
        ]
        usual = {"start": None, "many": None, "teacher": None, "patience": None, "folds": 0, "layer_decay": 1.0}
        return {name: value for name, value in facts.items() if name not in usual or value != usual[name]}

    def make_space(self, num_classes: int) -> Space:
        """The space for data with that many classes."""
        given = {key: value for key, value in self.space.model_dump().items() if value is not None}
        channels = len(self.data.statistics[0])
        return Space.of(given.pop("family"), self.name, in_channels=channels, num_classes=num_classes, **given)

    def preprocessing(self, size: int) -> Preprocessing:
        """What the networks expect at an input size."""
        mean, std = self.data.statistics
        return Preprocessing(size, len(mean), mean, std)
