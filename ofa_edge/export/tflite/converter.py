"""TensorFlow's converter: a graph of ours in, the bytes of a TFLite file out. Runs inside the worker's process."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import ConversionError
from ofa_edge.export.onnx.graph import Graph
from ofa_edge.export.onnx.nodes import Node
from ofa_edge.export.onnx.run import parted
from ofa_edge.export.tflite.fitting import fit
from ofa_edge.export.tflite.flatbuffer import pack, unpack
from ofa_edge.export.tflite.pair import pair_up
from ofa_edge.export.tflite.rewrites import file_rewrites_for, fits_for
from ofa_edge.export.tflite.rewrites.take_ranges import take_ranges
from ofa_edge.export.tflite.tf_ops import axes_of, build, build_all, build_nodes
from ofa_edge.export.tflite.tf_ops.values import Value, ordered, plain
from ofa_edge.system import disk_error
from ofa_edge.vocabulary import Precision, numbers


@dataclass(frozen=True)
class Settings:
    """What `convert.convert` was asked for. `images` names a .npy file.

    `twin_of`: the rewrites of that precision, and names after nodes, in a file of `precision`. `ranges`: scale and zero
    point of each value, where training settled them.
    """

    precision: Precision
    skip: tuple[str, ...] = ()
    images: str | None = None
    twin_of: Precision | None = None
    ranges: Mapping[str, tuple[float, int]] | None = None


def convert_graph(graph: Graph, settings: Settings) -> bytes:
    """The TFLite file of a rewritten graph. Imports TensorFlow."""
    import tensorflow as tf

    module = tf.Module()  # owns the function, as the converter asks
    module.run = tf.function(
        lambda *inputs: build(tf, graph, inputs, named=settings.twin_of is not None),
        input_signature=_signature(tf, graph),
        autograph=False,
    )
    shapes = tuple(graph.inputs.values())
    content = _run_converter(tf, module, settings, shapes)
    images = None if settings.images is None else np.load(settings.images, allow_pickle=False)
    if settings.ranges is not None:
        values = [node.output for node in graph.nodes]
        twin = convert_graph(graph, Settings("fp32", twin_of=settings.precision))
        content = take_ranges(pair_up(content, twin, values, values), graph, settings.ranges)
    plain_file = functools.cache(lambda: _run_converter(tf, module, Settings("fp32"), shapes))  # several look at it
    fits = fits_for(settings.precision, settled=settings.ranges is not None)
    content = fit(content, plain_file, images, [each for each in fits if each.__name__ not in settings.skip])
    for each in file_rewrites_for(settings.precision):
        if each.__name__ not in settings.skip:
            content = each(content, plain_file)
    return content if len(shapes) == 1 else with_names(content, tuple(graph.inputs))


def convert_values(graph: Graph, names: Sequence[str]) -> bytes:
    """An fp32 file that gives each of these values in ONNX's own order, under its place in `names`."""
    import tensorflow as tf

    def run(*inputs: Any) -> dict[str, Any]:
        values = build_all(tf, graph, inputs)
        return {str(at): ordered(tf, values[name], plain(values[name].rank)).tensor for at, name in enumerate(names)}

    module = tf.Module()
    module.run = tf.function(run, input_signature=_signature(tf, graph), autograph=False)
    return _run_converter(tf, module, Settings("fp32"))


def refuses(graph: Graph, nodes: Sequence[Node], known: Mapping[str, Value], settings: Settings) -> bool:
    """Whether the converter refuses some nodes by themselves, on inputs like the `known` values of the whole graph."""
    import tensorflow as tf

    made = {node.output for node in nodes}
    reads = list(dict.fromkeys(name for node in nodes for name in node.inputs if name in known and name not in made))
    left = made - {name for node in nodes for name in node.inputs}
    tensors = [known[name].tensor for name in reads]
    signature = [tf.TensorSpec(each.shape, each.dtype, name=f"in{at}") for at, each in enumerate(tensors)]

    def run(*tensors: Any) -> dict[str, Any]:
        given = {name: Value(tensor, known[name].axes) for name, tensor in zip(reads, tensors, strict=True)}
        values = build_nodes(tf, graph, nodes, given)
        return {str(at): values[name].tensor for at, name in enumerate(sorted(left))}

    module = tf.Module()
    module.run = tf.function(run, input_signature=signature, autograph=False)
    random = np.random.default_rng(0)
    samples = [
        [random.standard_normal(each.shape, np.float32).astype(each.dtype.as_numpy_dtype) for each in signature]
        for _ in range(4)
    ]
    try:
        _run_converter(tf, module, settings, samples=lambda: iter(samples))
    except ConversionError:
        return True
    return False


def known_values(graph: Graph) -> dict[str, Value]:
    """Each value of a graph, built on shapes alone."""
    import tensorflow as tf

    with tf.Graph().as_default():
        inputs = [tf.compat.v1.placeholder(each.dtype, each.shape) for each in _signature(tf, graph)]
        return build_all(tf, graph, inputs)


def _signature(tf: Any, graph: Graph) -> list[Any]:
    """The inputs as a TFLite file has them, numbered where there are several: the converter sorts them by name."""
    shapes = [[shape[axis] for axis in axes_of(shape)] for shape in graph.inputs.values()]
    return [
        tf.TensorSpec(shape, tf.float32, name=name) for shape, name in zip(shapes, _names(len(shapes)), strict=True)
    ]


def _names(count: int) -> list[str]:
    return ["input"] if count == 1 else [f"input_{place:03}" for place in range(count)]


def _run_converter(
    tf: Any,
    module: Any,
    settings: Settings,
    shapes: Sequence[Sequence[int]] = (),
    samples: Callable[[], Iterator[Any]] | None = None,
) -> bytes:
    meant = numbers(settings.precision)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.run.get_concrete_function()], module)
    if settings.precision != "fp32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if meant.weights == "fp16":
        converter.target_spec.supported_types = [tf.float16]
    if meant.half_sums:
        converter.target_spec._experimental_supported_accumulation_type = tf.float16
    if settings.images is not None:
        images = np.load(settings.images, allow_pickle=False)
        converter.representative_dataset = samples or (lambda: _batches(images, shapes))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    from tensorflow.lite.python.convert_phase import ConverterError

    try:
        with saved():
            return in_order(bytes(converter.convert()))
    except (ValueError, RuntimeError, ConverterError, tf.errors.OpError) as error:
        raise ConversionError(
            f"TensorFlow's converter refused the network in {settings.precision}",
            _said(str(error)) or type(error).__name__,
            "the operators named above are the place; try another --precision, or --runtime tvm",
        ) from error


@contextlib.contextmanager
def saved() -> Iterator[None]:
    """Where TensorFlow cannot save the graph that it is about to convert, raise what it swallows.

    It goes on by another way then, which gives another file: a full disk would decide what is built.
    """
    from tensorflow.python.saved_model import save as saving

    real, failed = saving.save, list[Exception]()

    def save(*arguments: Any, **options: Any) -> Any:
        try:
            return real(*arguments, **options)
        except Exception as error:
            failed.append(error)
            raise

    saving.save = save
    try:
        yield
    finally:
        saving.save = real
    if failed:
        raise disk_error(str(failed[0])) or failed[0]


def in_order(content: bytes) -> bytes:
    """A file whose inputs and outputs stand in the order of their names, which the converter does not keep."""
    model = unpack(content)
    signatures = model.signatureDefs or []
    if len(signatures) != 1 or max(len(signatures[0].inputs), len(signatures[0].outputs)) < 2:
        return content
    signature, graph = signatures[0], model.subgraphs[0]
    graph.inputs = [each.tensorIndex for each in sorted(signature.inputs, key=lambda each: each.name)]
    graph.outputs = [each.tensorIndex for each in sorted(signature.outputs, key=lambda each: each.name)]
    return pack(model)


def with_names(content: bytes, names: Sequence[str]) -> bytes:
    """A file whose inputs, numbered so far, have these names: in its signature, and as its tensors."""
    model = unpack(content)
    (signature,), graph = model.signatureDefs, model.subgraphs[0]
    for tensor, name in zip(graph.inputs, names, strict=True):
        graph.tensors[tensor].name = name.encode()
        next(each for each in signature.inputs if each.tensorIndex == tensor).name = name.encode()
    return pack(model)


def _said(text: str) -> str:
    """A converter's message without the stack and the module that it prints: its lines of errors, or else the first."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.partition("error: ")[2] for line in lines if "error: " in line]
    return "; ".join(dict.fromkeys(errors)) or next(iter(lines), "")


def _batches(images: NDArray[np.float32], shapes: Sequence[Sequence[int]]) -> Iterator[dict[str, Any]]:
    """Samples one by one, as the converter wants them: images [1, H, W, C], other inputs as they are."""
    names = _names(len(shapes))
    for row in images:
        parts = (np.ascontiguousarray(each.transpose(axes_of(each.shape))) for each in parted(row, shapes))
        yield dict(zip(names, parts, strict=True))
