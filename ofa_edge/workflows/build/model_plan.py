"""What a build of a given network will do, decided and checked before any work starts."""

from dataclasses import dataclass
from pathlib import Path

from ofa_edge import extras
from ofa_edge.data.calibration import review_calibration
from ofa_edge.data.dataset import Images, Samples
from ofa_edge.errors import ConfigError, UnsupportedError, UsageError
from ofa_edge.export.onnx.given import Given, read_given
from ofa_edge.export.onnx.pieces import Piece
from ofa_edge.latency.of_file import predict_file
from ofa_edge.network import Interface, Network
from ofa_edge.records.manifest import CalibrationRecord, LatencyPrediction
from ofa_edge.runtimes import FASTEST
from ofa_edge.schema import changed
from ofa_edge.vocabulary import numbers
from ofa_edge.workflows.build.base import (
    BuildOptions,
    ModelOptions,
    Plan,
    prediction_record,
    require_times,
    resolve,
    target_files,
)
from ofa_edge.workflows.build.images import BuildData
from ofa_edge.workflows.build.model_images import model_data
from ofa_edge.workflows.build.model_interface import interface_of
from ofa_edge.workflows.build.steady_inputs import steady_kinds
from ofa_edge.workflows.build.suppression import require_suppressible

_FOR_A_SEARCH = {  # options of a build that choose among subnets
    "supernet": "--supernet",
    "untrained": "--untrained",
    "refine": "--refine",
    "measure": "--measure",
    "predictor": "--predictor",
    "sustained": "--sustained",
    "constraints": "--max-macs, --max-size, --max-memory, --min-accuracy, --kernels and --also",
}


@dataclass(frozen=True)
class ModelPlan(Plan):
    """The plan of a build of a given network.

    Attributes:
        given: the file.
        interface: what goes in and comes out.
        assumed: what it does not say of itself and nobody gave, a sentence each.
        pieces: of the file's one output, where they are the outputs of the interface.
        beside: files beside it that said something of it.
    """

    given: Given
    interface: Interface
    assumed: tuple[str, ...]
    pieces: tuple[Piece, ...]
    beside: tuple[Path, ...]

    @property
    def budget_ms(self) -> float | None:
        """See `Plan`: what the user gave, or nothing."""
        return self.options.latency_ms

    @property
    def dataset(self) -> str | None:
        """See `Plan`."""
        return self.data.source if self.data.judged else None

    @property
    def suppresses_inside(self) -> bool:
        """Whether the artifact is to decode and suppress its boxes itself."""
        return self.options.model is not None and self.options.model.suppress == "inside"

    def predict(self, network: Network) -> LatencyPrediction | None:
        """See `Plan`. Where the target has no model of the runtime, the nearest, so labelled."""
        runtime, precision = self.export.runtime, self.export.precision
        for outside in dict.fromkeys((self.options.outside_key or not runtime.modelled, True)):
            try:
                found = predict_file(network.onnx, self.target, runtime.name, precision, outside_key=outside)
            except UsageError:
                continue
            unknown = (f"{name} is counted as the bytes that it moves" for name in found.unknown)
            return prediction_record(
                "analytic", found.interval, found.provenance, (*found.outside, *unknown), found.parts
            )
        return None

    def inputs(self) -> dict[str, tuple[Path, str]]:
        """See `Plan`."""
        said = {f"model/{each.name}": (each, "configuration") for each in self.beside}
        files = {f"model/{each.name}": (each, "network") for each in self.given.files}
        return target_files(self.target) | said | files


def make_model_plan(options: BuildOptions, *, claim: bool = True) -> ModelPlan:
    """Resolve and check everything that can be known without work.

    Args:
        options: what the user asked for; its `model` names the file.
        claim: whether something will be written to the output folder, which must then be ours.

    Raises:
        UsageError: in one of its forms; nothing has been written.
    """
    model = options.model
    assert model is not None
    _refuse_search(options, model)
    given = read_given(model.file, model.shape, model.output)
    found = resolve(options, claim=claim)
    extras.require("export", "a build of a given network")
    if found.contenders is not None:
        require_times(found.target, found.device, "compare runtimes for", "measure on", f"--runtime {FASTEST}")
    folder = options.data if options.data is not None and options.data.is_dir() else None
    known = interface_of(given, model, folder, apart=numbers(found.precision).ranges)
    if model.suppress == "inside":
        require_suppressible(options, found, known.interface)
    if options.data is None and not given.takes_images:
        _require_whole_numbers(given)
    if given.quantised and found.precision != "int8":
        raise ConfigError(
            f"{given.path.name} is quantised already",
            f"its integers are kept, and an artifact in {found.precision} would not be one",
            "--precision int8, or give the network in floats",
        )
    if options.max_drop is not None and len(given.inputs) > 1:
        raise UnsupportedError(
            "--max-drop of a network of several inputs",
            f"{given.path.name} has {len(given.inputs)}: its layers cannot be told apart",
            "leave out --max-drop; --precision fp16 or dynamic lose less than int8",
        )
    kinds = steady_kinds(given, known.interface) if options.data is None and given.takes_images else ()
    data = model_data(known.interface, options.data, options.seed, kinds)
    ranges = _ranges(known.interface, data) if numbers(found.precision).ranges else None
    export = found.export(ranges, data)
    return ModelPlan(
        options,
        found.target,
        export,
        found.device,
        data,
        found.out,
        given,
        known.interface,
        known.assumed,
        known.pieces,
        known.beside,
    )


def _require_whole_numbers(given: Given) -> None:
    """Raise ConfigError for an input that random numbers might be no valid values of."""
    whole = [each for each in given.inputs if each.whole]
    if whole:
        names = ", ".join(f"`{each.name}`" for each in given.inputs) if len(given.inputs) > 1 else "`inputs`"
        raise ConfigError(
            f"{given.path.name} takes whole numbers, and none were given",
            "; ".join(f"'{each.name}' is {each.dtype} {list(each.shape)}" for each in whole)
            + ": random ones might be no valid input",
            f"--samples FILE.npz with {'arrays' if len(given.inputs) > 1 else 'an array'} {names}",
        )


def _refuse_search(options: BuildOptions, model: ModelOptions) -> None:
    """Raise UnsupportedError for options that choose among subnets."""
    given = options.given()
    for name, words in _FOR_A_SEARCH.items():
        if name in given:
            raise UnsupportedError(
                f"--model with {words}",
                f"{model.file.name} is one network: there is nothing to choose from",
                "leave one of them out; ofa-edge verify --max-size and --max-memory judge what was built",
            )


def _ranges(interface: Interface, data: BuildData[Samples]) -> CalibrationRecord:
    """What the inputs say that int8 ranges are set on."""
    source, output = interface.inputs[0], interface.outputs[0]
    if isinstance(data.calibration, Images) and source.preprocessing is not None:
        found = review_calibration(data.calibration, source.preprocessing, output.labels, data.labelled)
    else:
        values = data.calibration.values
        found = CalibrationRecord(images=len(values), low=float(values.min()), high=float(values.max()))
    if data.own:
        return found
    words = "they are random: --data or --samples with inputs like those that the network will see"
    return changed(found, warnings=(words, *found.warnings))
