"""ONNX -> TFLite, and running the result with LiteRT.

The conversion runs in a process of its own (`worker`, forked from one that has imported TensorFlow): TensorFlow's C++
log, its memory and its crashes stay there, and every conversion starts from the same state, which is half of giving the
same bytes twice.
"""

import json
import math
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.calibration import USUAL, check_normalised
from ofa_edge.data.pixels import dequantise, quantise
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.errors import ConversionError, DataError, UnknownNameError, UnsupportedError
from ofa_edge.export.onnx.graph import Graph, read_graph
from ofa_edge.export.onnx.lifted import lift
from ofa_edge.export.onnx.nodes import PartRefusedError
from ofa_edge.export.onnx.part import save_part
from ofa_edge.export.process import how_it_ended, what_to_try
from ofa_edge.export.tflite.flatbuffer import operator_names, unpack
from ofa_edge.export.tflite.process import run_tensorflow
from ofa_edge.export.tflite.rewrites import FITTED, names
from ofa_edge.export.tflite.running import run_tflite
from ofa_edge.export.tflite.scales import check_scales
from ofa_edge.export.tflite.tf_ops import check_operators
from ofa_edge.files import atomic_path
from ofa_edge.records.ranges import RangesRecord
from ofa_edge.system import disk_error
from ofa_edge.vocabulary import PRECISIONS, Precision, numbers

__all__ = ["convert", "convert_many", "convert_twin", "dequantise", "operators", "quantise", "run_tflite"]


def convert(
    onnx_path: Path,
    out: Path,
    precision: Precision,
    calibration: NDArray[np.float32] | None = None,
    skip: Collection[str] = (),
    *,
    preprocessing: Preprocessing | None = None,
    keep_failure: Path | None = None,
    ranges: RangesRecord | None = None,
) -> None:
    """Convert an ONNX model to a TFLite file: input `input` [1, H, W, C], output `logits` [1, classes].

    An input that has not four axes keeps its own shape. Several inputs keep their names and their order; of those an
    ONNX [1, C, H, W] goes in as [1, H, W, C] too.

    fp32, fp16 and dynamic models take and give float32: fp16 is how weights are stored, dynamic stores large weights in
    int8 and finds the scales of activations while running. An int8 model is integer throughout, input and output too,
    with one scale per output channel of each weight. fp16-acc16 marks an fp16 model as one that may be added in half
    precision; a CPU without fp16 arithmetic goes on adding in fp32. The same input gives the same bytes.

    A network that is given quantised (QDQ, QLinear operators) keeps its integers: int8 alone, without calibration.

    Args:
        onnx_path: a model of `onnx.export.export_onnx`.
        out: the file to write, whole or not at all.
        precision: of `vocabulary.PRECISIONS`.
        calibration: images [N, C, H, W] float32, normalised, or other samples [N, ...], that set the ranges of int8
            activations; of several inputs [N, values], one behind the other. int8 only.
        skip: names of rewrites to leave out (`rewrites.names`); all of them give plain conversion.
        preprocessing: of the network's input, where it is known: calibration images that it cannot give are refused.
        ranges: that training settled, in place of calibration; other precisions do not need them.
        keep_failure: where to write the smallest part that fails, as an ONNX file, if there is one; the error's hint
            then names it.

    Raises:
        UnknownNameError: no rewrite of this precision goes by a name in `skip`.
        ConversionError: a node that the map to TensorFlow does not know, or a failure of TensorFlow's converter.
        DataError: int8 without calibration images, with too few, or with images that do not fit the model.
        UnsupportedError: a precision that TFLite files do not come in.
        OutputError: `out` cannot be written.
    """
    if precision not in PRECISIONS:
        raise UnsupportedError(
            f"no TFLite conversion to '{precision}'",
            f"precisions: {', '.join(PRECISIONS)}",
            "choose one with --precision",
        )
    meant = numbers(precision)
    for name in skip:
        if name not in names(precision):
            raise UnknownNameError.of(f"{precision} rewrite", name, names(precision), "leave the name out of `skip`")
    try:
        graph = read_graph(onnx_path)
        given = lift(graph)
        if given is not None and not meant.ranges:
            raise ConversionError(
                f"{onnx_path.name} is quantised already, and {precision} is not what it was given in",
                "it holds QuantizeLinear or QLinear operators: its integers are kept in int8",
                "--precision int8; or give the network in fp32",
            )
        check_operators(graph if given is None else given.graph)
        if meant.ranges:
            _check_places(graph)
        ranges = ranges if meant.ranges and given is None else None
        images = None if ranges is None else _within(ranges, graph)
        if meant.ranges and given is None and images is None:
            images = _checked(calibration, graph, preprocessing)
        _convert(onnx_path, out, images, precision, skip, ranges)
    except PartRefusedError as error:
        if keep_failure is None or not save_part(onnx_path, error.outputs, keep_failure):
            raise
        hint = f"{error.hint}; the part that fails is in {keep_failure}, see `ofa-edge inspect`"
        raise ConversionError(error.what, error.why, hint) from error


def _within(ranges: RangesRecord, graph: Graph) -> NDArray[np.float32]:
    """Some input: the converter wants images, and what it finds on them is overwritten."""
    found = ranges.values.get(graph.input)
    low, high = (-1.0, 1.0) if found is None else found.range
    return np.random.default_rng(0).uniform(low, high, (8, *graph.input_shape[1:])).astype(np.float32)


def _convert(
    onnx_path: Path,
    out: Path,
    images: NDArray[np.float32] | None,
    precision: Precision,
    skip: Collection[str],
    ranges: RangesRecord | None,
) -> None:
    with tempfile.TemporaryDirectory(prefix="ofa-edge-tflite-") as folder, atomic_path(out) as part:
        calibrating = Path(folder) / "calibration.npy"
        if images is not None:
            np.save(calibrating, images)
        facts = {
            "precision": precision,
            "skip": sorted(skip),
            "images": None if images is None else str(calibrating),
            "ranges": ranges and {name: (steps.scale, steps.zero) for name, steps in ranges.values.items()},
        }
        _run_worker([str(onnx_path), str(part), json.dumps(facts)], part)


def convert_twin(onnx_path: Path, out: Path, precision: Precision = "int8") -> None:
    """Convert an ONNX model to fp32 with the rewrites of another precision: operator by operator that file's twin.

    What is made of the rewritten graph's node 7 has a name that begins with "n7/".

    Raises:
        ConversionError, OutputError: see `convert`.
    """
    check_operators(read_graph(onnx_path))
    with atomic_path(out) as part:
        _run_worker([str(onnx_path), str(part), json.dumps({"precision": "fp32", "twin_of": precision})], part)


def convert_many(jobs: Sequence[tuple[Path, Path]], precision: Precision, skip: Collection[str] = ()) -> None:
    """Convert many small models to be timed, in one process: TensorFlow takes longer to start than to convert one.

    As `convert`, but int8 ranges are set on random images, so answers mean nothing and times are what they are.

    Args:
        jobs: ONNX model and file to write, each.
        precision: as of `convert`.
        skip: likewise.

    Raises:
        ConversionError: see `convert`.
    """
    skipped = {*skip, *FITTED} & set(names(precision))  # what fits ranges is no matter for times
    with tempfile.TemporaryDirectory(prefix="ofa-edge-tflite-") as folder:
        arguments = []
        for number, (onnx_path, out) in enumerate(jobs):
            graph = read_graph(onnx_path)
            check_operators(graph)
            images = None
            if numbers(precision).ranges:
                images = str(Path(folder) / f"{number}.npy")
                shape = (50, *graph.input_shape[1:])  # calibration's models have one input
                np.save(images, np.random.default_rng(number).standard_normal(shape, np.float32))
            facts = {"precision": precision, "images": images, "skip": sorted(skipped)}
            arguments += [str(onnx_path), str(out), json.dumps(facts)]
        if jobs:
            _run_worker(arguments, jobs[0][1])


def operators(path: Path) -> tuple[str, ...]:
    """The operators of a TFLite file in the order they run, by their names in TFLite's schema ("CONV_2D")."""
    model = unpack(path.read_bytes())
    names = operator_names(model)
    return tuple(names[op.opcodeIndex] for op in model.subgraphs[0].operators)


def _check_places(graph: Graph) -> None:
    """Raise NodeRefusedError for what picks by computed places: in 256 steps nothing is counted exactly."""
    for node in graph.nodes:
        if node.op == "Gather" and graph.constant(node.inputs[1]) is None:
            raise node.refused(
                f"it picks by '{node.inputs[1]}', and an int8 value has 256 steps: none counts places exactly",
                "--precision dynamic, whose weights are int8; or --runtime onnxruntime",
            )


def _checked(
    images: NDArray[np.float32] | None, graph: Graph, preprocessing: Preprocessing | None
) -> NDArray[np.float32]:
    """The calibration images, if they can calibrate this model."""
    hint = f"give training images, normalised as in training; {USUAL} are usual"
    if images is None or not len(images):
        raise DataError("int8 needs calibration images", "the ranges of its activations are measured on them", hint)
    several = len(graph.inputs) > 1
    wanted = (sum(math.prod(each) for each in graph.inputs.values()),) if several else graph.input_shape[1:]
    if images.shape[1:] != wanted:
        why = f"the model takes [N, {', '.join(map(str, wanted))}], the images are {list(images.shape)}"
        raise DataError("calibration images of the wrong shape", why, "preprocess them as the model's input")
    if not np.isfinite(images).all():
        raise DataError("calibration images with values that are not finite", "NaN or infinity among the pixels", hint)
    if preprocessing is not None:
        check_normalised(float(images.min()), float(images.max()), preprocessing)
    return np.ascontiguousarray(images, np.float32)


def _run_worker(arguments: list[str], part: Path) -> None:
    """Run `worker`, which writes `part`; raise its error here."""
    done = run_tensorflow("ofa_edge.export.tflite.worker", arguments)
    if done.returncode == 0:
        return
    try:
        raise PartRefusedError(**json.loads(done.stdout))
    except (json.JSONDecodeError, TypeError):
        if full := disk_error(done.stderr):
            raise full from None
        if done.returncode < 0 and part.is_file() and part.stat().st_size:
            check_scales(part)  # LiteRT was running what was written
        raise ConversionError(
            "the TFLite conversion process ended unexpectedly",
            how_it_ended(done),
            what_to_try(done, "check which tensorflow-cpu is installed"),
        ) from None
