"""The nightly run: a fleet of devices, golden against candidate, a history that only grows."""
