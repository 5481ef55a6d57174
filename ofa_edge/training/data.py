"""The data of a recipe: read, checked against it, and, where the recipe leaves them out, its pixel statistics."""

from collections.abc import Callable
from pathlib import Path

from ofa_edge.data.channels import pixel_statistics
from ofa_edge.data.dataset import Dataset
from ofa_edge.data.open import open_dataset
from ofa_edge.data.review import Expected, review_set
from ofa_edge.errors import DataError
from ofa_edge.training.recipe import Recipe


def load_data(
    recipe: Recipe, folder: Path | None, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> Dataset:
    """The recipe's data set, from `folder` if given, in the channels that its statistics have, and reviewed.

    Raises:
        DataError: it does not fit the recipe, or is refused (`ofa_edge.data.review`).
        UnknownNameError: no data set of that name.
    """
    data = open_dataset(
        recipe.data.dataset,
        folder,
        size=recipe.space.resolutions[-1],
        channels=recipe.data.wanted_channels,
        split_seed=recipe.data.split_seed,
        reading=recipe.data.reading,
        on_progress=on_progress,
    )
    if len(data.train) - recipe.data.held_out < recipe.batch:
        raise DataError(
            "too few training images",
            f"{len(data.train)} images, {recipe.data.held_out} held out, batches of {recipe.batch}",
            "lower held_out or batch in the recipe, or add images",
        )
    known = None
    if recipe.data.mean is not None:
        hint = "correct mean and std in the recipe's [data], or leave them out: they are computed then"
        known = Expected(*recipe.data.statistics, "the recipe's", hint)
    return review_set(data, recipe.data.reading, known, channels_given=recipe.data.channels is not None)


def with_statistics(recipe: Recipe, data: Dataset) -> Recipe:
    """The recipe with the mean and standard deviation of its training images, where it names none."""
    if recipe.data.mean is not None:
        return recipe
    train, _ = data.split(recipe.data.held_out, recipe.data.split_seed)
    mean, std = (tuple(round(value, 2) for value in values) for values in pixel_statistics(train.pixels))
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"mean": mean, "std": std})})
