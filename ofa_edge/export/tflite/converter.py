"""TensorFlow's converter: a graph of ours in, the bytes of a TFLite file out. Runs inside the worker's process."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import ConversionError
from ofa_edge.export.onnx.graph import Graph, Node
from ofa_edge.export.tflite.flatbuffer import pack, unpack
from ofa_edge.export.tflite.pair import pair_up
from ofa_edge.export.tflite.rewrites import file_rewrites_for
from ofa_edge.export.tflite.rewrites.take_ranges import take_ranges
from ofa_edge.export.tflite.tf_ops import build, build_all, build_nodes
from ofa_edge.export.tflite.tf_ops.values import IMAGE, Value, ordered, plain
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

    _, channels, height, width = graph.input_shape
    module = tf.Module()  # owns the function, as the converter asks
    module.run = tf.function(
        lambda input: build(tf, graph, input, named=settings.twin_of is not None),
        input_signature=[tf.TensorSpec([1, height, width, channels], tf.float32, name="input")],
        autograph=False,
    )
    content = _run_converter(tf, module, settings)
    images = None if settings.images is None else np.load(settings.images, allow_pickle=False)
    if settings.ranges is not None:
        values = [node.output for node in graph.nodes]
        twin = convert_graph(graph, Settings("fp32", twin_of=settings.precision))
        content = take_ranges(pair_up(content, twin, values, values), graph, settings.ranges)
    for each in file_rewrites_for(settings.precision, settled=settings.ranges is not None):
        if each.__name__ not in settings.skip:
            content = each(content, lambda: _run_converter(tf, module, Settings("fp32")), images)
    return content


def convert_values(graph: Graph, names: Sequence[str]) -> bytes:
    """An fp32 file that gives each of these values in ONNX's own order, under its place in `names`."""
    import tensorflow as tf

    _, channels, height, width = graph.input_shape

    def run(input: Any) -> dict[str, Any]:
        values = build_all(tf, graph, input)
        return {str(at): ordered(tf, values[name], plain(values[name].rank)).tensor for at, name in enumerate(names)}

    module = tf.Module()
    signature = [tf.TensorSpec([1, height, width, channels], tf.float32, name="input")]
    module.run = tf.function(run, input_signature=signature, autograph=False)
    return _run_converter(tf, module, Settings("fp32"))


def refuses(graph: Graph, nodes: Sequence[Node], known: Mapping[str, Value], settings: Settings) -> bool:
    """Whether the converter refuses some nodes by themselves, on inputs like the `known` values of the whole graph."""
    import tensorflow as tf

    made = {node.output for node in nodes}
    reads = list(dict.fromkeys(name for node in nodes for name in node.inputs if name in known and name not in made))
    left = made - {name for node in nodes for name in node.inputs}
    signature = [tf.TensorSpec(known[name].tensor.shape, tf.float32, name=f"in{at}") for at, name in enumerate(reads)]

    def run(*tensors: Any) -> dict[str, Any]:
        given = {name: Value(tensor, known[name].axes) for name, tensor in zip(reads, tensors, strict=True)}
        values = build_nodes(tf, graph, nodes, given)
        return {str(at): values[name].tensor for at, name in enumerate(sorted(left))}

    module = tf.Module()
    module.run = tf.function(run, input_signature=signature, autograph=False)
    random = np.random.default_rng(0)
    samples = [[random.standard_normal(each.shape, np.float32) for each in signature] for _ in range(4)]
    try:
        _run_converter(tf, module, settings, lambda: iter(samples))
    except ConversionError:
        return True
    return False


def known_values(graph: Graph) -> dict[str, Value]:
    """Each value of a graph, built on shapes alone."""
    import tensorflow as tf

    _, channels, height, width = graph.input_shape
    with tf.Graph().as_default():
        image = tf.compat.v1.placeholder(tf.float32, [1, height, width, channels])
        return {graph.input: Value(image, IMAGE), **build_all(tf, graph, image)}


def _run_converter(
    tf: Any, module: Any, settings: Settings, samples: Callable[[], Iterator[list[Any]]] | None = None
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
        converter.representative_dataset = samples or (lambda: _batches(images))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    from tensorflow.lite.python.convert_phase import ConverterError

    try:
        return in_order(bytes(converter.convert()))
    except (ValueError, RuntimeError, ConverterError, tf.errors.OpError) as error:
        raise ConversionError(
            f"TensorFlow's converter refused the network in {settings.precision}",
            _said(str(error)) or type(error).__name__,
            "the operators named above are the place; try another --precision, or --runtime tvm",
        ) from error


def in_order(content: bytes) -> bytes:
    """A file whose outputs stand in the order of their names, which the converter does not keep."""
    model = unpack(content)
    signatures = model.signatureDefs or []
    if len(signatures) != 1 or len(signatures[0].outputs) < 2:
        return content
    named = sorted(signatures[0].outputs, key=lambda each: each.name)
    model.subgraphs[0].outputs = [each.tensorIndex for each in named]
    return pack(model)


def _said(text: str) -> str:
    """A converter's message without the stack and the module that it prints: its lines of errors, or else the first."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.partition("error: ")[2] for line in lines if "error: " in line]
    return "; ".join(dict.fromkeys(errors)) or next(iter(lines), "")


def _batches(images: NDArray[np.float32]) -> Iterator[list[Any]]:
    """Images [N, C, H, W] one by one, as the converter wants them: [1, H, W, C]."""
    for image in images:
        yield [np.ascontiguousarray(image.transpose(1, 2, 0)[None])]
