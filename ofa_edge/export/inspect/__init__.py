"""What is inside a model file, and what of it costs speed or accuracy: TFLite, ONNX, shared libraries.

Any file of these kinds can be read, also one that ofa-edge did not make. One file a kind (`tflite_file`, `onnx_file`,
`library`), and for TFLite one for the rules that need only the file and one for what LiteRT itself does with it.
"""

from pathlib import Path

from ofa_edge.errors import ConfigError, ModelFileError
from ofa_edge.export.inspect.findings import Finding, Inspection, Severity
from ofa_edge.files import open_regular

__all__ = ["Finding", "Inspection", "Severity", "inspect_model"]

_ELF = b"\x7fELF"
_TFLITE = b"TFL3"


def inspect_model(path: Path, profile: bool = False, shape: str | None = None) -> Inspection:
    """Read a model file and name its faults.

    Args:
        path: a .tflite, .onnx or .so file; told apart by what is in it, and by its name where that says nothing.
        profile: also time each operator on this machine: of a TFLite file alone, of an ONNX file in the whole.
        shape: of an ONNX file's inputs where it leaves sizes free, `1x3x224x224`; of several `NAME=1x3x224x224,...`.

    Raises:
        ModelFileError: no such file, or it is damaged, or none of these kinds.
        ConfigError: shapes that do not fit the file, or for another kind of file.
    """
    try:
        with open_regular(path) as file:
            start = file.read(8)
    except OSError as error:
        raise ModelFileError(f"cannot read {path.name}", f"{path}: {error.strerror}", "check the path") from error
    suffix = _suffix(start, path.suffix)
    if shape is not None and suffix in (".tflite", ".so"):
        raise ConfigError(
            "--shape is for an ONNX file", f"the sizes of {path.name} are fixed", "inspect it without --shape"
        )
    if suffix == ".tflite":
        from ofa_edge.export.inspect.tflite_file import inspect_tflite

        return inspect_tflite(path, profile)
    if suffix == ".so":
        from ofa_edge.export.inspect.library import inspect_library

        return inspect_library(path)
    if suffix == ".onnx":
        from ofa_edge.export.inspect.onnx_file import inspect_onnx

        return inspect_onnx(path, profile, shape=shape)
    raise ModelFileError(
        f"{path.name} is not a model file",
        f"{path}: neither a TFLite model, nor a shared library, nor named .onnx" if start else f"{path}: it is empty",
        "give a .tflite, .onnx or .so file",
    )


def _suffix(start: bytes, suffix: str) -> str:
    """The suffix that files of this content should have; theirs where it says nothing."""
    if start[4:8] == _TFLITE:
        return ".tflite"
    if start.startswith(_ELF):
        return ".so"
    return suffix if start else ""  # ONNX has no magic number
