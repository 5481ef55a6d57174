"""The inputs of an ONNX file that somebody else made: which of them count, of what shape each is, one sample a call."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import ConfigError, UnsupportedError
from ofa_edge.export.onnx.sizes import ASK_SIZES
from ofa_edge.onnx_weights import graphs
from ofa_edge.shapes import ONE_SAMPLE, Dim, Shape, fits, known_sizes, samples_a_call, shape_options

if TYPE_CHECKING:
    import onnx


_PIXELS = (1, 3)  # values a pixel of images that are read from files
_NUMBERS: Mapping[str, type[Any]] = {  # ONNX Runtime's names of tensors that can be fed from floats
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


@dataclass(frozen=True)
class GivenInput:
    """One input of a file.

    Attributes:
        name: in the graph.
        given_shape: as the file has it, no size free: one alone [1, ...], one of several as one sample has it.
        dtype: by NumPy's name.
        read: whether the outputs depend on its values.
    """

    name: str
    given_shape: Shape
    dtype: str
    read: bool = True

    @property
    def nhwc(self) -> bool:
        """Whether it is an image that goes in as [1, H, W, C]."""
        shape = self.given_shape
        return len(shape) == 4 and shape[3] in _PIXELS and shape[1] not in _PIXELS

    @property
    def shape(self) -> Shape:
        """As everything that is made of the file has it: images are [1, C, H, W]."""
        if not self.nhwc:
            return self.given_shape
        batch, height, width, channels = self.given_shape
        return batch, channels, height, width

    @property
    def is_image(self) -> bool:
        """Whether it has the shape of one grey or colour image."""
        return len(self.shape) == 4 and self.shape[1] in _PIXELS

    @property
    def whole(self) -> bool:
        """Whether it takes whole numbers, or true and false."""
        return np.dtype(self.dtype).kind in "iub"

    @property
    def words(self) -> str:
        """Its name and shape."""
        return f"'{self.name}' {list(self.given_shape)}"

    def zeros(self) -> NDArray[Any]:
        """Nothing, in its own type."""
        return np.zeros(self.given_shape, self.dtype)

    def own(self, values: NDArray[np.float32]) -> NDArray[Any]:
        """Values of `shape` as the file takes them."""
        turned = values.transpose(0, 2, 3, 1) if self.nhwc else values
        return np.asarray(np.rint(turned) if self.whole else turned, self.dtype)  # of a number NumPy makes no array


def read_inputs(
    entries: Sequence[Any], graph: "onnx.GraphProto", outputs: Sequence[str], file: str, asked: str | None
) -> tuple[GivenInput, ...]:
    """The inputs of a file, in its order.

    Args:
        entries: as ONNX Runtime tells them.
        graph: of the file.
        outputs: those that count.
        file: its name, for errors.
        asked: shapes where sizes are free: `1x3x224x224` of one input, `NAME=1x3x224x224,OTHER=1x5` of several.

    Raises:
        ConfigError: sizes that are free and not given, or shapes that do not fit.
        UnsupportedError: no input at all, more than one sample a call, or what is no tensor of numbers.
    """
    values = values_read(graph, outputs)
    if not any(each.name in values for each in entries):
        raise UnsupportedError(
            f"{file} takes nothing that it answers to",
            ", ".join(f"'{each.name}' {each.shape}" for each in entries) or "it has no inputs",
            "export the network with its inputs",
        )
    sizes = _sizes_of(entries, asked, values, file)
    found = []
    for each in entries:
        if each.type not in _NUMBERS:
            raise UnsupportedError(
                f"{file} takes no tensor of numbers", f"'{each.name}' is {each.type}", "export it for a tensor"
            )
        found.append(GivenInput(each.name, sizes[each.name], np.dtype(_NUMBERS[each.type]).name, each.name in values))
    count = samples_a_call([each.given_shape for each in found if each.read])
    if count != 1:
        raise UnsupportedError(
            f"{file} takes {count} samples a call",
            f"{', '.join(each.words for each in found)}; devices answer one sample at a time",
            ONE_SAMPLE,
        )
    return tuple(found)


def values_read(graph: "onnx.GraphProto", outputs: Sequence[str]) -> set[str]:
    """Names of the values that outputs depend on. Who asks for a shape alone reads no values: shapes are fixed."""
    makers = {name: node for node in graph.node for name in node.output if name}
    found, waiting = set[str](), list(outputs)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        node = makers.get(name)
        if node is not None and node.op_type not in ASK_SIZES:
            waiting += [each for each in (*node.input, *_read_inside(node)) if each]
    return found


def _read_inside(node: "onnx.NodeProto") -> Iterator[str]:
    """What the bodies of a node read, values of their own among them."""
    for attribute in node.attribute:
        for body in (attribute.g, *attribute.graphs):
            for inner in graphs(body):
                for each in inner.node:
                    yield from each.input
                yield from (each.name for each in inner.output)


def _sizes_of(entries: Sequence[Any], text: str | None, values: set[str], file: str) -> dict[str, Shape]:
    """The shape of each input by name, no size free. Raises ConfigError."""
    said = {each.name: tuple(_dim(size) for size in each.shape) for each in entries}
    read = [name for name in said if name in values]
    asked = {} if text is None else _asked(text, said, read, file)
    known = known_sizes(said, asked)
    for name in read:
        _require_fit(name, said, asked.get(name), file)
    free = {name: known[name] for name in read if None in known[name]}
    words = "; ".join(f"'{name}' is {_words(said[name])}" for name in free or read)
    if free:
        raise ConfigError(
            f"{file} leaves sizes of its input{'s' if len(free) > 1 else ''} free",
            f"{words}; an artifact is made for one size",
            shape_options({name: known_sizes(said, {})[name] for name in free}, len(said)),
        )
    if len(read) == 1 and not said[read[0]]:
        why = f"{words}: a single number, or a shape that the file does not tell"
        raise ConfigError(f"{file} says no shape of its input", why, "export the network with an input [1, ...]")
    return {name: tuple(each or 1 for each in sizes) for name, sizes in known.items()}


def _dim(size: Any) -> Dim:
    """A size as ONNX Runtime tells it."""
    if isinstance(size, int):
        return size if size > 0 else None
    return size or None


def _asked(text: str, said: Mapping[str, Sequence[Dim]], read: Sequence[str], file: str) -> dict[str, Shape]:
    """What `--shape` says of each input, by name. Raises ConfigError."""
    usual = known_sizes(said, {})
    free = {name: usual[name] for name in read if None in usual[name]}
    hint = shape_options(free, len(said)) or "leave it out: the file says all sizes"
    listed = ", ".join(f"{name} {_words(said[name])}" for name in read)
    if "=" not in text:
        if len(read) == 1:
            return {read[0]: parse_shape(text)}
        raise ConfigError(f"--shape {text} of which input?", f"{file} has {len(read)}: {listed}", hint)
    found = named_shapes(text)
    for name in found:
        if name not in said:
            raise ConfigError(f"{file} has no input '{name}'", listed, hint)
    return {name: parse_shape(shape) for name, shape in found.items()}


def _require_fit(name: str, said: Mapping[str, Sequence[Dim]], asked: Shape | None, file: str) -> None:
    """Raise ConfigError where a shape contradicts the file."""
    own = said[name]
    if asked is None or fits(own, asked):
        return
    raise ConfigError(
        f"{shape_options({name: asked}, len(said))} does not fit {file}",
        f"'{name}' is {_words(own)}",
        shape_options({name: known_sizes(said, {})[name]}, len(said)) if own else "leave it out",
    )


def named_shapes(text: str) -> dict[str, str]:
    """What `--shape` says of each input, by name; under "" of the only one. Raises ConfigError."""
    parts = [each.rpartition("=") for each in re.split(r",(?=[^,=]+=)", text)]
    found = {name.strip(): shape for name, _, shape in parts}
    if len(found) < len(parts) or ("" in found and (len(parts) > 1 or parts[0][1])):
        raise ConfigError(
            "bad shape", f"--shape {text}", "--shape NAME=1x3x224x224, in the file's own sizes, for each input"
        )
    return found


def parse_shape(text: str) -> Shape:
    """`1x3x224x224`, or with commas. Raises ConfigError."""
    if not re.fullmatch(r"\s*\d{1,9}(\s*[x,]\s*\d{1,9})*\s*", text) or 0 in (sizes := _sizes(text)):
        raise ConfigError("bad shape", f"--shape {text}", "numbers above 0, as many as the input has axes: 1x3x224x224")
    return sizes


def _sizes(text: str) -> Shape:
    return tuple(int(each) for each in re.split("[x,]", text))


def _words(shape: Sequence[Dim]) -> str:
    return "[" + ", ".join(str(each or "?") for each in shape) + "]"
