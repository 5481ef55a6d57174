"""From a trained supernet to other classes: what a run takes over from the package that it begins with."""

import json
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ofa_edge.data.dataset import Dataset, Images
from ofa_edge.data.open import IMAGE_FOLDER
from ofa_edge.errors import ConfigError, DataError, WeightsError
from ofa_edge.files import sha256_file
from ofa_edge.schema import changed
from ofa_edge.shown import pasteable
from ofa_edge.space import Space
from ofa_edge.supernet.adapt import Kept, Pixels, adapt, adapted_space
from ofa_edge.supernet.head import Regression
from ofa_edge.supernet.network import Supernet
from ofa_edge.supernet.zoo import SupernetPackage
from ofa_edge.training.batches import Batches
from ofa_edge.training.distributed import World
from ofa_edge.training.head import set_shared_head, shared_regression
from ofa_edge.training.package_data import recipe_facts
from ofa_edge.training.plan import HEAD_SUBNETS
from ofa_edge.training.recipe import Recipe
from ofa_edge.training.recipe_files import joined, load_recipe

METHOD = "transfer"
_FROM_SPACE = ("family", "width_mult", "strides", "kernels", "expands", "depths", "width_ratios")


@dataclass(frozen=True)
class Begun:
    """A supernet to be trained on, and what was done to the weights of the one that it comes from.

    Attributes:
        net: it.
        changes: in words.
        kept: classes whose rows of the head are the old ones.
    """

    net: Supernet
    changes: tuple[str, ...]
    kept: frozenset[int] = frozenset()

    def hold(self, ridge: float) -> None:
        """Let that be the ridge of subnets' own heads, where they have them."""
        if self.net.own_head is not None:
            self.net.own_head = ridge


def transfer_recipe(
    package: SupernetPackage,
    method: str | Path = METHOD,
    overrides: Mapping[str, Any] | None = None,
    *,
    keep_classes: bool = False,
    resolutions: Sequence[int] | None = None,
) -> Recipe:
    """A method applied to the weights of a supernet: its space, its way of reading images, its augmentation.

    Args:
        package: the supernet.
        method: a shipped recipe or a TOML file, without space and data.
        overrides: values that win.
        keep_classes: rows of the head of classes that both have.
        resolutions: other input sizes than the supernet's, in rising order.

    Raises:
        WeightsError: one network, or random weights.
        ConfigError: see `load_recipe`.
    """
    if package.subnet is not None:
        hint = pasteable("ofa-edge", "finetune", "--supernet", "SUPERNET", "--subnet", "largest", "--new-head")
        raise WeightsError(
            f"'{package.name}' is one network, not a supernet", "there is nothing elastic to train", hint
        )
    if package.weights is None:
        hint = "ofa-edge zoo import FILE, then --from the folder that it writes"
        raise WeightsError(f"'{package.name}' has no weights", "they are random", hint)
    facts = recipe_facts(package)
    own = package.space.to_json()
    space = {name: own[name] for name in _FROM_SPACE if name in own}
    space["resolutions"] = list(package.space.resolutions if resolutions is None else resolutions)
    reading = package.reading
    data: dict[str, Any] = {"dataset": IMAGE_FOLDER, "channel_order": reading.channel_order}
    if reading.value_range is not None:
        data["value_range"] = list(reading.value_range)
    start = {"supernet": package.name, "weights": sha256_file(package.weights), "keep_classes": keep_classes}
    values: dict[str, Any] = {
        "name": f"{METHOD}-{Path(package.name).name}",
        "space": space,
        "data": data,
        "augment": facts.get("augment", {}),
        "start": start,
    }
    return load_recipe(method, None, joined(values, overrides or {}))


def settled(recipe: Recipe, package: SupernetPackage, data: Dataset) -> Recipe:
    """The recipe with the pixel statistics that the supernet's weights expect of images of so many channels."""
    if recipe.data.mean is not None:
        return recipe
    pixels = Pixels(package.mean, package.std).for_channels(data.channels)
    return changed(recipe, data=changed(recipe.data, mean=pixels.mean, std=pixels.std, channels=data.channels))


def begin(recipe: Recipe, package: SupernetPackage, space: Space, labels: Sequence[str]) -> Begun:
    """The supernet that a run begins with.

    Args:
        recipe: of the run; has a start.
        package: that it names.
        space: of the run.
        labels: of its classes.

    Raises:
        WeightsError: the package has other weights now than when the run began.
        ConfigError: another space than the package's, but for classes, channels and input sizes.
        DataError: one class.
    """
    start = recipe.start
    assert start is not None
    assert package.weights is not None
    found = sha256_file(package.weights)
    if start.weights not in (None, found):
        raise WeightsError(
            f"the weights of '{package.name}' are not those that this run began with",
            f"{package.weights}: SHA-256 {found[:12]}, the recipe says {str(start.weights)[:12]}",
            "another --out for a run from these weights",
        )
    if len(labels) < 2:
        raise DataError("one class", ", ".join(labels), "a classifier tells classes apart: give two or more")
    wanted = adapted_space(package.space, len(labels), space.in_channels, space.resolutions)
    if wanted.hash != space.hash:
        differ = [name for name, value in wanted.to_json().items() if name != "name" and space.to_json()[name] != value]
        raise ConfigError(
            f"the recipe's space is not that of '{package.name}'",
            ", ".join(
                f"{name}: {space.to_json()[name]}, its weights are of {wanted.to_json()[name]}" for name in differ
            ),
            "leave [space] out: --from brings it",
        )
    kept = Kept.of(labels, package.labels, wanted=start.keep_classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        net = Supernet(space)
    changes = adapt(package.load(), net, Pixels(package.mean, package.std), space.in_channels, kept)
    if start.ridge is not None and len(kept.rows) < len(labels):
        changes.append(f"new rows: linear regression on features of {HEAD_SUBNETS} subnets, ridge {start.ridge:g}")
    if start.heads == "own" and not kept.rows:
        net.own_head = start.ridge
        changes.append(
            f"each subnet's head: linear regression on its own features when calibrated, ridge {net.own_head:g}"
        )
    return Begun(net, tuple(changes), frozenset(kept.rows))


def fit_new_head(
    begun: Begun,
    recipe: Recipe,
    images: Images,
    calibration: Images,
    ridge: float | None = None,
    known: MutableMapping[str, Regression] | None = None,
) -> None:
    """Set the rows of the head that are new as the recipe's [start] says; where it says nothing, they are random.

    Args:
        begun: its supernet is changed in place; on the CPU.
        recipe: of the run; has a start.
        images: that are trained on.
        calibration: those of them that subnets are calibrated on.
        ridge: in place of the recipe's.
        known: equations by the images' digest, of heads that this recipe began before; what is missing is added.
    """
    assert recipe.start is not None
    ridge = recipe.start.ridge if ridge is None else ridge
    if ridge is None or len(begun.kept) == begun.net.space.num_classes:
        return
    begun.hold(ridge)
    images = images.sample(recipe.data.limit, recipe.data.split_seed)
    sizes = begun.net.space.resolutions
    pixels = recipe.preprocessing(sizes[-1])
    views = Batches(images, sizes, pixels, recipe.augment, min(recipe.batch, len(images)), recipe.seed, World())
    known = {} if known is None else known
    if images.digest not in known:
        known[images.digest] = shared_regression(begun.net, views, calibration)
    set_shared_head(begun.net, known[images.digest], begun.kept, ridge)


def facts_of(recipe: Recipe, begun: Begun | None) -> dict[str, Any]:
    """What a run's figures say of its beginning; nothing where weights were random."""
    if recipe.start is None or begun is None:
        return {}
    start: dict[str, Any] = json.loads(recipe.start.model_dump_json())
    return {"start": {**start, "changes": list(begun.changes)}}
