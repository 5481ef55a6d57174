"""TFLite files as objects of their schema, to read and to change, and back to bytes."""

import struct
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray

DAMAGE = (struct.error, IndexError, ValueError, TypeError, AttributeError, OverflowError, KeyError)
"""What reading the tables of a damaged flatbuffer raises."""
SUPPRESSION = "TFLite_Detection_PostProcess"  # a custom operator that LiteRT has wherever it has its own
_MODEL_ID = b"TFL3"
_ALIGNMENT = 16  # of constants, as TFLite's schema asks


def unpack(content: bytes) -> Any:
    """The model (the schema's `ModelT`) that a TFLite file holds. What lies behind the flatbuffer is left out."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(content)


def unpack_whole(content: bytes) -> Any:
    """As `unpack`, with the constants of a large file, which lie behind its flatbuffer, where those of others are."""
    model = unpack(content)
    for buffer in model.buffers:
        if buffer.offset > 1:  # 0 and 1 say that there is none
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return model


def pack(model: Any) -> bytes:
    """The inverse of `unpack`. The same model gives the same bytes; vectors that are equal are written once."""
    builder = _AlignedBuilder(1024)
    builder.Finish(model.Pack(builder), _MODEL_ID)
    return bytes(builder.Output())


def operator_names(model: Any) -> tuple[str, ...]:
    """By index of its operator code, each operator's name in TFLite's schema ("CONV_2D"); "custom NAME" of others."""
    from ai_edge_litert import schema_py_generated as schema

    builtin = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}

    def name(code: Any) -> str:
        # Codes below 127 stand in the field of the first schema, later ones in the wider field beside it.
        found = builtin.get(max(code.builtinCode, code.deprecatedBuiltinCode), "unknown")
        return f"custom {(code.customCode or b'?').decode(errors='replace')}" if found == "CUSTOM" else found

    return tuple(name(code) for code in model.operatorCodes or ())


class _AlignedBuilder(flatbuffers.Builder):  # type: ignore[misc]  # flatbuffers has no types
    """Keeps a model's constants at multiples of 16 bytes; flatbuffers' own Python builder forgets `force_align`.

    A vector of numbers that is there already is pointed at, not written again (flatbuffers allows that). Constants are
    the vectors of bytes: each keeps its own place, for runtimes tell them apart by it.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: NDArray[Any]) -> int:  # noqa: N802 (flatbuffers' name)
        key = (x.dtype.str, x.tobytes())
        if x.dtype != np.uint8 and key in self._written:
            return self._written[key]
        self.Prep(_ALIGNMENT, x.nbytes)
        place = int(super().CreateNumpyVector(x))
        self._written[key] = place
        return place
