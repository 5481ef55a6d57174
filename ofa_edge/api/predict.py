"""Predicted latency on a target: of a subnet, or of any ONNX network. Nothing runs."""

from dataclasses import dataclass
from pathlib import Path

from ofa_edge.errors import ConfigError
from ofa_edge.export.onnx.given_inputs import named_shapes, parse_shape
from ofa_edge.latency.analytic import AnalyticModel, Coefficients
from ofa_edge.latency.of_file import predict_read
from ofa_edge.latency.onnx_operators import OnnxNetwork, read_operators
from ofa_edge.latency.protocol import Interval, Key, OutsideKey, Provenance, Share
from ofa_edge.runtimes import Runtime, precisions_for, require, runtime_named
from ofa_edge.space import Space, Subnet
from ofa_edge.supernet.zoo import DEFAULT, SupernetPackage, open_space
from ofa_edge.targets import Target, load_target
from ofa_edge.vocabulary import Precision, numbers


@dataclass(frozen=True)
class Prediction:
    """What a network takes on a target, batch 1: predicted, not measured.

    Attributes:
        target: its name.
        interval: milliseconds, with the intervals that hold half and nine tenths of true latencies.
        parts: where they go, block by block or operator by operator.
        key: what the model's numbers hold for.
        provenance: where they come from.
        outside: how the question lies outside the key, a sentence each; the interval is wider then.
        unknown: operators that the model does not know.
        coefficients: of an analytic model of subnets.
    """

    target: str
    interval: Interval
    parts: tuple[Share, ...]
    key: Key
    provenance: Provenance
    outside: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    coefficients: Coefficients | None = None

    @property
    def ms(self) -> float:
        """The median, in milliseconds."""
        return float(self.interval.ms)


def predict(
    network: Subnet | str | Path,
    target: str | Path | Target,
    *,
    supernet: str | Path | SupernetPackage | Space = DEFAULT,
    runtime: str | None = None,
    precision: Precision | None = None,
    shape: str | None = None,
    runtime_version: str | None = None,
    outside_key: bool = False,
) -> Prediction:
    """Predict the latency of a subnet or of an ONNX file on a target.

    Args:
        network: a subnet, or the path of any ONNX file.
        target: its name, its file, or what `load_target` gave.
        supernet: whose subnet it is, or its space; without meaning for a file.
        runtime: the target's by default.
        precision: likewise; for a file that computes in int8 or has fp16 weights, its own where the target has it.
        shape: of a file's input where it leaves sizes free, `1x3x224x224`; of several `NAME=1x3x224x224,NAME=...`.
        runtime_version: for a file: a version that the target's latency file knows.
        outside_key: where no latency model holds, take the nearest and widen the interval.

    Raises:
        UsageError: in one of its forms: nothing predicts this, or a name or a file is wrong.
    """
    known = target if isinstance(target, Target) else load_target(target)
    read = None if isinstance(network, Subnet) else read_operators(Path(network), _shapes(shape))
    chosen = precision or (_own_precision(read, known, runtime) if read else known.defaults.precision)
    found = require(known, runtime or known.runtime.kind, chosen)
    outside_key = outside_key or not found.modelled
    if read is None:
        assert isinstance(network, Subnet)
        return _of_subnet(network, known, _space(supernet), found, chosen, outside_key)
    if read.stored == "int8" and numbers(chosen).base != "int8":
        raise ConfigError(
            f"{network} computes in int8, and a prediction in {chosen} is asked for",
            "what it takes in other numbers, the network before it was quantised says",
            f"--precision int8, or predict the network that {Path(str(network)).name} was made from",
        )
    return _of_file(read, known, found.name, chosen, runtime_version, outside_key)


def _shapes(shape: str | None) -> dict[str, tuple[int, ...]]:
    return {name: parse_shape(text) for name, text in (named_shapes(shape) if shape else {}).items()}


def _own_precision(network: OnnxNetwork, target: Target, runtime: str | None) -> Precision:
    """A file's own where the runtime makes it on the target; else the target's default."""
    own: Precision = network.stored
    plain = target.defaults.precision
    made = precisions_for(target, runtime_named(runtime or target.runtime.kind))
    return own if own != "fp32" and own in made else plain


def _space(supernet: str | Path | SupernetPackage | Space) -> Space:
    if isinstance(supernet, Space):
        return supernet
    return supernet.space if isinstance(supernet, SupernetPackage) else open_space(str(supernet))


def _of_subnet(
    subnet: Subnet, target: Target, space: Space, runtime: Runtime, precision: Precision, outside_key: bool
) -> Prediction:
    model = runtime.latency_model(target, space, precision, outside_key=outside_key)
    inner = model.model if isinstance(model, OutsideKey) else model
    return Prediction(
        target=target.name,
        interval=model.predict(space.check(subnet)),
        parts=model.parts(subnet),
        key=model.key,
        provenance=model.provenance,
        outside=model.outside,
        coefficients=inner.coefficients if isinstance(inner, AnalyticModel) else None,
    )


def _of_file(
    network: OnnxNetwork, target: Target, runtime: str, precision: Precision, version: str | None, outside_key: bool
) -> Prediction:
    found = predict_read(network, target, runtime, precision, version, outside_key=outside_key)
    return Prediction(
        target=target.name,
        interval=found.interval,
        parts=found.parts,
        key=found.key,
        provenance=found.provenance,
        outside=found.outside,
        unknown=found.unknown,
    )
