"""Latency models: what a subnet takes on a target, in milliseconds, with an honest interval.

Every model answers one protocol (`LatencyModel`): a subnet in, an `Interval` out; and says where its numbers come from.
"""

from ofa_edge.latency.load import load_latency_model
from ofa_edge.latency.protocol import CrossValidation, Interval, Key, LatencyModel, Provenance

__all__ = ["CrossValidation", "Interval", "Key", "LatencyModel", "Provenance", "load_latency_model"]
