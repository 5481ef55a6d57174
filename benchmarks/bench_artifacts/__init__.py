"""The parts of benchmarks/artifacts.py: networks, conversions, peers, checks, timing, and the page."""
