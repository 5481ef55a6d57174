"""Latency of a network that is of no search space, with what each operator takes of it."""

from dataclasses import dataclass

import numpy as np

from ofa_edge.latency.analytic import TERMS, Coefficients, amounts, shares
from ofa_edge.latency.onnx_operators import OnnxNetwork
from ofa_edge.latency.protocol import Interval, Share

_LEAST_DOUBT = 0.1  # of a network that holds unknown operators at all


@dataclass(frozen=True)
class NetworkPrediction:
    """The latency of a network and where it goes: its operators in order, then the call."""

    interval: Interval
    parts: tuple[Share, ...]
    unknown: tuple[str, ...]


def predict_network(network: OnnxNetwork, coefficients: Coefficients) -> NetworkPrediction:
    """Predict an ONNX network's latency; operators that nobody measured widen the interval by what they may cost."""
    rows = [coefficients.ms * amounts((item.operator,), coefficients.lowering) for item in network.operators]
    rows.append(coefficients.ms * np.eye(len(TERMS))[-1])
    names = [*((item.name, item.op) for item in network.operators), ("call", "")]
    parts = shares(names, np.array(rows))
    # Those of one network are wrong together: their shares add up, not their squares.
    doubt = sum(part.share * item.doubt for part, item in zip(parts, network.operators, strict=False))
    if network.unknown:
        doubt = max(_LEAST_DOUBT, doubt)
    interval = coefficients.interval(np.sum(rows, axis=0)[None], doubt).at(0)
    return NetworkPrediction(interval, parts, network.unknown)
