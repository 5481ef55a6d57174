"""Operators of maps on signals: [N, C, L] is a map of height 1."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ofa_edge.export.tflite.tf_ops.site import Builder, Site
from ofa_edge.export.tflite.tf_ops.values import IMAGE, Value, ordered

_LINE = (0, 2, 1)  # of [N, C, L], channels last
_NEUTRAL = {"kernel_shape": 1, "strides": 1, "dilations": 1, "output_padding": 0, "output_shape": 1}


def of_lines_too(builder: Builder) -> Builder:
    """A function of maps that takes signals as well."""

    def build(site: Site) -> Value:
        if site.x.rank != 3:
            return builder(site)
        line = ordered(site.tf, site.x, _LINE).tensor
        image = Value(site.tf.expand_dims(line, 1), IMAGE)
        weights = (
            np.expand_dims(each, 2) if isinstance(each, np.ndarray) and each.ndim == 3 else each
            for each in site.args[1:]
        )
        node = replace(site.node, attributes=_lifted(site.node.attributes))
        y = builder(Site(site.tf, node, (image, *weights), site.source))
        return Value(site.tf.squeeze(ordered(site.tf, y, IMAGE).tensor, [1]), _LINE)

    return build


def _lifted(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of one axis as those of two, the first of which does nothing."""
    lifted = {
        name: (_NEUTRAL[name], *value) if name in _NEUTRAL else value
        for name, value in attributes.items()
        if name != "pads"
    }
    if "pads" in attributes:
        before, behind = attributes["pads"]
        lifted["pads"] = (0, before, 0, behind)
    return lifted
