"""What comes out of detectors and segmenters: by options, by shapes, by what the file says."""

import itertools
from pathlib import Path

from ofa_edge.data.annotated import read_marked
from ofa_edge.data.decoding import Decoding
from ofa_edge.data.forms import FORM_WORDS, classes_of, form_of
from ofa_edge.errors import ConfigError
from ofa_edge.export.onnx.given import Given
from ofa_edge.export.onnx.load import load_model
from ofa_edge.export.onnx.pieces import Piece, pieces_of
from ofa_edge.network import Input, Interface, Output
from ofa_edge.shapes import Shape
from ofa_edge.vocabulary import FORMS, Form
from ofa_edge.workflows.build.base import ModelOptions
from ofa_edge.workflows.build.model_metadata import said_labels
from ofa_edge.workflows.build.model_priors import read_priors

_JOINED: tuple[Form, ...] = ("yolov5", "yolov8")  # boxes and scores in one


def detector(
    given: Given, options: ModelOptions, data: Path | None, source: Input, assumed: list[str], *, apart: bool
) -> tuple[Interface, tuple[Piece, ...]]:
    """The interface of a detector, and the pieces that its outputs are, where they are not the file's own.

    Args:
        given: the file.
        options: what the user said of it.
        data: a folder of images with boxes, whose classes may tell what the outputs are.
        source: its input.
        assumed: gets what was assumed, a sentence each.
        apart: whether its output is better given in the pieces that it is joined from.

    Raises:
        ConfigError: outputs of no form that is known, or of other classes than those that were given.
    """
    shapes, labels = given.output_shapes, said_labels(given, options, None)
    form = options.decode or form_of(shapes, None if labels is None else len(labels))
    if form is None:
        raise _no_form(given, shapes, labels)
    preprocessing = source.preprocessing
    assert preprocessing is not None
    anchors = options.anchors or ()
    count = classes_of(form, shapes, len(anchors))
    frame = preprocessing.shape
    priors = None if options.priors is None else read_priors(options.priors)
    Decoding.of(form, shapes, count or 1, frame, given.outputs, anchors, priors)  # whether they are of the form at all
    if labels is None:
        labels = _names(given, data, count, assumed)
    elif options.labels is None and count not in (None, len(labels)):
        labels = _numbered(count or 0)  # names in metadata need not be of classes
    if options.decode is None:
        assumed.append(f"outputs are those of {form}: {FORM_WORDS[form]}; else --decode NAME")
    whole = Decoding.of(form, shapes, len(labels), frame, given.outputs, anchors, priors)
    pieces = pieces_of(given) if apart and not given.quantised and form in _JOINED else ()
    if not pieces:
        named = zip(given.outputs, shapes, strict=True)
        return _interface(source, whole, labels, tuple(named)), ()
    decoding = Decoding.of(form, [each.shape for each in pieces], whole.classes, whole.size)
    return _interface(source, decoding, labels, tuple((each.name, each.shape) for each in pieces)), pieces


def _interface(
    source: Input, decoding: Decoding, labels: tuple[str, ...], outputs: tuple[tuple[str, Shape], ...]
) -> Interface:
    return Interface((source,), tuple(Output(name, shape, labels, "detect") for name, shape in outputs), decoding)


def _no_form(given: Given, shapes: tuple[Shape, ...], labels: tuple[str, ...] | None) -> ConfigError:
    words = ", ".join(f"'{name}' {list(shape)}" for name, shape in zip(given.outputs, shapes, strict=True))
    classes = "" if labels is None else f", for {len(labels)} classes"
    forms = "".join(f"\n  {form}: {FORM_WORDS[form]}" for form in FORMS)
    hint = f"--decode NAME, --output NAME of the one that holds boxes, or --task features; forms:{forms}"
    return ConfigError(f"{given.path.name} gives no boxes that are known", f"{words}{classes}", hint)


def _names(given: Given, data: Path | None, count: int | None, assumed: list[str]) -> tuple[str, ...]:
    """The classes by the data, in the order of their numbers there, else by number."""
    found = read_marked(data) if data is not None and data.is_dir() else None
    names = () if found is None else found.names
    if found is not None and len(found.known) == count:
        names = found.known
    if data is not None and names and count in (None, len(names)):
        assumed.append(f"classes are those of {data.name} in the order of their numbers; else --labels")
        return names
    if count is None or names:
        has = "outputs that do not say how many" if count is None else f"{count}"
        given_names = (
            f"{data.name} has {len(names)}: {', '.join(names[:5])}" if data and names else "no names were given"
        )
        hint = "--labels FILE: a class a line, by number; the data's may then be some of them"
        raise ConfigError(f"the classes of {given.path.name} are not known", f"it has {has}; {given_names}", hint)
    assumed.append("classes have no names; else --labels")
    return _numbered(count)


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"class {number}" for number in range(count))


def segmenter(given: Given, options: ModelOptions, source: Input, assumed: list[str]) -> Interface:
    """The interface of a segmenter: one output of scores for each class and place.

    Raises:
        ConfigError: several outputs, or one of another kind.
    """
    shapes = given.output_shapes
    fits = len(shapes) == 1 and len(shapes[0]) == 4 and min(shapes[0]) >= 1
    if not fits:
        raise ConfigError(
            f"{given.path.name} gives no scores of classes at each place",
            ", ".join(f"'{name}' {list(shape)}" for name, shape in zip(given.outputs, shapes, strict=True)),
            "one output [1, classes, h, w], before any argmax: --output NAME, or --task features",
        )
    (shape,), last = shapes, given.nhwc
    scores = shape[3] if last else shape[1]
    labels = said_labels(given, options, max(scores, 2))
    if labels is None:
        assumed.append("classes have no names; else --labels")
        labels = _numbered(max(scores, 2))
    threshold = 0.5 if scores == 1 and _ends_with_sigmoid(given) else 0.0
    if scores == 1:
        assumed.append(f"a pixel is of '{labels[1]}' where its score is above {threshold:g}")
    output = Output(given.outputs[0], shape, labels, "segment", "NHWC" if last else "NCHW", threshold)
    return Interface((source,), (output,))


def _ends_with_sigmoid(given: Given) -> bool:
    """Whether the scores are probabilities, through what only moves or casts them."""
    graph = load_model(given.path, weights=False, strict=False).model.graph
    makers = {name: node for node in graph.node for name in node.output}
    name = given.outputs[0]
    for _ in itertools.repeat(None, len(graph.node)):
        node = makers.get(name)
        if node is None or node.op_type not in ("Cast", "Transpose", "Identity", "Resize", "Squeeze", "Unsqueeze"):
            return node is not None and node.op_type == "Sigmoid"
        name = node.input[0]
    return False
