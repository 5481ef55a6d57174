"""Builds: made, verified on a device, run on photos; and model files inspected."""

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ofa_edge.api.models import Example, Model, as_onnx
from ofa_edge.api.options import build_options
from ofa_edge.builds import Build
from ofa_edge.cache import StageCache, default_root
from ofa_edge.export.inspect import Inspection, inspect_model
from ofa_edge.files import write_bytes
from ofa_edge.search.ranked_by import Choice
from ofa_edge.supernet.zoo import DEFAULT, SupernetPackage
from ofa_edge.targets import Target
from ofa_edge.vocabulary import Fit, Form, Precision, Suppression, Task
from ofa_edge.workflows.blame import IMAGES, blame_file
from ofa_edge.workflows.build.base import BuildOptions, given_model
from ofa_edge.workflows.build.constraints import Constraints
from ofa_edge.workflows.build.run import plan_build, run_build
from ofa_edge.workflows.build.stages import OnStage
from ofa_edge.workflows.run_photos import Answers, run_photos
from ofa_edge.workflows.verify import Limits, Verification
from ofa_edge.workflows.verify import verify as verify_folder


def build(
    target: str | Path | Target,
    *,
    supernet: str | Path | SupernetPackage = DEFAULT,
    model: Model | None = None,
    example: Example | None = None,
    labels: Sequence[str] | str | Path | None = None,
    task: Task | None = None,
    shape: Sequence[int] | Mapping[str, Sequence[int]] | None = None,
    output: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    fit: Fit | None = None,
    decode: Form | None = None,
    anchors: Sequence[float] | None = None,
    priors: str | Path | None = None,
    suppress: Suppression | None = None,
    untrained: bool = False,
    latency_ms: float | None = None,
    precision: Precision | None = None,
    runtime: str | None = None,
    data: str | Path | None = None,
    device: str = "auto",
    out: str | Path | None = None,
    constraints: Constraints | None = None,
    predictor: Choice = "auto",
    measure: int | None = None,
    refine: int = 0,
    tune: str = "0",
    tune_db: bool = True,
    sustained: bool = False,
    outside_key: bool = False,
    max_drop: str | None = None,
    photos: bool = True,
    seed: int = 0,
    on_stage: OnStage = lambda name, cached, seconds: None,
) -> Build:
    """Search, extract, calibrate, export, convert and verify a network for a target; or a network of your own.

    A gate that fails raises nothing: look at `manifest.outcome` and `manifest.verdicts` of the build. A build that was
    interrupted goes on from its cache when it is called again.

    Args:
        target: its name, its file, or what `load_target` gave.
        supernet: its name, its folder (also of one network), or what `open_supernet` gave.
        model: in place of a supernet: an ONNX file, a torch module, or a program of `torch.export`.
        example: a torch module's input or its shape, batch 1; of several inputs a tuple of tensors.
        labels: of `model`: its classes in the order of its output, or a file with one a line.
        task: of `model`: `classify`, `detect`, `segment`, or `features` for an output that is none of these.
        shape: of `model`'s input, where a file leaves sizes free; of several by name.
        output: of `model`: the one that counts; all by default.
        mean: of `model`'s pixels 0..255, by channel: input = (pixel - mean) / std.
        std: likewise.
        fit: how a picture of another shape becomes `model`'s input.
        decode: of a detector: what its outputs are.
        anchors: of heads that are cut before them: width and height of each, in pixels, the finest scale's first.
        priors: of a detector of SSD's kind: a .npz file of `priors` [N, 4], centre and size, 0..1.
        suppress: of a detector: `inside` puts decoding and suppression of boxes into the artifact.
        untrained: random weights for a published supernet: latency and conversion only.
        latency_ms: the budget; by default the target's share of the largest subnet's latency.
        precision: of the artifact; the target's by default.
        runtime: likewise; `fastest` measures all that the target can run in turn on the device, and keeps the fastest.
        data: an image folder of the same classes to verify on; for `model` also a .npz file of `images` or `inputs`,
            of several inputs of an array under the name of each.
        device: `auto`, `emulated`, `local`, `none`, or a device of yours.
        out: the output folder; out/TARGET by default.
        constraints: what else a subnet has to keep.
        predictor: what ranks subnets; `auto`: the accuracy predictor if it ranks them better than MACs do.
        measure: subnets that the search may measure; 8 by default.
        refine: candidates a round that are measured on the device, to correct the latency model by them.
        tune: how long schedules may be tuned on the device: 90s, 5m.
        tune_db: use what earlier tuning found.
        sustained: by the target's speed when it is warm.
        outside_key: where no latency model holds, take the nearest.
        max_drop: what int8 may lose: points of top-1 ("0.5") or "25dB"; the fewest layers that keep it so stay in fp32.
        photos: whether the folder may hold some of the test images, in the report and in golden/.
        seed: of the search.
        on_stage: told when a stage starts (seconds: None) and ends: name, whether it was cached, seconds.

    Raises:
        OfaEdgeError: nothing is left in the output folder that was not there before.
        KeyboardInterrupt: Ctrl-C.
    """
    with tempfile.TemporaryDirectory(prefix="ofa-edge-model-") as folder:
        given = given_model(
            None if model is None else as_onnx(model, example, Path(folder)),
            labels=_labels_file(labels, Path(folder)),
            task=task,
            shape=_shape_words(shape),
            output=output,
            mean=None if mean is None else tuple(mean),
            std=None if std is None else tuple(std),
            fit=fit,
            decode=decode,
            anchors=None if anchors is None else tuple(anchors),
            priors=None if priors is None else Path(priors),
            suppress=suppress,
        )
        options = build_options(
            target,
            supernet,
            untrained=untrained,
            model=given,
            latency_ms=latency_ms,
            precision=precision,
            runtime=runtime,
            data=None if data is None else Path(data),
            device=device,
            out=None if out is None else Path(out),
            constraints=constraints or Constraints(),
            predictor=predictor,
            measure=measure,
            refine=refine,
            tune=tune,
            tune_db=tune_db,
            sustained=sustained,
            outside_key=outside_key,
            max_drop=max_drop,
            photos=photos,
            seed=seed,
        )
        plan = plan_build(options)
        run_build(plan, StageCache(default_root()), _call(options), on_stage)
    return Build.open(plan.out)


def _shape_words(shape: Sequence[int] | Mapping[str, Sequence[int]] | None) -> str | None:
    """As after `--shape`."""
    if isinstance(shape, Mapping):
        return ",".join(f"{name}={_shape_words(each)}" for name, each in shape.items())
    return None if shape is None else "x".join(map(str, shape))


def _labels_file(labels: Sequence[str] | str | Path | None, folder: Path) -> Path | None:
    if labels is None or isinstance(labels, str | Path):
        return None if labels is None else Path(labels)
    path = folder / "labels.txt"
    write_bytes(path, "".join(f"{label}\n" for label in labels).encode())
    return path


def _call(options: BuildOptions) -> list[str]:
    """What was called, for the manifest: the arguments that are not defaults."""
    values = options.given()
    if options.model is not None:
        values["model"] = options.model.file.name  # it may be a file for the while of the build
    return ["ofa_edge.build", f"target={options.target}", *(f"{name}={value}" for name, value in values.items())]


def verify_build(
    build: Build | str | Path,
    device: str,
    *,
    data: str | Path | None = None,
    max_size: int | None = None,
    max_memory: int | None = None,
    release: bool = False,
) -> Verification:
    """Run a built artifact on a device again and judge it. The build's own folder is not changed.

    Args:
        build: or its folder.
        device: `local`, `emulated`, or a device of yours.
        data: the image folder that the build was made with, if any.
        max_size: bytes that the artifact may have.
        max_memory: bytes that the process which runs it may have at its peak.
        release: five sessions of 1,024 runs and 60 s.

    Raises:
        ConfigError: the folder is no build, was changed after it, or its supernet or images are not the same any more.
    """
    folder = build.folder if isinstance(build, Build) else Path(build)
    limits = Limits(max_size, max_memory)
    return verify_folder(folder, device, None if data is None else Path(data), limits, release)


def run(
    build: Build | str | Path, photos: str | Path | Sequence[str | Path], *, device: str = "local", top: int = 5
) -> Answers:
    """Run a built network on photos: for each photo, classes with probabilities, boxes, or shares of the picture.

    Args:
        build: or its folder.
        photos: an image file, a folder of them, or several.
        device: `local`, `emulated`, or a device of yours.
        top: how many classes of each photo, or boxes in it.

    Raises:
        ConfigError: no build, one that takes no images, or one whose outputs have no meaning.
        DataError: no photos, or one that cannot be read.
        DeviceError: the device was lost, is taken, or its program failed.
    """
    folder = build.folder if isinstance(build, Build) else Path(build)
    paths = [photos] if isinstance(photos, str | Path) else photos
    return run_photos(folder, [Path(each) for each in paths], device, top)


def inspect(
    model: str | Path,
    *,
    profile: bool = False,
    shape: Sequence[int] | Mapping[str, Sequence[int]] | None = None,
    against: str | Path | None = None,
    data: str | Path | None = None,
    images: int = IMAGES,
) -> Inspection:
    """What is slow or inexact in a .tflite, .onnx or .so file, whoever made it, and how to mend it.

    Args:
        model: the file.
        profile: also time each operator on this machine: of a TFLite file alone, of an ONNX file in the whole.
        shape: of an ONNX file's input where it leaves sizes free, batch 1; of several inputs, by name.
        against: the ONNX file that an int8 TFLite file was made from: `blame` then says what each layer costs.
        data: images for it, in folders by class; those in the package by default, if the classes are the same.
        images: how many of them at most.

    Raises:
        ModelFileError: no such file, or it is damaged, or none of these kinds.
        ConfigError: shapes that do not fit the file, or for another kind of file.
    """
    found = inspect_model(Path(model), profile, _shape_words(shape))
    if against is None:
        return found
    blamed = blame_file(Path(model), Path(against), None if data is None else Path(data), images)
    return dataclasses.replace(found, blame=blamed)
