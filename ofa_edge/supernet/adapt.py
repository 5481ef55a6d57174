"""Weights of one supernet, or of one network, made to fit other classes and other channels of images.

Everything between the first convolution and the head is taken as it is. The head begins anew, but for classes that both
have and that are to keep their rows. A first convolution for colour takes grey by the sum of its weights, and one for
grey takes colour by a third of them: on grey pictures both answer as before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ofa_edge.errors import UnsupportedError
from ofa_edge.space import CLASSIFIER, Space

_GREY, _COLOUR = 1, 3


@dataclass(frozen=True)
class Pixels:
    """Mean and standard deviation of pixels 0..255, by channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def for_channels(self, channels: int) -> "Pixels":
        """The statistics that adapted weights expect of images of so many channels."""
        if channels == len(self.mean):
            return self
        if channels == _GREY:
            return Pixels((sum(self.mean) / len(self.mean),), (sum(self.std) / len(self.std),))
        return Pixels(self.mean * channels, self.std * channels)


@dataclass(frozen=True)
class Kept:
    """Classes that keep their rows of the head: number in the new network -> number in the old one."""

    rows: dict[int, int]

    @classmethod
    def of(cls, labels: Sequence[str], old: Sequence[str], *, wanted: bool) -> "Kept":
        """By name, where that is wanted; and where the classes are the same, which must not become others unsaid."""
        if not wanted and set(labels) != set(old):
            return cls({})
        return cls({number: old.index(label) for number, label in enumerate(labels) if label in old})


def adapted_space(space: Space, classes: int, channels: int, resolutions: Sequence[int] | None = None) -> Space:
    """The same space for other classes, channels and input sizes.

    Raises:
        UnsupportedError: channels other than 1 and 3 where they differ.
        ConfigError: sizes that the strides do not allow.
    """
    if channels != space.in_channels and {channels, space.in_channels} != {_GREY, _COLOUR}:
        raise UnsupportedError(
            f"images of {channels} channels for a supernet of {space.in_channels}",
            "weights are carried over between grey and colour only",
            "give images of 1 or 3 channels",
        )
    sizes = space.resolutions if resolutions is None else tuple(resolutions)
    return replace(space, num_classes=classes, in_channels=channels, resolutions=sizes)


def adapt(old: nn.Module, new: nn.Module, pixels: Pixels, channels: int, kept: Kept) -> list[str]:
    """Fill `new`, freshly initialised and of the adapted space, with the weights of `old`; what was done, in words.

    Args:
        old: a supernet, or the static network of one subnet.
        new: the same, of the adapted space.
        pixels: the statistics of the old network's images.
        channels: of the new network's images.
        kept: rows of the head that are kept.
    """
    source, target, done = old.state_dict(), dict(new.state_dict()), list[str]()
    first = next(key for key, value in source.items() if value.ndim == 4)  # the first convolution
    for key, value in source.items():
        if key == first and value.shape != target[key].shape:
            target[key] = _first(value, pixels, channels)
        elif not key.startswith(f"{CLASSIFIER}."):
            target[key] = value
    head = [key for key in target if key.startswith(f"{CLASSIFIER}.") and target[key].ndim]
    for key in head:
        rows = target[key].clone()
        for number, row in kept.rows.items():
            rows[number] = source[key][row]
        target[key] = rows
    if target[first].shape != source[first].shape:
        words = "summed over colours" if channels == _GREY else "divided over three colours"
        done.append(f"first convolution {words}: {len(pixels.mean)} -> {channels} channels")
        if channels == _GREY:
            _shift_norm(source, target, first, pixels)
    classes = len(target[head[0]])
    done.append(f"head of {classes} classes: {len(kept.rows)} rows kept by name, {classes - len(kept.rows)} new")
    new.load_state_dict(target)
    return done


def _first(weight: Tensor, pixels: Pixels, channels: int) -> Tensor:
    """The first convolution's weights [out, in, k, k] for other channels."""
    if channels == _GREY:
        std = pixels.for_channels(_GREY).std[0]
        share = torch.tensor([std / each for each in pixels.std], dtype=weight.dtype).view(1, -1, 1, 1)
        return (weight * share).sum(1, keepdim=True)
    return weight.expand(-1, channels, -1, -1) / channels


def _shift_norm(source: dict[str, Tensor], target: dict[str, Tensor], first: str, pixels: Pixels) -> None:
    """Take what other means of the channels add to the first convolution out of the mean of the norm behind it.

    (Borders, where zeros are padded in place of the mean, differ by it.)
    """
    grey = pixels.for_channels(_GREY).mean[0]
    offsets = [(grey - mean) / std for mean, std in zip(pixels.mean, pixels.std, strict=True)]
    weight = source[first]
    shift = (weight.sum((2, 3)) * torch.tensor(offsets, dtype=weight.dtype)).sum(1)
    norm = next(key for key in source if key.endswith("running_mean"))
    target[norm] = target[norm] - shift
