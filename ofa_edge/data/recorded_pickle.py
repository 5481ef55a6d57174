"""Read data out of a pickle without running any of it.

CIFAR-10's python version is a set of pickles, and a pickle is a program. Here, what it calls is not looked up: every
name on a short list stands for a `Recorded`, which only keeps the arguments it is called with. No function of any
package is reached, numpy's included; any other name is refused.
"""

import io
import math
import pickle
import pickletools
from typing import Any, NoReturn

import numpy as np

from ofa_edge.data.preprocess import Pixels
from ofa_edge.errors import DataError

# How numpy's arrays of plain numbers are written, by old and new versions of numpy; bytes by Python 3 for Python 2.
_RECONSTRUCT = frozenset({"numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"})
_FROM_BUFFER = frozenset({"numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer"})
_NAMES = _RECONSTRUCT | _FROM_BUFFER | {"numpy.ndarray", "numpy.dtype"}
_BYTES = "_codecs.encode"
_PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
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


class _Latin1:
    """Stands for `_codecs.encode`, of which bytes need one encoding."""

    def __call__(self, text: str, encoding: str) -> bytes:
        if encoding != "latin1":
            raise pickle.UnpicklingError(f"it encodes text as {encoding}")
        return text.encode("latin1")

    def __setstate__(self, state: Any) -> NoReturn:
        raise pickle.UnpicklingError("it changes what it calls")


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Recorded | _Latin1:
        full = f"{module}.{name}"
        if full == _BYTES:
            return _Latin1()
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
        _check_numbers(raw)
        return _Reader(io.BytesIO(raw), encoding="bytes").load()
    except Exception as error:  # opcodes in a wrong order raise nearly anything
        raise DataError("a pickle that is not read", f"{where}: {error or type(error).__name__}", _HINT) from error


def _check_numbers(raw: bytes) -> None:
    """Refuse numbers of objects that no pickle comes to: room for all below them is made, gigabytes for one of ours."""
    for place, (opcode, argument, _) in enumerate(pickletools.genops(raw)):
        if opcode.name in _PUTS and isinstance(argument, int) and argument > place:
            raise pickle.UnpicklingError(f"it numbers its {place}th object {argument}")


def recorded_bytes_array(value: Any, where: str) -> Pixels:
    """The array that a `Recorded` call would have made, if it is of uint8 and in C order. Raises DataError."""
    try:
        if isinstance(value, Recorded) and value.name in _RECONSTRUCT:
            _, shape, dtype, fortran, data = value.state
        elif isinstance(value, Recorded) and value.name in _FROM_BUFFER:
            data, dtype, shape, order = value.arguments
            fortran = order not in ("C", b"C")
        else:
            raise ValueError("it is no array")
        if dtype.name != "numpy.dtype" or dtype.arguments[0] not in ("u1", b"u1") or fortran:
            raise ValueError("it is not an array of uint8 in C order")
        if not isinstance(data, bytes | bytearray) or len(data) != math.prod(shape):
            raise ValueError(f"its shape is {shape} and its bytes do not fill that")
        return np.frombuffer(data, dtype=np.uint8).reshape(shape)
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError("a pickle without the array", f"{where}: {error}", _HINT) from error
