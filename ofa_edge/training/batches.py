"""Training batches: shuffled, augmented, normalised, at one resolution each."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from ofa_edge.data.augment import apply, draw
from ofa_edge.data.dataset import Images
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.errors import DataError
from ofa_edge.training.distributed import World
from ofa_edge.training.recipe import AugmentRecipe

_EPOCH_STREAM, _STEP_STREAM = 0, 1


class Batches:
    """The batches of a run. What a step sees depends on (seed, step) and nothing else.

    Args:
        images: the training set.
        resolutions: input sizes that will be asked for.
        preprocessing: normalisation, at any size.
        augmentation: of the uint8 images.
        batch: images of one process.
        seed: of all draws.
        world: the processes that share a step's batch.

    Raises:
        DataError: there are fewer images than one step wants.
    """

    def __init__(
        self,
        images: Images,
        resolutions: Iterable[int],
        preprocessing: Preprocessing,
        augmentation: AugmentRecipe,
        batch: int,
        seed: int,
        world: World,
    ) -> None:
        if len(images) < batch * world.size:
            raise DataError(
                "too few training images",
                f"{len(images)} images, batches of {batch} in {world.size} process{'es' if world.size > 1 else ''}",
                "lower the batch, or add images",
            )
        sizes = sorted(set(resolutions))
        # Crops are cut out of the images as they come; without them every size is made once, here.
        self.images = {0: images.pixels} if augmentation.crop else {r: images.resized(r).pixels for r in sizes}
        self.labels = torch.from_numpy(images.labels)
        self.preprocessing, self.augmentation = preprocessing, augmentation
        self.batch, self.seed, self.world = batch, seed, world
        self.whole_batch = batch * world.size
        self.per_epoch = len(images) // self.whole_batch

    def generator(self, step: int) -> np.random.Generator:
        """The generator of a step's draws; the same in every process."""
        return np.random.default_rng([self.seed, _STEP_STREAM, step])

    def get(self, step: int, resolution: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """This process's images [B, C, r, r] and labels [B] of a step."""
        epoch, index = divmod(step, self.per_epoch)
        order = np.random.default_rng([self.seed, _EPOCH_STREAM, epoch]).permutation(len(self.labels))
        chosen = order[index * self.whole_batch : (index + 1) * self.whole_batch]
        rows, options = self.world.rows(self.batch), self.augmentation.model_dump()
        source = self.images.get(resolution, self.images.get(0))
        assert source is not None, f"no images of {resolution} px"
        channels = source.shape[3]
        drawn = draw(rng, self.whole_batch, resolution, channels, **options, fill=self.preprocessing.mean)
        pixels = apply(source[chosen[rows]], drawn.rows(rows))
        x = torch.from_numpy(self.preprocessing.at(resolution).normalise(pixels))
        return x.contiguous(memory_format=torch.channels_last), self.labels[chosen[rows]]
