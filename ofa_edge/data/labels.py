"""Names of classes: what may be one, and `labels.toml`, which gives folders the labels that no folder can be called.

`labels.toml` lies beside `train/` and `val/` (or in the folder of classes) and has a line for each folder whose name is
not its label:

    tshirt = "T-shirt/top"
    "ankle boot" = "Ankle boot"

A folder that is not listed is called what it is called.
"""

import difflib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ofa_edge.errors import DataError
from ofa_edge.files import bounded_text, parse_toml, read_regular

LABELS_FILE = "labels.toml"
_ANNOTATED = (
    "name the classes in the annotation files after the labels, or give the network's in --labels FILE, a class a line "
    "in the order of its outputs, as the annotation files name them"
)
_NAMED = 5
_LINES = 40  # of an example of labels.toml
_NO_TEXT = frozenset({"Cc", "Cs", "Zl", "Zp"})  # categories of characters that labels.txt, a label a line, cannot hold


def check_labels(labels: Sequence[str], where: str) -> None:
    """Refuse labels that are empty, cannot be a line of text, or cannot be told apart.

    Two labels that differ in case or in their Unicode form only are one folder on many file systems.

    Args:
        labels: of all classes.
        where: they come from, for the error.

    Raises:
        DataError: the label is named.
    """
    hint = f"rename it, or give its label in {LABELS_FILE}"
    seen: dict[str, str] = {}
    for label in labels:
        if not label.strip() or label != label.strip():
            words = "empty" if not label.strip() else "begins or ends with a space"
            raise DataError("a label that is not a name", f"{where}: {label!r} {words}", hint)
        if any(unicodedata.category(character) in _NO_TEXT for character in label):
            raise DataError("a label with characters that are not text", f"{where}: {label!a}", hint)
        other = seen.setdefault(_folded(label), label)
        if other != label:
            words = f"{other!r} and {label!r}" if other.isascii() and label.isascii() else f"{other!a} and {label!a}"
            raise DataError(
                "labels that differ in case or in their Unicode form only",
                f"{where}: {words}",
                "put the images of one class into one folder, and give classes names that can be told apart",
            )
    if len(set(labels)) < len(labels):
        twice = next(label for index, label in enumerate(labels) if label in labels[:index])
        raise DataError("two classes with the same label", f"{where}: {twice!r}", "give each class a label of its own")


def read_labels(folder: Path, names: Sequence[str]) -> tuple[str, ...]:
    """The label of each class folder: by `labels.toml` in `folder`, else its name.

    Args:
        folder: where the file may lie.
        names: of the class folders.

    Raises:
        DataError: the file is not one, or names folders that are not there; or labels are refused (`check_labels`).
    """
    path = folder / LABELS_FILE
    given: dict[str, object] = {}
    hint = 'write lines such as tshirt = "T-shirt/top", the folder\'s name first; quote it where it has spaces or dots'
    if path.is_file():
        try:
            given = parse_toml(read_regular(path).decode("utf-8-sig") + "\n")
        except (OSError, ValueError) as error:  # ValueError: not TOML, not UTF-8
            raise DataError(f"a damaged {LABELS_FILE}", f"{path}: {error}", hint) from error
    for key, label in given.items():
        if not isinstance(label, str):
            raise DataError(f"a label in {LABELS_FILE} that is not text", f"{path}: {key} = {label!r}", hint)
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1, cutoff=0.4) or list(names[:_NAMED])
            why = f"{path}: no class folder {key!r}; there is {', '.join(near)}"
            raise DataError(f"{LABELS_FILE} names a folder that is not there", why, "correct the name before the '='")
    labels = tuple(str(given.get(name, name)) for name in names)
    for number, label in enumerate(labels):
        if label in labels[:number]:
            one, other = names[labels.index(label)], names[number]
            raise DataError(
                "two classes with the same label",
                f"{path}: {one!r} and {other!r} are {label!r}",
                "give each one of its own",
            )
    check_labels(labels, str(path if given else folder))
    return labels


def listed_labels(path: Path, count: int | None) -> tuple[str, ...]:
    """The labels of a network, from a text file with a class a line, in the order of its outputs.

    Args:
        path: of the file.
        count: of the network's outputs; None where they do not say.

    Raises:
        DataError: it cannot be read, has another number of lines, or labels are refused (`check_labels`).
    """
    hint = "give a text file with a class a line, in the order of the network's outputs"
    try:
        names = bounded_text(path).rstrip("\n\r ").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("cannot read the labels", f"{path}: {error}", hint) from error
    if count is not None and len(names) != count:
        raise DataError(f"{len(names)} labels for {count} outputs", str(path), hint)
    return told_apart(names, str(path))


def told_apart(names: Sequence[str], where: str) -> tuple[str, ...]:
    """Labels as they stand in a list, without spaces around them; a name that stands twice gets its class's number.

    Two of ImageNet's do ("crane", "maillot"). Raises DataError, see `check_labels`.
    """
    names = [name.strip() for name in names]
    twice = {name for name, times in Counter(names).items() if times > 1}
    labels = tuple(f"{name} ({number})" if name in twice else name for number, name in enumerate(names))
    check_labels(labels, where)
    return labels


def class_order(
    names: Sequence[str],
    labels: Sequence[str],
    where: str,
    whose: str = "supernet",
    *,
    some: bool = False,
    folders: bool = True,
) -> list[int]:
    """The number that each of a data set's classes has among a network's labels.

    Args:
        names: the data set's classes.
        labels: the network's.
        where: the data are, for the error.
        whose: labels they are: "supernet" or "network".
        some: whether data without images of some classes will do.
        folders: whether the data's classes are folders, to which `labels.toml` can give other names.

    Raises:
        DataError: they are not the same; what is missing and what is strange is named, with lines for `labels.toml`.
    """
    strange, missing = [name for name in names if name not in labels], [name for name in labels if name not in names]
    if strange or (missing and not some):
        parts = ((missing, "missing"), (strange, f"not the {whose}'s"))
        why = "; ".join(f"{words}: {_some(found)}" for found, words in parts if found)
        hint = _renaming(missing, strange, whose, some) if folders else _ANNOTATED
        raise DataError(f"the data's classes are not the {whose}'s", f"{where}: {why}", hint)
    return [labels.index(name) for name in names]


def _renaming(missing: Sequence[str], strange: Sequence[str], whose: str, some: bool) -> str:
    """What to do where classes are folders; `some`: not every label needs one."""
    if not missing:
        return f"leave out the folders of other classes, or give them labels of the {whose}'s in {LABELS_FILE}"
    lines = _nearest(missing, strange) if some else example(missing, strange)
    shown = [f"    {line}" for line in lines[:_LINES]] + (["    ..."] if len(lines) > _LINES else [])
    how = f"name the class folders after the labels; where a folder cannot be called so, {LABELS_FILE} beside train/"
    return "\n".join([f"{how} says it:", *shown])


def example(missing: Sequence[str], strange: Sequence[str]) -> list[str]:
    """Lines for `labels.toml` that give the missing labels to the folders whose names are nearest."""
    left = {_bare(name): name for name in strange}
    lines = []
    for label in missing:
        near = difflib.get_close_matches(_bare(label), left, n=1, cutoff=0.5)
        folder = left.pop(near[0]) if near else re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-") or "folder"
        lines.append(_line(folder, label))
    return lines


def _nearest(missing: Sequence[str], strange: Sequence[str]) -> list[str]:
    """Lines for `labels.toml` that give each strange folder the missing label whose name is nearest."""
    left = {_bare(label): label for label in missing}
    lines = []
    for folder in strange:
        if near := difflib.get_close_matches(_bare(folder), left, n=1, cutoff=0.0):
            lines.append(_line(folder, left.pop(near[0])))
    return lines


def _line(folder: str, label: str) -> str:
    key = folder if re.fullmatch(r"[A-Za-z0-9_-]+", folder) else json.dumps(folder, ensure_ascii=False)
    return f"{key} = {json.dumps(label, ensure_ascii=False)}"


def _folded(label: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())


def _bare(name: str) -> str:
    return re.sub(r"\W+|_", "", _folded(name))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
