"""The old name of `bn_recalibration`, for the modules that still use it."""

from ofa_edge.supernet.bn_recalibration import recalibrate_bn as calibrate

__all__ = ["calibrate"]
