"""The process that holds TensorFlow: `python -m ofa_edge.export.tflite.worker ONNX OUT SETTINGS [ONNX ...]`.

SETTINGS is JSON (`Settings`). Exit code 0 and a written file, or 1 and the three parts of a ConversionError as JSON on
stdout. `convert.convert` calls it with checked arguments.
"""

import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import ConversionError
from ofa_edge.export.onnx.graph import Graph, read_graph
from ofa_edge.export.onnx.lifted import Lifted, lift
from ofa_edge.export.onnx.nodes import PartRefusedError
from ofa_edge.export.onnx.part import exact_answer
from ofa_edge.export.onnx.run import in_a_row, run_onnx
from ofa_edge.export.tflite.blame import blame_rewrite, first_that_differs, quiet_db, smallest_refused
from ofa_edge.export.tflite.convert import run_tflite
from ofa_edge.export.tflite.converter import Settings, convert_graph
from ofa_edge.export.tflite.integers import install
from ofa_edge.export.tflite.pair import pair_up
from ofa_edge.export.tflite.rewrites import names, rewrite
from ofa_edge.export.tflite.rewrites.hard_activations import clip_hard_sigmoid
from ofa_edge.export.tflite.rewrites.open_strides import open_strides
from ofa_edge.export.tflite.rewrites.repeat_pixels import repeat_pixels
from ofa_edge.export.tflite.rewrites.take_ranges import RangesError
from ofa_edge.export.tflite.scales import check_scales
from ofa_edge.vocabulary import Precision

# Sound models show 110 dB and 60. What changes the answer at all changes it by far more.
_LEAST_DB: Mapping[Precision, float] = {"fp32": 70.0, "fp16": 30.0}


def main(arguments: list[str]) -> int:
    """Convert; report an error of ours as JSON, let any other end the process with its traceback."""
    try:
        for onnx_path, out, facts in zip(arguments[::3], arguments[1::3], arguments[2::3], strict=True):
            _convert(Path(onnx_path), Path(out), Settings(**json.loads(facts)))
    except ConversionError as error:
        outputs = error.outputs if isinstance(error, PartRefusedError) else ()
        print(json.dumps({"what": error.what, "why": error.why, "hint": error.hint, "outputs": outputs}))
        return 1
    return 0


def _convert(onnx_path: Path, out: Path, settings: Settings) -> None:
    graph = read_graph(onnx_path)
    given = lift(graph)
    if given is not None:
        out.write_bytes(_keep_integers(given, settings))
        _check_answers(onnx_path, graph, out, settings)
        return
    rewritten = rewrite(graph, settings.twin_of or settings.precision, settings.skip)
    try:
        content = convert_graph(rewritten, settings)
    except (PartRefusedError, RangesError):
        raise
    except ConversionError as error:
        nodes = smallest_refused(rewritten, settings)
        if not nodes:
            raise
        words = " and ".join(f"'{node.name}' ({node.op})" for node in nodes)
        what = f"{error.what}: node{'' if len(nodes) == 1 else 's'} {words}"
        raise PartRefusedError(what, error.why, error.hint, [node.output for node in nodes]) from error
    out.write_bytes(content)
    _check_answers(onnx_path, graph, out, settings)


def _keep_integers(given: Lifted, settings: Settings) -> bytes:
    """A file with the integers of the ONNX file: without the rewrites of other networks, which would make others."""
    given = replace(given, graph=clip_hard_sigmoid(given.graph))
    graph, skip = given.graph, names("int8")
    for what, ends in (("inputs", tuple(graph.inputs)), ("outputs", graph.outputs)):
        if len(ends) > 1:
            raise ConversionError(
                f"a quantised network of several {what}",
                f"it has {len(ends)}: {', '.join(ends)}",
                f"give it in fp32, with --precision int8; or with one {what[:-1]}",
            )
    found = given.steps.get(graph.input)
    scale, zero = (1.0, 0) if found is None else (float(found.scale[0]), found.zero)
    with tempfile.TemporaryDirectory(prefix="ofa-edge-given-") as folder:
        path = Path(folder) / "images.npy"  # the converter wants some; what it finds in them is overwritten
        integers = np.random.default_rng(0).integers(-128, 128, (8, *graph.input_shape[1:]))
        np.save(path, ((integers - zero) * scale).astype(np.float32))
        quantised = convert_graph(graph, Settings("int8", skip, str(path)))
    twin = convert_graph(graph, Settings("fp32", skip, twin_of="int8"))
    values = [node.output for node in graph.nodes]
    pair = pair_up(quantised, twin, values, values)
    if pair is None:
        raise ConversionError(
            "the integers of this network cannot be kept",
            "the converter makes other operators in int8 than in fp32",
            "give the network in fp32, with --precision int8",
        )
    content = install(pair, given)
    for each in (repeat_pixels, open_strides):  # which keep any integers
        content = content if each.__name__ in settings.skip else each(content, lambda: twin)
    return content


def _check_answers(onnx_path: Path, graph: Graph, out: Path, settings: Settings) -> None:
    """Against ONNX Runtime on the model as it was given, so that no fault of the map or a rewrite goes unsaid.

    A model of smaller numbers is held to the shape of its answer alone: how near they are is for the build to judge.
    """
    image = _sample(graph)
    answer = _answer(out, settings.precision, image)
    wanted = run_onnx(onnx_path, image)
    least = _LEAST_DB.get(settings.precision)
    if answer.shape != wanted.shape:
        what, why = "answers in another shape", f"{list(answer.shape)} for ONNX's {list(wanted.shape)}"
    elif least is not None and np.isfinite(wanted).all() and not (found := quiet_db(wanted, answer)) >= least:
        what = "answers otherwise than the ONNX model"
        why = f"{found:.1f} dB beside ONNX Runtime on one random image, {least:.0f} are asked of {settings.precision}"
        exact = exact_answer(onnx_path, image)
        if exact is not None and exact.shape == answer.shape and quiet_db(exact, answer) >= least:
            return  # it is ONNX Runtime that is off
    else:
        return
    first = first_that_differs(onnx_path, graph, image, _LEAST_DB["fp32"])
    if first is not None:
        node, how = first
        why += f"; the first node whose result differs is '{node.name}' ({node.op}): {how}"
    elif (guilty := blame_rewrite(graph, settings, image, wanted, least)) is not None:
        why += f"; no node does by itself, and without the rewrite {guilty} the answer is right"
    raise PartRefusedError(
        f"the TFLite model {what}",
        why,
        "--runtime onnxruntime or tvm; and report this with the ONNX file",
        [] if first is None else [first[0].output],
    )


def _sample(graph: Graph) -> NDArray[np.float32]:
    """Noise for one input, [1, ...]; for several a row. Where one takes whole numbers, 0 and 1, which all take."""
    random = np.random.default_rng(0)
    whole = {node.inputs[0] for node in graph.nodes if node.op == "Cast"}  # inputs are of floats, and cast to these
    parts = [
        np.asarray(random.integers(0, 2, shape) if name in whole else random.standard_normal(shape), np.float32)
        for name, shape in graph.inputs.items()
    ]
    return parts[0] if len(parts) == 1 else in_a_row(parts)


def _answer(path: Path, precision: Precision, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """One inference with LiteRT, here, where its end by a signal ends no process of the user's."""
    try:
        return run_tflite(path, image)
    except (RuntimeError, ValueError) as error:
        check_scales(path)
        raise ConversionError(
            f"LiteRT refuses the {precision} model",
            " ".join(str(error).split()) or type(error).__name__,
            "another --precision; and report this with the ONNX file",
        ) from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
