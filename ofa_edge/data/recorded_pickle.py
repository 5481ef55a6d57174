"""Read data out of a pickle without running any of it.

CIFAR-10's python version is a set of pickles, and a pickle is a program. Here, what it calls is not looked up: every
name on a short list stands for a `Recorded`, which only keeps the arguments it is called with. No function of any
package is reached, numpy's included; any other name is refused.
"""

import io
import pickle
from typing import Any, NoReturn

import numpy as np

from ofa_edge.data.preprocess import Pixels
from ofa_edge.errors import DataError

# How numpy's arrays of plain numbers are written, by old and new versions of Python and numpy.
_RECONSTRUCT = frozenset({"numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"})
_NAMES = _RECONSTRUCT | {"numpy.ndarray", "numpy.dtype", "_codecs.encode"}
_HINT = "use the files as they were published, or the binary version"


class Recorded:
    """A call that was not made: the name, the arguments, and the state set afterwards."""

    def __init__(self, name: str, arguments: tuple[Any, ...] = (), state: Any = None) -> None:
        self.name, self.arguments, self.state = name, arguments, state

    def __call__(self, *arguments: Any) -> "Recorded":
        """Keep the arguments."""
        return Recorded(self.name, arguments)

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Recorded:
        full = f"{module}.{name}"
        if full not in _NAMES:
            raise pickle.UnpicklingError(f"it names {full}, which is no part of the data")
        return Recorded(full)

    def persistent_load(self, pid: Any) -> NoReturn:
        raise pickle.UnpicklingError("it refers to objects outside itself")


def read_recorded(raw: bytes, where: str) -> Any:
    """Numbers, bytes, strings, lists, dicts and `Recorded` calls of a pickle; strings of Python 2 become bytes.

    Raises:
        DataError: damaged, or it names anything but what arrays are written with; `where` names the file.
    """
    try:
        return _Reader(io.BytesIO(raw), encoding="bytes").load()
    except Exception as error:  # opcodes in a wrong order raise nearly anything
        raise DataError("a pickle that is not read", f"{where}: {error or type(error).__name__}", _HINT) from error


def recorded_bytes_array(value: Any, where: str) -> Pixels:
    """The array that a `Recorded` call would have made, if it is of uint8 and in C order. Raises DataError."""
    try:
        if not isinstance(value, Recorded) or value.name not in _RECONSTRUCT:
            raise ValueError("it is no array")
        _, shape, dtype, fortran, data = value.state
        if isinstance(data, Recorded):  # protocol 2 written by Python 3: text and its encoding
            text, encoding = data.arguments
            if data.name != "_codecs.encode" or encoding not in ("latin1", b"latin1"):
                raise ValueError("its bytes are encoded in a way that is not known")
            data = text.encode("latin1")
        if dtype.name != "numpy.dtype" or dtype.arguments[0] not in ("u1", b"u1") or fortran:
            raise ValueError("it is not an array of uint8 in C order")
        if not isinstance(data, bytes) or len(data) != int(np.prod(shape, dtype=np.int64)):
            raise ValueError(f"its shape is {shape} and its bytes do not fill that")
        return np.frombuffer(data, dtype=np.uint8).reshape(shape)
    except (TypeError, ValueError, AttributeError, IndexError, UnicodeError) as error:
        raise DataError("a pickle without the array", f"{where}: {error}", _HINT) from error
