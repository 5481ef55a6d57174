"""The supernet: elastic layers, the one slice rule, extraction, channel sorting, BN calibration, weights."""
