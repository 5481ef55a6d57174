"""The inputs of an ONNX file that somebody else made: which of them count, of what shape each is, one sample a call."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import ConfigError, UnsupportedError
from ofa_edge.export.onnx.load import graphs

if TYPE_CHECKING:
    import onnx

Shape = tuple[int, ...]
_Said = tuple[int | None, ...]  # None: free

_PIXELS = (1, 3)  # values a pixel of images that are read from files
_ASK_SHAPES = ("Shape", "Size")  # operators that read no values
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
        given_shape: as the file has it, batch 1, no size free; among several it may have no batch.
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
        return (np.rint(turned) if self.whole else turned).astype(self.dtype)


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
    alone = len(entries) == 1
    shapes = _asked(asked, entries, values, file)
    found = []
    for each in entries:
        read = each.name in values
        if each.type not in _NUMBERS:
            raise UnsupportedError(
                f"{file} takes no tensor of numbers", f"'{each.name}' is {each.type}", "export it for a tensor"
            )
        shape = _shape(each, shapes.get(each.name), file, alone=alone, read=read)
        found.append(GivenInput(str(each.name), shape, np.dtype(_NUMBERS[each.type]).name, read))
    if all(each.given_shape[:1] != (1,) for each in found if each.read):
        raise UnsupportedError(
            f"no input of {file} has a batch of 1",
            ", ".join(each.words for each in found),
            "export the network with batch 1, or with a free batch size",
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
        if node is not None and node.op_type not in _ASK_SHAPES:
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


def _asked(text: str | None, entries: Sequence[Any], values: set[str], file: str) -> dict[str, str]:
    """What `--shape` says of each input, by name. Raises ConfigError."""
    if text is None:
        return {}
    names = [each.name for each in entries]
    if "=" not in text:
        read = [name for name in names if name in values]
        if len(read) == 1:
            return {read[0]: text}
        raise ConfigError(
            f"--shape {text} of which input?",
            f"{file} has {len(read)}: {', '.join(read)}",
            " ".join(f"--shape {name}=1x3x224x224" for name in read[:1]),
        )
    found = named_shapes(text)
    for name in found:
        if name not in names:
            raise ConfigError(f"{file} has no input '{name}'", ", ".join(names), f"--shape {names[0]}=1x3x224x224")
    return found


def _shape(entry: Any, asked: str | None, file: str, *, alone: bool, read: bool) -> Shape:
    """An input's shape, no size free."""
    said: _Said = tuple(each if isinstance(each, int) and each > 0 else None for each in entry.shape)
    own: _Said = (1 if said[0] is None else said[0], *said[1:]) if said else ()  # a free first size is the batch
    if not read:
        return tuple(each or 1 for each in own)
    wanted: _Said = own if asked is None else parse_shape(asked)
    prefix = "" if alone else f"{entry.name}="
    fits = len(wanted) == len(said) and all(each in (None, size) for each, size in zip(said, wanted, strict=True))
    if not fits:
        raise ConfigError(
            f"--shape {prefix}{asked} does not fit {file}",
            f"'{entry.name}' is {_shape_words(entry.shape)}",
            f"--shape {prefix}{_example(own)}",
        )
    sizes = tuple(each for each in wanted if each is not None)
    if len(sizes) < len(wanted) or (alone and not wanted):
        raise ConfigError(
            f"{file} leaves sizes of its input free",
            f"'{entry.name}' is {_shape_words(entry.shape)}; an artifact is made for one size",
            f"--shape {prefix}{_example(own)}",
        )
    if sizes[:1] != (1,) and (alone or len(sizes) > 1):
        raise UnsupportedError(
            f"{file} takes {sizes[0]} inputs a call",
            f"'{entry.name}' is {_shape_words(entry.shape)}; devices answer one {'image' if alone else 'sample'} at a "
            "time",
            "export the network with batch 1, or with a free batch size",
        )
    return sizes


def named_shapes(text: str) -> dict[str, str]:
    """What `--shape` says of each input, by name; under "" of the only one. Raises ConfigError."""
    parts = [each.rpartition("=") for each in re.split(r",(?=[^,=]+=)", text)]
    found = {name.strip(): shape for name, _, shape in parts}
    if len(found) < len(parts) or ("" in found and (len(parts) > 1 or parts[0][1])):
        raise ConfigError("bad shape", f"--shape {text}", "--shape NAME=1x3x224x224, once for each input")
    return found


def parse_shape(text: str) -> Shape:
    """`1x3x224x224`, or with commas. Raises ConfigError."""
    if not re.fullmatch(r"\s*\d{1,9}(\s*[x,]\s*\d{1,9})*\s*", text) or 0 in (sizes := _sizes(text)):
        raise ConfigError("bad shape", f"--shape {text}", "--shape 1x3x224x224")
    return sizes


def _sizes(text: str) -> Shape:
    return tuple(int(each) for each in re.split("[x,]", text))


def _shape_words(shape: Sequence[Any]) -> str:
    return "[" + ", ".join(str(each or "?") for each in shape) + "]"


def _example(shape: Sequence[int | None]) -> str:
    """A shape as a user might give it; 224 stands for a size that is not known."""
    return "x".join(str(each or 224) for each in shape) or "1x3x224x224"
