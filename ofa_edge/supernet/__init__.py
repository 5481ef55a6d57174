"""The supernet: elastic layers, the slice rule, extraction, channel sorting, BN calibration and folding, weights."""
