"""Latency of the network in an ONNX file on a target: its latency model over the file's operators."""

from dataclasses import dataclass
from pathlib import Path

from ofa_edge.errors import UnsupportedError
from ofa_edge.latency.load import AnalyticFacts, doubt_of, find_facts
from ofa_edge.latency.network import predict_network
from ofa_edge.latency.onnx_operators import read_operators
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
        unknown: operators that the model does not know, counted as the bytes that they move.
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
    """Predict.

    Args:
        file: an ONNX file of one image a call, every shape known.
        target: whose latency file is asked.
        runtime: by name.
        precision: of the artifact.
        version: of the runtime, that the latency file knows.
        outside_key: where no model holds, take the nearest and widen the interval.

    Raises:
        UnsupportedError: no model of the target takes such a network.
        ConfigError: the file cannot be read.
    """
    facts, outside = find_facts(target, runtime, precision, version, outside_key=outside_key)
    if not isinstance(facts, AnalyticFacts):
        raise UnsupportedError(
            f"the latency model of {target.name} is a table",
            "it holds the blocks of one space, and nothing about other networks",
            "ofa-edge predict --target with an analytic model; see: ofa-edge targets list",
        )
    found = predict_network(read_operators(file), facts.read())
    interval, parts = found.interval, found.parts
    if facts.silicon is not None:
        interval, parts = facts.silicon.of_interval(interval).at(()), facts.silicon.of_parts(parts)
    return FilePrediction(
        interval=interval.widened(doubt_of(outside)).at(()) if outside else interval,
        parts=parts,
        key=facts.key,
        provenance=facts.provenance,
        outside=tuple(outside.values()),
        unknown=found.unknown,
    )
