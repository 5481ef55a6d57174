"""Weights in the order in which a product reads them: [.., f] becomes [f / panel, .., panel].

A rule changes the function's signature; whoever calls it must lay the constant out likewise (`pack_array`).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.tvm.schedules.nest import Nest


def pack_weights(nest: Nest, weight: int, panel: int) -> None:
    """Change a function's weights [.., f], its parameter number `weight`, to [f / panel, .., panel]."""
    from tvm.tirx import IndexMap

    schedule = nest.schedule
    buffer = nest.params[weight]
    reads = schedule.get(nest.reduction).reads
    place = next(index for index, region in enumerate(reads) if region.source.same_as(buffer))

    def panels(*indices: Any) -> list[Any]:
        return [indices[-1] // panel, *indices[:-1], indices[-1] % panel]

    schedule.transform_layout(nest.reduction, ("read", place), IndexMap.from_func(panels, ndim=len(buffer.ty.shape)))


def pack_array(weights: NDArray[Any], panel: int) -> NDArray[Any]:
    """The values that `pack_weights` expects: [.., f] -> [f / panel, .., panel]."""
    *leading, channels = weights.shape
    return np.ascontiguousarray(np.moveaxis(weights.reshape(*leading, channels // panel, panel), -2, 0))
