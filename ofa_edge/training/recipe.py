"""Recipes: all that decides what a training run produces, in one TOML file."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.errors import ConfigError, UnknownNameError
from ofa_edge.files import canonical_json, sha256_bytes
from ofa_edge.space import Space

Positive = Annotated[int, Field(gt=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SpaceRecipe(_Strict):
    """The search space; the number of classes and channels comes from the data."""

    width_mult: Annotated[float, Field(gt=0)]
    strides: tuple[int, ...]
    resolutions: tuple[int, ...]
    kernels: tuple[int, ...] = (3, 5, 7)
    expands: tuple[int, ...] = (3, 4, 6)
    depths: tuple[int, ...] = (2, 3, 4)


class DataRecipe(_Strict):
    """The data set, what is held out of its training part, and the statistics of its pixels (0..255)."""

    dataset: str
    held_out: Positive
    split_seed: int = 0
    limit: Positive | None = None  # train on the first images only, for quick tests
    mean: tuple[float, ...]
    std: tuple[float, ...]


class AugmentRecipe(_Strict):
    """See `ofa_edge.data.augment`."""

    flip: bool = True
    shift: Annotated[int, Field(ge=0)] = 2
    erase: Annotated[float, Field(ge=0, le=1)] = 0.0


class Phase(_Strict):
    """A stretch of training with one schedule.

    `subnets` are trained together in each step, their gradients summed: `largest` on the labels; `smallest` and
    `random` (drawn uniformly) on the labels, or, with `distill`, on the largest one's predictions of the same step
    (the sandwich rule with in-place distillation, BigNAS, ECCV 2020). One input resolution is drawn for each batch.
    """

    name: str
    epochs: Positive
    lr: Annotated[float, Field(gt=0)]
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    final_lr: Annotated[float, Field(ge=0, le=1)] = 0.0  # share of lr at the end of the cosine
    subnets: tuple[Literal["largest", "smallest", "random"], ...] = ("largest",)
    distill: bool = True
    resolutions: tuple[int, ...]
    sort_channels: bool = False  # before the phase starts


class Recipe(_Strict):
    """Everything that decides what a run produces."""

    name: str
    description: str = ""
    seed: int = 0
    batch: Positive
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0  # of the largest subnet only
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    zero_gamma: bool = False  # residual blocks start as identities
    space: SpaceRecipe
    data: DataRecipe
    augment: AugmentRecipe = AugmentRecipe()
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)]

    @property
    def digest(self) -> str:
        """SHA-256 of the recipe's content."""
        return sha256_bytes(canonical_json(self.model_dump(mode="json")))

    def make_space(self, num_classes: int) -> Space:
        """The space for data with that many classes."""
        return Space(
            self.name, in_channels=len(self.data.mean), num_classes=num_classes, **self.space.model_dump(mode="python")
        )

    def preprocessing(self, size: int) -> Preprocessing:
        """What the networks expect at an input size."""
        return Preprocessing(size, len(self.data.mean), self.data.mean, self.data.std)


def list_recipes() -> list[str]:
    """Names of the recipes that ship with the package."""
    folder = resources.files("ofa_edge.training") / "recipes"
    return sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".toml"))


def load_recipe(name_or_path: str) -> Recipe:
    """A shipped recipe by name, or a TOML file by path.

    Raises:
        UnknownNameError: no recipe of that name.
        ConfigError: the file does not fit the schema; the key is named.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml":
        if not path.is_file():
            raise ConfigError("no such recipe file", str(path), "ofa-edge train --list")
        text = path.read_text()
    elif name_or_path in list_recipes():
        text = (resources.files("ofa_edge.training") / "recipes" / f"{name_or_path}.toml").read_text()
    else:
        raise UnknownNameError.of("recipe", name_or_path, list_recipes(), "ofa-edge train --list")
    return parse_recipe(text, name_or_path)


def parse_recipe(text: str, where: str) -> Recipe:
    """Recipe from TOML text; `where` names it in errors."""
    try:
        values: dict[str, Any] = tomllib.loads(text)
        recipe = Recipe.model_validate(values)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError("not a TOML file", f"{where}: {error}", "check the syntax") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(item) for item in first["loc"])
        raise ConfigError(f"bad recipe: {key}", f"{where}: {first['msg']}", "compare with a shipped recipe") from error
    for phase in recipe.phases:
        strange = set(phase.resolutions) - set(recipe.space.resolutions)
        if strange or not phase.resolutions or "largest" not in phase.subnets:
            raise ConfigError(
                f"bad recipe: phase '{phase.name}'",
                f"{where}: resolutions {phase.resolutions} of {recipe.space.resolutions}, subnets {phase.subnets}",
                "train `largest` in every phase, at resolutions of the space (repeat one to draw it more often)",
            )
    return recipe
