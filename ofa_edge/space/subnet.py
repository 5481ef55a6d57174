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

    Canonical by construction: it holds no entry for a skipped block. `widths` has the ratio of each elastic width.

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
        `{"blocks": [...], "ks": [...], "e": [...], "widths": [...], "r": int}`: blocks a stage and width ratios, under
        names of their own because the reference's `d` counts extra blocks there and its `w` holds indices. Where all
        kernels are 3 and the first stage's expand ratios 1, as in ResNets, `ks` and those ratios are left out.
        """
        blocks = [block for stage in self.stages for block in stage]
        kernels, expands = [kernel for kernel, _ in blocks], [expand for _, expand in blocks]
        if not self.widths:
            return {"d": list(self.depths), "ks": kernels, "e": expands, "r": self.resolution}
        ends = {"widths": list(self.widths), "r": self.resolution}
        first = self.depths[0]
        if set(kernels) <= {3} and set(expands[:first]) <= {1}:
            return {"blocks": list(self.depths), "e": expands[first:], **ends}
        return {"blocks": list(self.depths), "ks": kernels, "e": expands, **ends}

    def at(self, resolution: int) -> "Subnet":
        """The same network at another input resolution."""
        return dataclasses.replace(self, resolution=resolution)
