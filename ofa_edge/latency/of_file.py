"""Latency of the network in an ONNX file on a target: its latency model over the file's operators."""

from dataclasses import dataclass
from pathlib import Path

from ofa_edge.errors import UnsupportedError
from ofa_edge.latency.load import AnalyticFacts, find_facts
from ofa_edge.latency.network import predict_network
from ofa_edge.latency.onnx_operators import OnnxNetwork, read_operators
from ofa_edge.latency.protocol import Interval, Key, Provenance, Share
from ofa_edge.targets import Target
from ofa_edge.vocabulary import Precision


@dataclass(frozen=True)
class FilePrediction:
    """What a file's network takes, batch 1: predicted, not measured.

    Attributes:
        interval: milliseconds.
        parts: where they go, operator by operator, then the call.
        key: what the model's numbers hold for.
        provenance: where they come from.
        outside: how the question lies outside the key, a sentence each; the interval is wider for it.
        unknown: operators that the model does not know.
    """

    interval: Interval
    parts: tuple[Share, ...]
    key: Key
    provenance: Provenance
    outside: tuple[str, ...]
    unknown: tuple[str, ...]


def predict_file(
    file: Path,
    target: Target,
    runtime: str,
    precision: Precision,
    version: str | None = None,
    *,
    outside_key: bool = False,
) -> FilePrediction:
    """Predict the network in a file, every shape known. Arguments and errors: see `predict_read`.

    Raises:
        ConfigError: the file cannot be read.
    """
    return predict_read(read_operators(file), target, runtime, precision, version, outside_key=outside_key)


def predict_read(
    network: OnnxNetwork,
    target: Target,
    runtime: str,
    precision: Precision,
    version: str | None = None,
    *,
    outside_key: bool = False,
) -> FilePrediction:
    """Predict.

    Args:
        network: of one image a call.
        target: whose latency file is asked.
        runtime: by name.
        precision: of the artifact.
        version: of the runtime, that the latency file knows.
        outside_key: where no model holds, take the nearest and widen the interval.

    Raises:
        UnsupportedError: no model of the target takes such a network.
    """
    facts, outside, doubt = find_facts(target, runtime, precision, version, outside_key=outside_key)
    if not isinstance(facts, AnalyticFacts):
        raise UnsupportedError(
            f"the latency model of {target.name} is a table",
            "it holds the blocks of one space, and nothing about other networks",
            "ofa-edge predict --target with an analytic model; see: ofa-edge targets list",
        )
    found = predict_network(network, facts.read())
    interval, parts = found.interval, found.parts
    if facts.silicon is not None:
        interval, parts = facts.silicon.of_interval(interval).at(()), facts.silicon.of_parts(parts)
    return FilePrediction(
        interval=interval.widened(doubt).at(()) if outside else interval,
        parts=parts,
        key=facts.key,
        provenance=facts.provenance,
        outside=tuple(outside.values()),
        unknown=found.unknown,
    )
