"""Calibration of a latency model: units of a space, measured on a device."""
