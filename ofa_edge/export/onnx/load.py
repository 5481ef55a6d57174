"""An ONNX file of anybody, read with care: its versions, where its weights lie, whether it is whole."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import ModelFileError
from ofa_edge.files import LARGEST_MODEL, read_regular
from ofa_edge.onnx_weights import graphs

if TYPE_CHECKING:
    import onnx

_TESTED_OPSET = 17
_OTHER_WIDTHS = (25, 26, 27, 28)  # TensorProto's types of two and six bits
COUNTS_BELOW = 1024
"""Bytes. Shapes, axes and scales are smaller, and what they count decides whether a node converts."""


@dataclass(frozen=True)
class Loaded:
    """An ONNX file, read; and the sizes of its data files, in bytes, without the file itself."""

    model: "onnx.ModelProto"
    data_files: Mapping[Path, int]


def load_model(path: Path, weights: bool = True, *, strict: bool = True) -> Loaded:
    """Read an ONNX file.

    Args:
        path: the file; data files named in it must lie in its folder or below.
        weights: also read what lies in data files; else only integers and small tensors of them.
        strict: whether onnx's checker has to accept it, which asks for more than ONNX Runtime does.

    Raises:
        ModelFileError: it is damaged, newer than the installed onnx, or names a data file that is not there, too short,
            or outside of its folder.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(read_regular(path, LARGEST_MODEL))
        _check_versions(model, path)
        for tensor in tensors(model.graph):
            _require_whole(tensor)
        files = _data_files(model, path)
        if strict:
            onnx.checker.check_model(path)
        for tensor in tensors(model.graph):
            if _is_outside(tensor) and (weights or _counts(tensor)):
                onnx.external_data_helper.load_external_data_for_tensor(tensor, str(path.parent))
                tensor.data_location = onnx.TensorProto.DEFAULT
    except (DecodeError, onnx.checker.ValidationError, OSError, ValueError, TypeError, KeyError) as error:
        raise ModelFileError(
            f"{path.name} is not a valid ONNX file",
            f"{path}: {' '.join(str(error).split()) or type(error).__name__}",
            "export the network again",
        ) from error
    return Loaded(model, files)


def tensors(graph: "onnx.GraphProto") -> "Iterator[onnx.TensorProto]":
    """Every tensor that a graph holds: initializers, and attributes such as those of Constant nodes."""
    import onnx

    for each in graphs(graph):
        yield from each.initializer
        for attribute in (attribute for node in each.node for attribute in node.attribute):
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t
            yield from attribute.tensors


def array_of(tensor: "onnx.TensorProto") -> NDArray[Any]:
    """A tensor's values; zeros, which take no room, where they lie in another file and were not read."""
    import onnx

    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return np.broadcast_to(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).type(0), tuple(tensor.dims))
    return onnx.numpy_helper.to_array(tensor)


def bytes_of(tensor: "onnx.TensorProto") -> int:
    """How many bytes a tensor's values take, wherever they lie; strings are not counted."""
    import onnx

    four = {onnx.TensorProto.INT4, onnx.TensorProto.UINT4, onnx.TensorProto.FLOAT4E2M1}
    if tensor.data_type in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING):
        return 0
    count = 1
    for size in tensor.dims:
        count *= size
    if tensor.data_type in four:
        return (count + 1) // 2
    return count * int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def _require_whole(tensor: "onnx.TensorProto") -> None:
    """Raise ValueError where a tensor's values are not as many as its shape says."""
    if min(tensor.dims, default=0) < 0:
        raise ValueError(f"tensor '{tensor.name}' has a negative size: {list(tensor.dims)}")
    if _is_outside(tensor):
        facts = {each.key: int(each.value) for each in tensor.external_data if each.key in ("offset", "length")}
        if facts.get("offset", 0) < 0 or facts.get("length", bytes_of(tensor)) != bytes_of(tensor):
            raise ValueError(f"tensor '{tensor.name}' has {bytes_of(tensor)} bytes, not those at {facts}")
    elif tensor.HasField("raw_data") and tensor.data_type not in _OTHER_WIDTHS:
        if len(tensor.raw_data) != bytes_of(tensor):
            raise ValueError(f"tensor '{tensor.name}' has {len(tensor.raw_data)} bytes for {list(tensor.dims)}")
    else:
        array_of(tensor)  # which counts them


def _data_files(model: "onnx.ModelProto", path: Path) -> dict[Path, int]:
    """The data files of a model and their sizes in bytes, without reading them. Raises ModelFileError."""
    found: dict[Path, int] = {}
    for tensor in filter(_is_outside, tensors(model.graph)):
        facts = {each.key: each.value for each in tensor.external_data}
        location = facts.get("location", "")
        file = _inside(path, location, tensor.name)
        try:
            found[file] = file.stat().st_size
            end = int(facts.get("offset", 0)) + int(facts.get("length", bytes_of(tensor)))
        except OSError as error:
            why = f"{file}: {error.strerror}; '{tensor.name}' is in it"
            raise ModelFileError(f"{path.name} lacks its data file", why, "copy both files together") from error
        if end > found[file]:
            why = f"'{tensor.name}' ends at byte {end} of {location}, which has {found[file]}"
            raise ModelFileError(f"the data file of {path.name} is too short", why, "copy both files again")
    return found


def _inside(path: Path, location: str, name: str) -> Path:
    """A data file by its place in the model, which may be nothing but a plain file in the model's folder or below."""
    parts = PurePosixPath(location.replace("\\", "/")).parts
    why = None
    if not parts:
        why = "names no file"
    elif parts[0] == "/" or Path(location).is_absolute() or ":" in parts[0]:
        why = f"is at '{location}', an absolute place"
    elif ".." in parts:
        why = f"is at '{location}', outside of the model's folder"
    else:
        step = path.parent
        for part in parts:
            step /= part
            if step.is_symlink():
                why = f"is at '{location}', behind the link '{part}'"
    if why is not None:
        raise ModelFileError(
            f"{path.name} wants its weights from a place that is not read",
            f"the data of '{name}' {why}",
            "put the data file beside the model, or save it as one file (onnx.save_model, save_as_external_data=False)",
        )
    return path.parent.joinpath(*parts)


def _is_outside(tensor: "onnx.TensorProto") -> bool:
    import onnx

    return tensor.data_location == onnx.TensorProto.EXTERNAL


def _counts(tensor: "onnx.TensorProto") -> bool:
    import onnx

    return tensor.data_type in (onnx.TensorProto.INT32, onnx.TensorProto.INT64) or bytes_of(tensor) <= COUNTS_BELOW


def _check_versions(model: "onnx.ModelProto", path: Path) -> None:
    import onnx

    opset = opset_of(model)
    newest, ir = onnx.defs.onnx_opset_version(), onnx.IR_VERSION
    if opset > newest or model.ir_version > ir:
        raise ModelFileError(
            f"{path.name} is newer than the installed onnx",
            f"opset {opset}, IR version {model.ir_version}; onnx {onnx.__version__} knows opset {newest}, "
            f"IR version {ir} and older",
            f"pip install --upgrade onnx, or export the network at opset {_TESTED_OPSET}",
        )


def opset_of(model: "onnx.ModelProto") -> int:
    """The version of ONNX's own operators that a model is written in; 0 where it names none."""
    return max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=0)
