"""One build's folder as a candidate for the app: TFLite, whole, proved, and such that the app can run it."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ofa_edge.builds import Build
from ofa_edge.bundle.names import check_name, slug
from ofa_edge.bundle.record import Measured, ModelEntry, Predicted, model_paths
from ofa_edge.errors import ConfigError, GateError, OfaEdgeError, UnsupportedError
from ofa_edge.files import sha256_bytes, sha256_file
from ofa_edge.output import MANIFEST
from ofa_edge.records.manifest import FileRecord, Manifest
from ofa_edge.runtimes import runtimes
from ofa_edge.shown import pasteable

APP_ARCH = "aarch64"  # of the app's runtime: arm64-v8a
_IO_TYPES = {0: "float32", 3: "uint8", 9: "int8"}  # of TFLite's schema, those that the app reads and writes
_PROOFS = ("parity", "accuracy")  # gates that every build has


@dataclass(frozen=True)
class CheckedBuild:
    """A checked build: its entry in `bundle.json` (samples not yet chosen) and the two files."""

    entry: ModelEntry
    manifest: Manifest
    model: bytes
    labels: bytes
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class _Shapes:
    """Of the model's one input [1, H, W, C] and one output [1, classes]."""

    size: int
    channels: int
    classes: int
    labels: tuple[str, ...]


def check_build(folder: Path, name: str | None = None, *, allow_unverified: bool = False) -> CheckedBuild:
    """Check the folder of a build.

    Args:
        folder: that `ofa-edge build` made.
        name: of the model in the app; by default TARGET-PRECISION.
        allow_unverified: take what has not passed parity and accuracy, or is untrained; it is labelled so.

    Raises:
        ConfigError: not a build, changed after it, or its parts do not fit together.
        UnsupportedError: not TFLite, or not for arm64.
        GateError: not proved.
        UsageError: a name that no model may have.
    """
    build = Build.open(folder)
    manifest, target = build.manifest, build.manifest.target
    able = [name for name, runtime in runtimes().items() if runtime.app]
    again = pasteable("ofa-edge", "build", "--target", target.name, "--runtime", able[0])
    if not build.runtime.app:
        raise UnsupportedError(
            f"the app does not run {target.runtime} artifacts", f"{folder}: runtime {target.runtime}", again
        )
    if target.arch != APP_ARCH:
        raise UnsupportedError(
            f"built for {target.arch}",
            f"{folder}: the app's runtime is for {APP_ARCH} (arm64-v8a)",
            "ofa-edge build --target pixel-4, or another of an arm64 board: ofa-edge targets list",
        )
    outputs = manifest.network.outputs
    if len(outputs) != 1 or outputs[0].task != "classify":
        raise UnsupportedError(
            "the app runs classifiers",
            f"{folder}: {', '.join(f'{each.name} {list(each.shape)}, {each.task}' for each in outputs)}",
            "bundle a build of one row of logits (--task classify)",
        )
    said = manifest.network.inputs[0].preprocessing or {}
    if "framing" in said:
        raise UnsupportedError(
            "the app brings pictures into their frame in one way: the middle square, by a triangle filter",
            f"{folder}: the network was evaluated with {said['framing']}",
            "leave out the file's pretrained_cfg (or the config.json beside it) and give --mean and --std",
        )
    verified = _proved(folder, manifest, allow_unverified)
    artifact, listed = (_output(folder, manifest, role) for role in ("artifact", "labels"))
    model, labels = ((folder / record.path).read_bytes() for record in (artifact, listed))
    if (sha256_bytes(model), sha256_bytes(labels)) != (artifact.sha256, listed.sha256):
        raise ConfigError("the build is changing", f"{folder}: a file changed while it was read", "try again")
    shapes = _read_shapes(folder / artifact.path, model)
    _check_labels(folder, labels.decode("utf-8", "replace").splitlines(), shapes)
    _check_shapes(folder, manifest, shapes)
    chosen = check_name(name if name is not None else slug(f"{target.name}-{target.precision}"))
    entry = _entry(chosen, manifest, artifact, listed, shapes, verified, sha256_file(folder / MANIFEST))
    return CheckedBuild(entry, manifest, model, labels, shapes.labels)


def _proved(folder: Path, manifest: Manifest, allow_unverified: bool) -> bool:
    """Whether parity, accuracy and every other gate but latency passed: only a phone can pass that one."""
    outcomes = {verdict.gate: verdict for verdict in manifest.verdicts if verdict.gate != "latency"}
    missing = [gate for gate in _PROOFS if gate not in outcomes]
    failed = [verdict for verdict in outcomes.values() if verdict.outcome != "pass"]
    if (missing or failed) and not allow_unverified:
        why = (
            f"{missing[0]}: was not judged" if missing else f"{failed[0].gate} {failed[0].outcome}: {failed[0].reason}"
        )
        raise GateError(
            f"not verified: {folder}",
            why,
            "build it again until it passes, or --allow-unverified: it is then labelled so",
        )
    return not (missing or failed)


def _output(folder: Path, manifest: Manifest, role: str) -> FileRecord:
    found = [record for record in manifest.outputs if record.role == role]
    if len(found) != 1:
        raise ConfigError(
            f"no single {role} in the build", f"{folder}: its manifest lists {len(found)}", "run ofa-edge build again"
        )
    return found[0]


def _read_shapes(path: Path, content: bytes) -> _Shapes:
    """What the model says about itself. The reader is not made for hostile files: whatever it trips over is damage."""
    from ai_edge_litert import schema_py_generated as schema

    from ofa_edge.export.tflite.metadata import read_metadata

    try:
        metadata = read_metadata(path)
        graph = schema.Model.GetRootAs(content).Subgraphs(0)
        if (graph.InputsLength(), graph.OutputsLength()) != (1, 1):
            raise ConfigError(
                "a model with several inputs or outputs",
                f"{path}: {graph.InputsLength()} inputs, {graph.OutputsLength()} outputs",
                "the app runs classifiers: one image in, one score for each class out",
            )
        source, sink = graph.Tensors(graph.Inputs(0)), graph.Tensors(graph.Outputs(0))
        shape, scores = _dimensions(source), _dimensions(sink)
        types = [source.Type(), sink.Type()]
    except OfaEdgeError:
        raise
    except (struct.error, ValueError, TypeError, AttributeError, IndexError, OverflowError, KeyError) as error:
        raise ConfigError("not a TFLite model", f"{path}: {type(error).__name__}: {error}", "build again") from error
    square = len(shape) == 4 and shape[0] == 1 and shape[1] == shape[2] and shape[3] in (1, 3)
    if not square or len(scores) != 2 or scores[0] != 1:
        raise ConfigError(
            "not a model that the app can run",
            f"{path}: input {list(shape)}, output {list(scores)}; wanted [1, S, S, 1 or 3] and [1, classes]",
            "use an artifact of ofa-edge build",
        )
    if any(kind not in _IO_TYPES for kind in types):
        raise ConfigError(
            "not a model that the app can run",
            f"{path}: types {types} of input and output; the app has {', '.join(_IO_TYPES.values())}",
            "use an artifact of ofa-edge build",
        )
    return _Shapes(shape[1], shape[3], scores[1], metadata.labels)


def _dimensions(tensor: Any) -> tuple[int, ...]:
    return tuple(int(tensor.Shape(index)) for index in range(tensor.ShapeLength()))


def _check_labels(folder: Path, listed: Sequence[str], shapes: _Shapes) -> None:
    if len(listed) != shapes.classes or tuple(listed) != shapes.labels:
        raise ConfigError(
            "the labels do not fit the model",
            f"{folder}: {len(listed)} lines in the file, {len(shapes.labels)} labels in the model, "
            f"{shapes.classes} scores",
            "run ofa-edge build again",
        )


def _check_shapes(folder: Path, manifest: Manifest, shapes: _Shapes) -> None:
    said = manifest.network.inputs[0].shape
    if (1, shapes.channels, shapes.size, shapes.size) != said:
        raise ConfigError(
            "the model is not the manifest's",
            f"{folder}: input {shapes.size} px, {shapes.channels} channels; the manifest says {list(said)}",
            "run ofa-edge build again",
        )


def _entry(
    name: str,
    manifest: Manifest,
    artifact: FileRecord,
    labels: FileRecord,
    shapes: _Shapes,
    verified: bool,
    manifest_sha256: str,
) -> ModelEntry:
    rung = next((item for item in manifest.ladder if item.file == artifact.path), None)
    physical = [item for item in manifest.measurements if item.latency_ms is not None and item.kind == "physical"]
    prediction, target, network = manifest.prediction, manifest.target, manifest.network
    file, labels_file = model_paths(name)
    return ModelEntry(
        name=name,
        file=file,
        sha256=artifact.sha256,
        size=artifact.size,
        labels=labels_file,
        labels_sha256=labels.sha256,
        classes=shapes.classes,
        precision=target.precision,
        target=target.name,
        network=manifest.network_id,
        resolution=shapes.size,
        channels=shapes.channels,
        macs=network.macs,
        params=network.params,
        source=network.source,
        trained=network.trained,
        verified=verified,
        manifest_sha256=manifest_sha256,
        top1=rung.top1 if rung else None,
        top1_images=rung.images if rung and rung.top1 is not None else 0,
        predicted_ms=None
        if prediction is None
        else Predicted(
            ms=prediction.ms, low90=prediction.low90, high90=prediction.high90, provenance=prediction.provenance
        ),
        measured_ms=_measured(physical[-1].name, physical[-1].latency_ms) if physical else None,
        threads=target.threads,
    )


def _measured(device: str, latency: Any) -> Measured:
    return Measured(p50=latency.p50, p90=latency.p90, device=device)
