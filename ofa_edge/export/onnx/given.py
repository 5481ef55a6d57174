"""An ONNX file that somebody else made: what it takes and what it gives, and its answers as they are.

ONNX Runtime is asked, not the file: what it says of its shapes may be free or missing. Whoever has the file has most
likely run it there, so its answers there are what everything that is made of it is held against.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import ConfigError, ModelFileError, UnsupportedError
from ofa_edge.export.onnx.given_inputs import GivenInput, read_inputs
from ofa_edge.export.onnx.lifted import QUANTISING
from ofa_edge.export.onnx.load import Loaded, load_model, tensors
from ofa_edge.export.onnx.run import in_a_row, open_session, parted
from ofa_edge.files import sha256_bytes, sha256_file
from ofa_edge.shapes import Shape

_LARGEST = 2**31 - 1  # bytes that a protobuf can hold
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


@dataclass(frozen=True)
class Given:
    """A file with its inputs, and all of its outputs or one of them.

    Attributes:
        path: of the file.
        digest: SHA-256 over it and the files beside it that hold its weights.
        files: it, and those.
        all_inputs: in the file's order, those that nothing reads among them.
        outputs: names.
        output_shapes: as ONNX Runtime gives them.
        metadata: what the file says about itself, by key.
        exact: whether it computes in float32 throughout.
        quantised: whether it computes in integers.
    """

    path: Path
    digest: str
    files: tuple[Path, ...]
    all_inputs: tuple[GivenInput, ...]
    outputs: tuple[str, ...]
    output_shapes: tuple[Shape, ...]
    metadata: Mapping[str, str]
    exact: bool
    quantised: bool = False

    @property
    def inputs(self) -> tuple[GivenInput, ...]:
        """Those that the outputs depend on."""
        return tuple(each for each in self.all_inputs if each.read)

    @property
    def first(self) -> GivenInput:
        """The first of them, mostly the only one."""
        return self.inputs[0]

    @property
    def shape(self) -> Shape:
        """Of the first input as everything that is made of the file has it: images are [1, C, H, W]."""
        return self.first.shape

    @property
    def nhwc(self) -> bool:
        """Whether it is one image that goes in as [1, H, W, C]."""
        return self.takes_images and self.first.nhwc

    @property
    def takes_images(self) -> bool:
        """Whether the one input is one grey or colour image."""
        return len(self.inputs) == 1 and self.first.is_image

    def answers(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """The file's own answers.

        Args:
            inputs: [N, ...] of `shape`; of several inputs [N, values], one behind the other.

        Returns:
            [N, values], every answer flattened, several one behind the other.

        Raises:
            ModelFileError: ONNX Runtime cannot run it.
        """
        return np.concatenate([*map(self.opened(), inputs)])

    def in_another_order(self, inputs: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """The file's answers (see `answers`) with each node run as it stands: the same sums, in another order.

        How far they are from its answers is what float32 leaves open of them. None where that is not to be had.
        """
        try:
            session = open_session(self.path, optimised=False)
            rows = [in_a_row(session.run(list(self.outputs), self._feed(row))) for row in inputs]
            return np.concatenate(rows).astype(np.float32)
        except Exception:  # ONNX Runtime's classes have no common base; what it cannot say is no fault of the file's
            return None

    def opened(self) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        """What answers one input at a time, [...] -> [1, values], as `answers` does: for who asks again and again.

        Several threads may ask at once. Raises ModelFileError, then and now.
        """
        session, values = _session(self.path), sum(map(math.prod, self.output_shapes))

        def answer(row: NDArray[np.float32]) -> NDArray[np.float32]:
            found = in_a_row(_run(session, self.path, self.outputs, self._feed(row))).astype(np.float32)
            if found.size != values:
                raise self._of_changing_size(found.size, values)
            return found

        return answer

    def _of_changing_size(self, found: int, first: int) -> UnsupportedError:
        return UnsupportedError(
            f"the answers of {self.path.name} have no fixed size",
            f"{first} numbers to one input and {found} to another: a loop, or boxes that are chosen inside",
            "--output NAME of an output that has, or export the network without what comes behind it",
        )

    def zeros(self) -> dict[str, NDArray[Any]]:
        """A sample of nothing, as ONNX Runtime takes it."""
        return {each.name: each.zeros() for each in self.all_inputs}

    def _feed(self, row: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """A sample as ONNX Runtime takes it, which asks for inputs that nothing reads as well."""
        parts = parted(row, [each.shape for each in self.inputs])
        return {**self.zeros(), **{each.name: each.own(part) for each, part in zip(self.inputs, parts, strict=True)}}


def read_given(path: Path, shape: str | None = None, output: str | None = None) -> Given:
    """Read an ONNX file.

    Args:
        path: of the file.
        shape: of the input, `1x3x224x224`, where the file leaves sizes free; of several `NAME=1x3x224x224,OTHER=1x5`.
        output: the one that counts, where not all of several do.

    Raises:
        ModelFileError: no ONNX file, damaged, too new, its weights are not beside it, or ONNX Runtime cannot run it.
        ConfigError: sizes that are free and not given, or an output that it does not have.
        UnsupportedError: more than one sample a call, or what is no tensor of numbers.
    """
    loaded = _loaded(path)
    model, others = loaded.model, tuple(loaded.data_files)
    session = _session(path)
    chosen = _outputs(session.get_outputs(), path, output)
    inputs = read_inputs(session.get_inputs(), model.graph, chosen, path.name, shape)
    answers = _run(session, path, chosen, {each.name: each.zeros() for each in inputs})
    digests = [sha256_file(each) for each in (path, *others)]
    return Given(
        path=path,
        digest=digests[0] if not others else sha256_bytes("\n".join(digests).encode()),
        files=(path, *others),
        all_inputs=inputs,
        outputs=chosen,
        output_shapes=tuple(tuple(each.shape) for each in answers),
        metadata={each.key: each.value for each in model.metadata_props},
        exact=all(each.dtype != "float16" for each in inputs)
        and not any(each.data_type in _HALVES for each in tensors(model.graph)),
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


def _outputs(outputs: Sequence[Any], path: Path, wanted: str | None) -> tuple[str, ...]:
    names = tuple(str(each.name) for each in outputs)
    if wanted is not None and wanted not in names:
        raise ConfigError(f"{path.name} has no output '{wanted}'", ", ".join(names), f"--output {names[0]}")
    return names if wanted is None else (wanted,)
