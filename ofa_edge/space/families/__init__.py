"""Families of networks as data: what all spaces of a family share (Once-For-All, appendix B, and its reference).

`FAMILIES` is the one place that lists them, by the name that files and recipes have.
"""

from ofa_edge.space.families.family import CLASSIFIER, Family, StageShape
from ofa_edge.space.families.mobilenet_v3 import MOBILENET_V3
from ofa_edge.space.families.proxyless import PROXYLESS
from ofa_edge.space.families.resnet import RESNET

__all__ = ["CLASSIFIER", "FAMILIES", "MOBILENET_V3", "Family", "StageShape"]

FAMILIES: dict[str, Family] = {"ofa_mobilenetv3": MOBILENET_V3, "ofa_proxyless": PROXYLESS, "ofa_resnet": RESNET}
