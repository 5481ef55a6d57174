"""Latency of a network that is of no search space, with what each operator takes of it."""

from dataclasses import dataclass

import numpy as np

from ofa_edge.latency.analytic import TERMS, Coefficients, amounts, shares
from ofa_edge.latency.onnx_operators import OnnxNetwork
from ofa_edge.latency.protocol import Interval, Share

# Standard deviation of the logarithm of what an unknown operator takes: its bytes are the least of it.
_UNKNOWN = 1.5
_LEAST_DOUBT = 0.1  # of the network, where it holds unknown operators at all


@dataclass(frozen=True)
class NetworkPrediction:
    """The latency of a network and where it goes: its operators in order, then the call."""

    interval: Interval
    parts: tuple[Share, ...]
    unknown: tuple[str, ...]


def predict_network(network: OnnxNetwork, coefficients: Coefficients) -> NetworkPrediction:
    """Predict an ONNX network's latency; unknown operators widen the interval."""
    rows = [coefficients.ms * amounts((item.operator,), coefficients.lowering) for item in network.operators]
    rows.append(coefficients.ms * np.eye(len(TERMS))[-1])
    names = [*((item.name, item.op) for item in network.operators), ("call", "")]
    parts = shares(names, np.array(rows))
    strange = sum(part.share for part, item in zip(parts, network.operators, strict=False) if not item.known)
    doubt = max(_LEAST_DOUBT, _UNKNOWN * strange) if network.unknown else 0.0
    interval = coefficients.interval(np.sum(rows, axis=0)[None], doubt).at(0)
    return NetworkPrediction(interval, parts, network.unknown)
