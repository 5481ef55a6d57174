"""What a build from a supernet will do, decided and checked before any work starts."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from ofa_edge import extras
from ofa_edge.data.calibration import review_calibration
from ofa_edge.data.dataset import Images
from ofa_edge.errors import ConfigError, UnsupportedError, UsageError
from ofa_edge.files import sha256_file
from ofa_edge.latency.protocol import LatencyModel, ScaledLatency
from ofa_edge.network import Network
from ofa_edge.records.manifest import CalibrationRecord, LatencyPrediction
from ofa_edge.records.search import SustainedRecord
from ofa_edge.runtimes import FASTEST, Runtime
from ofa_edge.search.limits import Limit
from ofa_edge.search.load_predictor import Predictor, fitting, package_predictor
from ofa_edge.search.predictor import AccuracyPredictor
from ofa_edge.search.ranked_by import RankedBy, ranked_by
from ofa_edge.space import Space
from ofa_edge.supernet import zoo
from ofa_edge.supernet.zoo import SupernetPackage, open_supernet
from ofa_edge.targets import Sustained, Target
from ofa_edge.vocabulary import Precision, numbers
from ofa_edge.workflows.build.base import BuildOptions, Plan, prediction_record, require_times, resolve, target_files
from ofa_edge.workflows.build.constraints import Constraints, limits_of, require_able, searched_part
from ofa_edge.workflows.build.contenders import predictions_text
from ofa_edge.workflows.build.images import BuildData, build_data

MEASURED_CANDIDATES, MEASURED_BY_MACS = 8, 32  # with a predictor that ranks, and without one


@dataclass(frozen=True)
class SearchPlan:
    """What a search needs.

    Attributes:
        target: whose milliseconds count.
        runtime: of the artifact that is searched for.
        precision: likewise.
        package: the supernet, or one given network.
        data: images to calibrate with, and to choose among candidates.
        ranked: what the search goes by.
        latency: predicts milliseconds; of a warm device where `sustained` says so.
        budget_ms: what they may be.
        relative_budget: share of the largest subnet's latency; None where the user gave milliseconds.
        measure: subnets that may be measured.
        seed: of the search.
        constraints: what else the user asked for; `limits` and `part` are made of them.
        limits: what a subnet has to keep besides the budget.
        part: the part of the space that is left; None for all of it.
        sustained: what the target keeps of its speed.
        refined: SHA-256 of the refined latency model's file, where `latency` is not the target's own.
    """

    target: Target
    runtime: Runtime
    precision: Precision
    package: SupernetPackage
    data: BuildData[Images]
    ranked: RankedBy
    latency: LatencyModel
    budget_ms: float
    relative_budget: float | None
    measure: int = MEASURED_CANDIDATES
    seed: int = 0
    constraints: Constraints = field(default_factory=Constraints)
    limits: tuple[Limit, ...] = ()
    part: Space | None = None
    sustained: Sustained | None = None
    refined: str = ""

    @property
    def predictor(self) -> Predictor | None:
        """What predicts top-1, be it a line over MACs; None where nothing does."""
        return self.ranked.predictor

    @property
    def latency_digest(self) -> str:
        """SHA-256 of the file that holds the latency model."""
        return self.refined or sha256_file(self.target.latency_path)


@dataclass(frozen=True)
class SupernetPlan(Plan):
    """The plan of a build from a supernet, or of one network of a package."""

    data: BuildData[Images]
    search: SearchPlan

    @property
    def package(self) -> SupernetPackage:
        """Where the network comes from."""
        return self.search.package

    @property
    def budget_ms(self) -> float:
        """See `Plan`."""
        return self.search.budget_ms

    @property
    def sustained(self) -> SustainedRecord | None:
        """See `Plan`."""
        found = self.search.sustained
        return None if found is None else SustainedRecord(**found.model_dump())

    @property
    def searched_for(self) -> str:
        """See `Plan`."""
        return self.search.runtime.name

    @property
    def dataset(self) -> str | None:
        """See `Plan`."""
        return self.data.source if self.package.trained else None

    def predict(self, network: Network) -> LatencyPrediction:
        """See `Plan`. Where another runtime than that searched for has no model, the nearest, so labelled."""
        subnet, model = network.origin.subnet, self._model()
        assert subnet is not None
        return prediction_record(
            model.kind, model.predict(subnet), model.provenance, model.outside, model.parts(subnet)
        )

    def inputs(self) -> dict[str, tuple[Path, str]]:
        """See `Plan`."""
        return input_files(self.target, self.package)

    def _model(self) -> LatencyModel:
        runtime, search = self.export.runtime, self.search
        if runtime is search.runtime:
            return search.latency
        space, precision = self.package.space, self.export.precision
        try:
            model = runtime.latency_model(self.target, space, precision)
        except UsageError:
            model = runtime.latency_model(self.target, space, precision, outside_key=True)
        return model if search.sustained is None else ScaledLatency(model, search.sustained.factor)


def make_plan(
    options: BuildOptions, *, claim: bool = True, images: bool = True, predictor: AccuracyPredictor | None = None
) -> SupernetPlan:
    """Resolve and check everything that can be known without work.

    Args:
        options: what the user asked for.
        claim: whether something will be written to the output folder, which must then be ours.
        images: whether anything will be made and measured; a package without images will do where not, and no tools.
        predictor: in place of the package's own, for a search alone: the key of a build's search does not name it.

    Raises:
        UsageError: in one of its forms; nothing has been written.
    """
    found = resolve(options, claim=claim, make=images)
    if images:
        extras.require("train", "a build from a supernet")
    target, precision, contenders = found.target, found.precision, found.contenders
    package = open_supernet(options.supernet, untrained=options.untrained)
    if contenders is not None:
        said = predictions_text(contenders, target, package.space, precision)
        require_times(target, found.device, "compare runtimes for", "measure on", f"--runtime {FASTEST}", said)
    if package.subnet is None:
        require_able(package.name, package.space, target)
    elif options.refine:
        raise UnsupportedError(
            f"--refine has nothing to choose from in '{package.name}'",
            "it is one network, not a supernet",
            "leave out --refine: with --device NAME the network itself is measured",
        )
    search = _search_plan(options, target, found.runtime, precision, package, images, predictor)
    calibrates = numbers(precision).ranges and images and package.ranges is None
    ranges = _ranges(package, search.data) if calibrates else None
    export = found.export(ranges, search.data)
    return SupernetPlan(options, target, export, found.device, search.data, found.out, search)


def _search_plan(
    options: BuildOptions,
    target: Target,
    runtime: Runtime,
    precision: Precision,
    package: SupernetPackage,
    images: bool,
    predictor: AccuracyPredictor | None,
) -> SearchPlan:
    latency = runtime.latency_model(target, package.space, precision, outside_key=options.outside_key)
    own = package_predictor(package) if predictor is None else fitting(predictor, package)
    ranked = ranked_by(own, options.predictor)
    sustained = _sustained(options, target)
    if sustained is not None:
        latency = ScaledLatency(latency, sustained.factor)
    if ranked.predictor is None:
        _refuse_without_predictor(options, package)
    budget_ms, relative = _budget(options, target, package, latency)
    constraints, space = options.constraints, package.space
    return SearchPlan(
        target=target,
        runtime=runtime,
        precision=precision,
        package=package,
        data=build_data(package, options.data, options.seed, needed=images),
        ranked=ranked,
        latency=latency,
        budget_ms=budget_ms,
        relative_budget=relative,
        measure=options.measure or (MEASURED_BY_MACS if ranked.measures_more else MEASURED_CANDIDATES),
        seed=options.seed,
        constraints=constraints,
        limits=limits_of(constraints, space, runtime, precision, outside_key=options.outside_key),
        part=searched_part(constraints, space, target),
        sustained=sustained,
    )


def with_latency_model(plan: SupernetPlan, model: LatencyModel, digest: str) -> SupernetPlan:
    """The plan under another latency model: a budget relative to the largest subnet follows it."""
    budget_ms, relative = _budget(plan.options, plan.target, plan.package, model)
    search = replace(plan.search, latency=model, refined=digest, budget_ms=budget_ms, relative_budget=relative)
    return replace(plan, search=search)


def _refuse_without_predictor(options: BuildOptions, package: SupernetPackage) -> None:
    """Raise ConfigError for options that need a predictor of accuracy."""
    if options.measure is not None:
        raise ConfigError(
            "--measure without an accuracy predictor",
            f"'{package.name}' has none, so nothing proposes what to measure",
            "leave out --measure, or train a supernet (its run fits a predictor)",
        )
    if options.constraints.min_accuracy is not None:
        raise ConfigError(
            f"nothing predicts the accuracy of '{package.name}'",
            "--min-accuracy needs a predictor",
            "leave out --min-accuracy, or import the supernet with --predictor",
        )


def _sustained(options: BuildOptions, target: Target) -> Sustained | None:
    """The target's factor where the user asked for it. Raises UnsupportedError or ConfigError."""
    if not options.sustained:
        return None
    if target.sustained is None:
        raise UnsupportedError(
            f"--sustained: how fast {target.name} stays is not known",
            f"{target.path.name} has no [sustained] table: nobody's measurement of its throttled speed is at hand",
            "leave out --sustained, or add the table: factor = warm latency / cold latency, and its source",
        )
    if options.latency_ms is None:
        raise ConfigError(
            "--sustained without --latency-ms",
            "the default budget is a share of the largest subnet's latency, and that share is the same when warm",
            "--latency-ms X, in milliseconds of the warm device",
        )
    return target.sustained


def _budget(
    options: BuildOptions, target: Target, package: SupernetPackage, latency: LatencyModel
) -> tuple[float, float | None]:
    """Milliseconds, and their share of the largest subnet's latency where that is where they come from.

    One given network is not searched for: without --latency-ms it is held against the upper end of its own prediction.
    """
    if options.latency_ms is not None:
        return options.latency_ms, None
    if package.subnet is not None:
        return float(latency.predict(package.subnet).high90), None
    # With a minimum accuracy the latency is minimised, so any budget only limits it.
    relative = target.defaults.relative_budget if options.constraints.min_accuracy is None else 1.0
    return relative * float(latency.predict(package.space.largest()).ms), relative


def _ranges(package: SupernetPackage, data: BuildData[Images]) -> CalibrationRecord:
    preprocessing = package.preprocessing(package.space.resolutions[-1])
    return review_calibration(data.calibration, preprocessing, package.labels, data.labelled)


def input_files(target: Target, package: SupernetPackage) -> dict[str, tuple[Path, str]]:
    """Files that the build reads: name in the manifest -> (path, role)."""
    return {
        **target_files(target),
        **package_files(package),
    }


def package_files(package: SupernetPackage) -> dict[str, tuple[Path, str]]:
    """Those of them that are a supernet's."""
    files = {}
    weights = package.weights
    for name, role in (
        (weights.name if weights else zoo.WEIGHTS, "weights"),
        (zoo.PREDICTOR, "accuracy predictor"),
        (zoo.IMAGES, "images"),
    ):
        path = package.file(name)
        if path is not None:
            files[f"supernet/{name}"] = (path, role)
    return files


def weights_digest(package: SupernetPackage) -> str:
    """What identifies the weights: the file's SHA-256, or the seed of random ones."""
    path = package.weights
    return sha256_file(path) if path else f"untrained seed 0 {package.space.hash}"
