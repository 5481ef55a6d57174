"""An ONNX file that somebody else made: what it takes and what it gives, and its answers as they are.

ONNX Runtime is asked, not the file: what it says of its shapes may be free or missing. Whoever has the file has most
likely run it there, so its answers there are what everything that is made of it is held against.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import ConfigError, ModelFileError, UnsupportedError
from ofa_edge.export.onnx.lifted import QUANTISING
from ofa_edge.export.onnx.load import Loaded, load_model, tensors
from ofa_edge.export.onnx.run import in_a_row, open_session
from ofa_edge.files import sha256_bytes, sha256_file

Shape = tuple[int, ...]

_LARGEST = 2**31 - 1  # bytes that a protobuf can hold
_PIXELS = (1, 3)  # values a pixel of images that are read from files
_OTHER_KINDS = {  # what to do with files that are not ONNX
    ".pt2": "reading it may run code; for your own file: oe.build(TARGET, model=torch.export.load(FILE)) in Python",
    ".pt": "torch.onnx.export(module, (example,), 'FILE.onnx'), or oe.build(TARGET, model=module, example=...)",
    ".pth": "torch.onnx.export(module, (example,), 'FILE.onnx'), or oe.build(TARGET, model=module, example=...)",
    ".keras": "model.export('FILE.onnx', format='onnx') in Keras",
    ".h5": "keras.models.load_model(FILE).export('FILE.onnx', format='onnx')",
    ".pb": "python -m tf2onnx.convert --saved-model FOLDER --output FILE.onnx",
    ".tflite": "it is built already: ofa-edge inspect says how it runs",
}
_INTEGERS = QUANTISING | {"DynamicQuantizeLinear", "ConvInteger", "MatMulInteger"}  # operators that compute in them
_HALVES = (10, 16)  # TensorProto's float16 and bfloat16
_NUMBERS = {  # ONNX Runtime's names of tensors that can be fed from floats
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}


@dataclass(frozen=True)
class Given:
    """A file of one input, and all of its outputs or one of them.

    Attributes:
        path: of the file.
        digest: SHA-256 over it and the files beside it that hold its weights.
        files: it, and those.
        input: name.
        given_shape: of the input as the file has it, batch 1, no size free.
        dtype: of the input, by NumPy's name.
        nhwc: whether images go in as [1, H, W, C].
        outputs: names.
        output_shapes: as ONNX Runtime gives them.
        metadata: what the file says about itself, by key.
        exact: whether it computes in float32 throughout.
        quantised: whether it computes in integers.
    """

    path: Path
    digest: str
    files: tuple[Path, ...]
    input: str
    given_shape: Shape
    dtype: str
    nhwc: bool
    outputs: tuple[str, ...]
    output_shapes: tuple[Shape, ...]
    metadata: Mapping[str, str]
    exact: bool
    quantised: bool = False

    @property
    def shape(self) -> Shape:
        """Of the input as everything that is made of the file has it: images are [1, C, H, W]."""
        batch, *rest = self.given_shape
        return (batch, rest[2], rest[0], rest[1]) if self.nhwc else self.given_shape

    @property
    def takes_images(self) -> bool:
        """Whether the input is one grey or colour image."""
        return len(self.shape) == 4 and self.shape[1] in _PIXELS

    def answers(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """The file's own answers.

        Args:
            inputs: [N, ...] of `shape`.

        Returns:
            [N, values], every answer flattened, several one behind the other.

        Raises:
            ModelFileError: ONNX Runtime cannot run it.
        """
        session = _session(self.path)
        own = inputs.transpose(0, 2, 3, 1) if self.nhwc else inputs
        own = np.rint(own).astype(self.dtype) if np.issubdtype(self.dtype, np.integer) else own.astype(self.dtype)
        rows = [in_a_row(_run(session, self.path, self.outputs, {self.input: row[None]})) for row in own]
        return np.concatenate(rows).astype(np.float32)


def read_given(path: Path, shape: str | None = None, output: str | None = None) -> Given:
    """Read an ONNX file.

    Args:
        path: of the file.
        shape: of the input, `1x3x224x224`, where the file leaves sizes free.
        output: the one that counts, where not all of several do.

    Raises:
        ModelFileError: no ONNX file, damaged, too new, its weights are not beside it, or ONNX Runtime cannot run it.
        ConfigError: sizes that are free and not given, or an output that it does not have.
        UnsupportedError: several inputs, more than one image a call, or what is no tensor of numbers.
    """
    loaded = _loaded(path)
    model, others = loaded.model, tuple(loaded.data_files)
    session = _session(path)
    name, given, kind = _input(session.get_inputs(), path, shape)
    chosen = _outputs(session.get_outputs(), path, output)
    zeros = np.zeros(given, _NUMBERS[kind])
    answers = _run(session, path, chosen, {name: zeros})
    digests = [sha256_file(each) for each in (path, *others)]
    return Given(
        path=path,
        digest=digests[0] if not others else sha256_bytes("\n".join(digests).encode()),
        files=(path, *others),
        input=name,
        given_shape=given,
        dtype=np.dtype(_NUMBERS[kind]).name,
        nhwc=len(given) == 4 and given[3] in _PIXELS and given[1] not in _PIXELS,
        outputs=chosen,
        output_shapes=tuple(tuple(each.shape) for each in answers),
        metadata={each.key: each.value for each in model.metadata_props},
        exact=kind != "tensor(float16)" and not any(each.data_type in _HALVES for each in tensors(model.graph)),
        quantised=any(node.op_type in _INTEGERS for node in model.graph.node),
    )


def _loaded(path: Path) -> Loaded:
    """The file without the weights that lie beside it. Raises ModelFileError."""
    hint = _OTHER_KINDS.get(path.suffix.lower(), "export the network again, to ONNX")
    if not path.is_file():
        why = "it is a folder" if path.is_dir() else "no such file"
        raise ModelFileError(f"cannot read {path.name}", f"{path}: {why}", "give the path of an ONNX file")
    if path.stat().st_size > _LARGEST:
        raise ModelFileError(
            f"{path.name} is too large for ONNX",
            f"{path}: {path.stat().st_size:,} bytes, and no protobuf holds more than {_LARGEST:,}",
            "save it with its weights in a file beside it (onnx.save_model, save_as_external_data=True)",
        )
    try:
        found = load_model(path, weights=False, strict=False)
    except ModelFileError as error:
        if path.suffix.lower() in _OTHER_KINDS:
            raise ModelFileError(error.what, error.why, hint) from error
        raise
    if not found.model.graph.node:
        raise ModelFileError(f"{path.name} is no ONNX file", f"{path}: it holds no operator", hint)
    return found


def _session(path: Path) -> Any:
    try:
        return open_session(path)
    except Exception as error:  # its classes derive from Exception and have no common base
        raise _refused(path, error) from error


def _run(session: Any, path: Path, outputs: Sequence[str], feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    try:
        answers: list[Any] = session.run(list(outputs), feed)
    except Exception as error:
        raise _refused(path, error) from error
    for output, answer in zip(outputs, answers, strict=True):
        if not isinstance(answer, np.ndarray) or answer.dtype.kind not in "fiub":
            raise UnsupportedError(
                f"output '{output}' of {path.name} is no tensor of numbers",
                f"ONNX Runtime gives {type(answer).__name__}",
                "--output NAME of another one, or export the network without what comes behind its logits",
            )
    return answers


def _refused(path: Path, error: Exception) -> ModelFileError:
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return ModelFileError(f"ONNX Runtime does not run {path.name}", f"{path}: {first}", "export the network again")


def _input(inputs: Sequence[Any], path: Path, given: str | None) -> tuple[str, Shape, str]:
    """Name, shape and type of the only input."""
    if len(inputs) != 1:
        names = ", ".join(f"'{each.name}' {each.shape}" for each in inputs) or "none"
        raise UnsupportedError(
            f"{path.name} has {len(inputs)} inputs", names, "export the network with one input: the image"
        )
    (only,) = inputs
    if only.type not in _NUMBERS:
        raise UnsupportedError(
            f"{path.name} takes no tensor of numbers", f"'{only.name}' is {only.type}", "export it for a tensor"
        )
    said = tuple(each if isinstance(each, int) and each > 0 else None for each in only.shape)
    own = (1 if said[0] is None else said[0], *said[1:]) if said else ()  # a free first size is the batch
    wanted = own if given is None else parse_shape(given)
    fits = len(wanted) == len(said) and all(each in (None, size) for each, size in zip(said, wanted, strict=True))
    if given is not None and not fits:
        raise ConfigError(
            f"--shape {given} does not fit {path.name}",
            f"'{only.name}' is {_shape_words(only.shape)}",
            f"--shape {_example(own)}",
        )
    sizes = tuple(each for each in wanted if each is not None)
    if len(sizes) < len(wanted) or not wanted:
        raise ConfigError(
            f"{path.name} leaves sizes of its input free",
            f"'{only.name}' is {_shape_words(only.shape)}; an artifact is made for one size",
            f"--shape {_example(own)}",
        )
    if sizes[0] != 1:
        raise UnsupportedError(
            f"{path.name} takes {sizes[0]} inputs a call",
            f"'{only.name}' is {_shape_words(only.shape)}; devices answer one image at a time",
            "export the network with batch 1, or with a free batch size",
        )
    return str(only.name), sizes, str(only.type)


def _outputs(outputs: Sequence[Any], path: Path, wanted: str | None) -> tuple[str, ...]:
    names = tuple(str(each.name) for each in outputs)
    if wanted is not None and wanted not in names:
        raise ConfigError(f"{path.name} has no output '{wanted}'", ", ".join(names), f"--output {names[0]}")
    return names if wanted is None else (wanted,)


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
