"""One point of a search space."""

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

from ofa_edge.files import canonical_json, sha256_bytes

Pair = tuple[int, float]


@dataclass(frozen=True, order=True)
class Subnet:
    """One network of a space: per stage, a (kernel, expand) pair for each block it keeps; and the input resolution.

    Canonical by construction: it holds no entry for a skipped block. In ResNet spaces the first stage is the optional
    convolution of the stem, and `widths` holds the width ratio of each elastic width (stem middle, stem, stages).

    Example:
        >>> Subnet(stages=(((3, 4), (5, 6)),) * 5, resolution=224).depths
        (2, 2, 2, 2, 2)
    """

    stages: tuple[tuple[Pair, ...], ...]
    resolution: int
    widths: tuple[float, ...] = ()

    @property
    def depths(self) -> tuple[int, ...]:
        """Blocks kept in each stage."""
        return tuple(len(stage) for stage in self.stages)

    @functools.cached_property
    def id(self) -> str:
        """Short digest that names this subnet in files and reports."""
        return sha256_bytes(canonical_json(self.config()))[:12]

    def config(self) -> dict[str, Any]:
        """The subnet as JSON, active blocks only.

        `{"d": [...], "ks": [...], "e": [...], "r": int}`; with elastic widths
        `{"blocks": [...], "e": [...], "widths": [...], "r": int}`: blocks a stage and width ratios, under names of
        their own because the reference's `d` counts extra blocks there and its `w` holds indices.
        """
        if self.widths:
            expands = [expand for stage in self.stages[1:] for _, expand in stage]
            return {"blocks": list(self.depths), "e": expands, "widths": list(self.widths), "r": self.resolution}
        blocks = [block for stage in self.stages for block in stage]
        return {
            "d": list(self.depths),
            "ks": [kernel for kernel, _ in blocks],
            "e": [expand for _, expand in blocks],
            "r": self.resolution,
        }

    def at(self, resolution: int) -> "Subnet":
        """The same network at another input resolution."""
        return dataclasses.replace(self, resolution=resolution)
