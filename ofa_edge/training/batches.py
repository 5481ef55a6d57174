"""Training batches: shuffled, augmented, normalised, at one resolution each."""

import functools
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ofa_edge.data.augment import apply, draw
from ofa_edge.data.dataset import Images
from ofa_edge.data.preprocess import Pixels, Preprocessing
from ofa_edge.training.balance import balanced_order
from ofa_edge.training.distributed import World
from ofa_edge.training.plan import steps_per_epoch
from ofa_edge.training.recipe import AugmentRecipe, Balance

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
        balance: `sampler`: each epoch shows all classes alike often (`ofa_edge.training.balance`).

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
        balance: Balance = "none",
    ) -> None:
        self.per_epoch = steps_per_epoch(len(images), batch, world.size)
        sizes = sorted(set(resolutions))
        # Crops are cut out of the images as they come; without them every size is made once, here.
        self.images = {0: images.pixels} if augmentation.crop else {r: images.resized(r).pixels for r in sizes}
        self.labels = torch.from_numpy(images.labels)
        self.preprocessing, self.augmentation = preprocessing, augmentation
        self.batch, self.seed, self.world = batch, seed, world
        self.whole_batch = batch * world.size
        self.balance = balance
        self._order = functools.lru_cache(maxsize=1)(self._shuffled)

    def generator(self, step: int) -> np.random.Generator:
        """The generator of a step's draws; the same in every process."""
        return np.random.default_rng([self.seed, _STEP_STREAM, step])

    def _shuffled(self, epoch: int) -> NDArray[np.int64]:
        rng = np.random.default_rng([self.seed, _EPOCH_STREAM, epoch])
        return (
            balanced_order(self.labels.numpy(), rng) if self.balance == "sampler" else rng.permutation(len(self.labels))
        )

    def get(self, step: int, resolution: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """This process's images [B, C, r, r] and labels [B] of a step."""
        pixels, rows = self.views(step, resolution, rng)
        return self.normalised(pixels, resolution), self.labels[rows]

    def views(self, step: int, resolution: int, rng: np.random.Generator) -> tuple[Pixels, NDArray[np.int64]]:
        """This process's augmented images of a step, uint8 [B, r, r, C], and which images of the set they are [B]."""
        epoch, index = divmod(step, self.per_epoch)
        chosen = self._order(epoch)[index * self.whole_batch : (index + 1) * self.whole_batch]
        rows, options = self.world.rows(self.batch), self.augmentation.model_dump()
        source = self.images.get(resolution, self.images.get(0))
        assert source is not None, f"no images of {resolution} px"
        channels = source.shape[3]
        drawn = draw(rng, self.whole_batch, resolution, channels, **options, fill=self.preprocessing.mean)
        return apply(source[chosen[rows]], drawn.rows(rows)), chosen[rows]

    def normalised(self, pixels: Pixels, resolution: int) -> Tensor:
        """Images of a step as the networks take them: [B, C, r, r]."""
        x = torch.from_numpy(self.preprocessing.at(resolution).normalise(pixels))
        return x.contiguous(memory_format=torch.channels_last)
