"""What ofa-edge is tested with, as public API: simulated devices, recordings, models of noise."""
