"""The reference's accuracy predictors: an MLP of three hidden layers over one-hots (Once-For-All, section 4).

Two forms were published. `tutorial`: kernels, expand ratios, then eight sizes from 112; the last layer has a bias.
`nas`: the sizes first (which ones is not in the file), then the blocks; the last layer has none, and a fixed mean
accuracy is added. For ResNet the `nas` form has the stem and the widths in front of the expand ratios.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import ConfigError, WeightsError
from ofa_edge.files import canonical_json, write_bytes
from ofa_edge.metrics import Metric
from ofa_edge.search.predictor_file import HINT, all_finite, read_predictor_file, require_space
from ofa_edge.space import Genomes, Space

Floats = NDArray[np.float32]
Form = Literal["tutorial", "nas"]
FORMAT = "ofa-edge published predictor 1"
RMSE = 0.0021  # Once-For-All, section 4 ("0.21 %"), of the authors' own pairs; nothing is known of one prediction here
TUTORIAL_SIZES = tuple(range(112, 225, 16))
# By how many sizes a file of the `nas` form knows: the reference's code (acc_dataset.py), and for eight its notebook
# for ResNet-50, which leaves 208 out.
NAS_SIZES = {1: (224,), 4: (128, 160, 192, 224), 8: (128, 144, 160, 176, 192, 224, 240, 256)}
_HIDDEN = 3


@dataclass(frozen=True)
class PublishedPredictor:
    """Predicts top-1 as a fraction of 1, on the authors' 10,000 held-out training images of ImageNet.

    At a size between two that it knows, its two predictions are interpolated. There the reference takes that of the
    smaller size (`tutorial`: `(r - 112) // 16`), for which a larger image gains nothing, or refuses (`nas`).

    Attributes:
        space: the space whose genomes it takes.
        form: the order of its inputs.
        sizes: resolutions that it knows, in the order of its inputs.
        layers: (weights [out, in], bias [out]) of each layer, float32; the last bias is the mean accuracy in `nas`.
    """

    space: Space
    form: Form
    sizes: tuple[int, ...]
    layers: tuple[tuple[Floats, Floats], ...]

    def __post_init__(self) -> None:
        low, high = min(self.sizes), max(self.sizes)
        strange = [size for size in self.space.resolutions if not low <= size <= high]
        if strange:
            raise ConfigError(
                "the accuracy predictor does not know the supernet's sizes",
                f"space '{self.space.name}' has {strange}; the predictor was fitted to {low} .. {high} pixels",
                "import without --predictor",
            )
        inputs = block_inputs(self.space) + len(self.sizes)
        if self.layers[0][0].shape[1] != inputs:
            raise WeightsError(
                "accuracy predictor of another network",
                f"it takes {self.layers[0][0].shape[1]} inputs; '{self.space.name}' gives {inputs} with {self.sizes}",
                "give its own sizes with --predictor-sizes, or the predictor of this supernet",
            )

    @property
    def rmse(self) -> float:
        """The published error; see `rmse_source`."""
        return RMSE

    @property
    def rmse_source(self) -> Literal["held-out", "published"]:
        """Not measured here."""
        return "published"

    @property
    def metric(self) -> Metric:
        """The share of images that are right."""
        return "top1"

    @property
    def interpolated(self) -> tuple[int, ...]:
        """Sizes of the space that the predictor does not know itself."""
        return tuple(size for size in self.space.resolutions if size not in self.sizes)

    def predict(self, genomes: Genomes) -> NDArray[np.float64]:
        """Top-1 of canonical genomes: [N]. Not clipped."""
        blocks = block_features(self.space, genomes)
        resolution = genomes[:, -1].astype(np.intp)
        lower, upper, shares = self._neighbours
        share, above = shares[resolution], upper[resolution]
        result = self._forward(blocks, lower[resolution])
        between = share > 0
        if between.any():
            result[between] += share[between] * (self._forward(blocks[between], above[between]) - result[between])
        return result

    @functools.cached_property
    def _neighbours(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
        """Per resolution of the space: the known sizes below and above it, and how far it is from the lower one."""
        order = np.argsort(self.sizes)
        known = np.array(self.sizes)[order]
        wanted = np.array(self.space.resolutions)
        below = np.searchsorted(known, wanted, side="right") - 1
        above = np.minimum(below + 1, len(known) - 1)
        share = (wanted - known[below]) / np.maximum(known[above] - known[below], 1)
        return order[below], order[above], share

    def _forward(self, blocks: Floats, size: NDArray[np.intp]) -> NDArray[np.float64]:
        hot = np.zeros((len(blocks), len(self.sizes)), dtype=np.float32)
        hot[np.arange(len(blocks)), size] = 1
        x = np.hstack([hot, blocks] if self.form == "nas" else [blocks, hot])
        for weights, bias in self.layers[:-1]:
            x = np.maximum(x @ weights.T + bias, 0)
        weights, bias = self.layers[-1]
        return np.asarray(x @ weights[0] + bias[0], dtype=np.float64)

    # -- files ----------------------------------------------------------------------------------------------------

    def save(self, path: Path) -> str:
        """Write as safetensors with the space's hash; return the file's SHA-256."""
        from safetensors.numpy import save

        facts = {
            "space_hash": self.space.hash,
            "space": self.space.name,
            "form": self.form,
            "sizes": list(self.sizes),
        }
        tensors = {f"weights.{index}": weights for index, (weights, _) in enumerate(self.layers)}
        tensors |= {f"bias.{index}": bias for index, (_, bias) in enumerate(self.layers)}
        return write_bytes(path, save(tensors, {FORMAT: canonical_json(facts).decode()}))

    @classmethod
    def load(cls, path: Path, space: Space) -> "PublishedPredictor":
        """Read a predictor of `space` that `save` wrote. Raises SpaceMismatchError or WeightsError."""
        facts, tensors = read_predictor_file(path, FORMAT)
        try:
            require_space(path, facts, space)
            form, sizes = facts["form"], tuple(int(size) for size in facts["sizes"])
            layers = tuple((tensors[f"weights.{index}"], tensors[f"bias.{index}"]) for index in range(_HIDDEN + 1))
            if form not in ("tutorial", "nas") or not sizes or len(tensors) != 2 * len(layers):
                raise ValueError(f"form {form!r}, {len(sizes)} sizes, {len(tensors)} tensors")
            _check_layers(layers)
            return cls(space, form, sizes, layers)
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError("damaged accuracy predictor", f"{path}: {error}", HINT) from error

    @classmethod
    def from_state(
        cls, state: Mapping[str, NDArray[Any]], space: Space, sizes: Sequence[int] | None = None
    ) -> "PublishedPredictor":
        """Make one of a published file's tensors; the keys say which form it is.

        Args:
            state: the tensors by key.
            space: the supernet's space; the file does not say which one it was fitted to.
            sizes: resolutions of its inputs, in order; by default those that were published with that many.

        Raises:
            WeightsError: other keys or shapes than either form has, or values that are not finite.
            ConfigError: the sizes are not known, or do not hold the space's.
        """
        form, layers = _read_state(state)
        try:
            _check_layers(layers)
        except ValueError as error:
            raise WeightsError("damaged accuracy predictor", str(error), "use the published file unchanged") from error
        count = layers[0][0].shape[1] - block_inputs(space)
        known = tuple(sizes) if sizes else TUTORIAL_SIZES if form == "tutorial" else NAS_SIZES.get(count)
        if known is None and count > 0:
            raise ConfigError(
                "the accuracy predictor's sizes are not known",
                f"it takes {count} sizes, and the file does not say which",
                "--predictor-sizes, for example 128,160,192,224",
            )
        return cls(space, form, known or TUTORIAL_SIZES, layers)


def block_features(space: Space, genomes: Genomes) -> Floats:
    """The inputs that say what a network is made of, all zero for skipped blocks: [N, block_inputs].

    MBConv families: kernels, then expand ratios. ResNet: whether the stem's convolution is skipped or kept, the width
    ratios, then the expand ratios.
    """
    hot = space.one_hot(genomes)[:, : -len(space.resolutions)]
    if space.family != "ofa_resnet":
        return hot
    blocks, widths = len(space.blocks), space.num_widths * len(space.width_ratios)
    kernels = blocks * len(space.kernels)
    kept = space.active(genomes)[:, :1]  # the first block is the stem's, with one expand ratio
    return np.hstack([~kept, kept, hot[:, -widths:], hot[:, kernels + 1 : -widths]]).astype(np.float32)


def block_inputs(space: Space) -> int:
    """Number of columns of `block_features`."""
    return int(block_features(space, space.genome([space.largest()])).shape[1])


def _read_state(state: Mapping[str, NDArray[Any]]) -> tuple[Form, tuple[tuple[Floats, Floats], ...]]:
    """The form and the layers. Raises WeightsError naming the keys that no form has."""
    tutorial = [(f"{2 * layer}.weight", f"{2 * layer}.bias") for layer in range(_HIDDEN + 1)]
    nas = [(f"layers.{layer}.0.weight", f"layers.{layer}.0.bias") for layer in range(_HIDDEN)]
    nas.append((f"layers.{_HIDDEN}.weight", "base_acc"))
    forms: tuple[tuple[Form, list[tuple[str, str]]], ...] = (("tutorial", tutorial), ("nas", nas))
    for form, names in forms:
        if set(state) == {name for pair in names for name in pair}:
            layers = tuple(
                (np.array(state[weights], dtype=np.float32), np.array(state[bias], dtype=np.float32).reshape(-1))
                for weights, bias in names
            )
            return form, layers
    strange = sorted(key for key in state if not re.fullmatch(r"\d\.(weight|bias)|layers\.\d\.(0\.)?\w+|base_acc", key))
    raise WeightsError(
        "not a published accuracy predictor",
        f"its keys are those of neither form ({', '.join((strange or sorted(state))[:4])}, ...)",
        "the published acc_predictor.pth, or a state_dict of the reference's nas.accuracy_predictor",
    )


def _check_layers(layers: Sequence[tuple[Floats, Floats]]) -> None:
    """Raise ValueError where layers do not follow each other, or hold values that are not finite."""
    width = layers[0][0].shape[-1]
    for index, (weights, bias) in enumerate(layers):
        out = 1 if index == len(layers) - 1 else bias.size
        if weights.shape != (out, width) or bias.shape != (out,):
            raise ValueError(f"layer {index}: weights {weights.shape}, bias {bias.shape}, {width} inputs")
        if weights.dtype != np.float32 or bias.dtype != np.float32 or not all_finite(weights, bias):
            raise ValueError(f"layer {index}: values that are not finite numbers")
        width = out
