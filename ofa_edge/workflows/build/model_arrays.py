"""Arrays in a .npz file: those of a network of several inputs, each under its input's name."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.archives import read_arrays
from ofa_edge.data.dataset import Samples
from ofa_edge.errors import ConfigError, DataError
from ofa_edge.files import open_regular
from ofa_edge.network import Input

LABELS = "labels"
_ONE_ARRAY = b"\x93NUMPY"
_EXACT = 2**24  # the largest whole number up to which float32 has all


def named_arrays(path: Path, inputs: Sequence[Input]) -> tuple[Samples, bool]:
    """Samples for several inputs, one behind the other, and whether the file has labels.

    It holds an array [N, ...] for each input under its name, in floats or whole numbers: of an input [1, ...] without
    its batch, of one without a batch its whole shape. An image's channels may come last. It may hold `labels`, whole
    numbers [N]; not where an input has that name.

    Raises:
        ConfigError: a folder.
        DataError: no such file, arrays missing or too many, or such that do not fit the inputs or each other.
    """
    names = [each.name for each in inputs]
    listed = ", ".join(f"{each.name}={_wanted(each)}" for each in inputs)
    hint = f"np.savez(FILE, {listed})"
    if path.is_dir():
        raise ConfigError(
            f"a folder of images for a network of {len(inputs)} inputs",
            f"{path}: which image belongs to which input is not known; inputs: {', '.join(names)}",
            "--samples FILE.npz with an array for each input; " + hint,
        )
    arrays = load_arrays(path, hint)
    labels = None if LABELS in names else arrays.pop(LABELS, None)
    if missing := [name for name in names if name not in arrays]:
        found = ", ".join(sorted(arrays)) or "no array"
        raise DataError(f"no array for {_quoted(missing)}", f"{path} holds {found}", hint)
    if others := sorted(arrays.keys() - set(names)):
        why = f"{path}: the network's inputs are {_quoted(names)}; one that nothing reads is left out of the artifact"
        raise DataError(f"arrays that are no input: {_quoted(others)}", why, "leave them out; " + hint)
    counts = {name: len(arrays[name]) if arrays[name].ndim else 0 for name in names}
    if len(set(counts.values())) > 1 or not counts[names[0]]:
        why = ", ".join(f"{name} has {count}" for name, count in counts.items())
        raise DataError("not as many samples of each input", f"{path}: {why}", "give each the same number, one or more")
    count = counts[names[0]]
    rows = [_rows(arrays[each.name], each, path).reshape(count, -1) for each in inputs]
    numbers = label_numbers(labels, count, "samples", path, hint)
    return Samples(np.concatenate(rows, axis=1), numbers), labels is not None


def load_arrays(path: Path, hint: str, only: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """The arrays of a .npz file, or those of these names. Raises DataError for what is none."""
    try:
        with open_regular(path) as file:
            if file.read(len(_ONE_ARRAY)) == _ONE_ARRAY:
                raise DataError("not a .npz file", f"{path}: it holds one array", hint)
        return read_arrays(path, only)
    except FileNotFoundError as error:
        raise DataError("no such data", str(path), f"give a folder of images, or a file: {hint}") from error
    except (OSError, ValueError) as error:
        raise DataError("cannot read the inputs", f"{path}: {error}", hint) from error


def label_numbers(labels: NDArray[Any] | None, count: int, of_what: str, path: Path, hint: str) -> NDArray[np.int64]:
    """Class numbers [count], zeros where there are none. Raises DataError where they do not fit."""
    if labels is None:
        return np.zeros(count, np.int64)
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        what = f"{path}: labels are {labels.dtype} {list(labels.shape)}, for {count} {of_what}"
        raise DataError("labels that do not fit the inputs", what, hint)
    return labels.astype(np.int64)


def _rows(values: NDArray[Any], source: Input, path: Path) -> NDArray[np.float32]:
    """One input's values [N, ...] in its own shape."""
    shape, own = values.shape[1:], source.shape
    hint = f"give {_wanted(source)}"
    if values.dtype.kind not in "fiub" or (values.dtype.kind == "f" and not np.isfinite(values).all()):
        why = f"{path}: `{source.name}` is {values.dtype}, or has NaN or infinity in it"
        raise DataError("inputs that are no numbers", why, hint)
    if values.dtype.kind in "iu" and values.size and max(int(values.max()), -int(values.min())) > _EXACT:
        why = f"{path}: `{source.name}` goes up to {np.abs(values).max()}; float32 has all of them up to {_EXACT}"
        raise DataError("whole numbers that are too large", why, "give the network smaller ones")
    if shape == own or (own[:1] == (1,) and shape == own[1:]):
        return values.astype(np.float32)
    if len(own) == 4 and shape == (*own[2:], own[1]):
        return values.transpose(0, 3, 1, 2).astype(np.float32)
    why = f"{path}: `{source.name}` is {list(values.shape)}; the network takes {list(own)} of it, once a sample"
    raise DataError(f"an array that does not fit the input '{source.name}'", why, hint)


def _wanted(source: Input) -> str:
    rest = source.shape[1:] if source.shape[:1] == (1,) else source.shape
    return f"float32 [{', '.join(['N', *map(str, rest)])}]"


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
