"""Names and paths out of a file or an option that become part of a path here: what they may hold, in one place."""

import re
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator

from ofa_edge.errors import ConfigError

_LONGEST_PATH, _LONGEST_PART = 1000, 255  # letters of a path, bytes of a name in it
LONGEST = 100  # letters of a name: with suffixes it must fit into the 255 bytes of a file's name
RULE = f"1 to {LONGEST} letters (a-z, A-Z), digits, '.', '_', '-' and '@', first a letter or a digit"
_PLAIN = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._@-]{{0,{LONGEST - 1}}}")
_DRIVE = re.compile(r"[A-Za-z]:")


def is_plain(name: str) -> bool:
    """Whether a name can be one folder or file, and nothing else.

    >>> [is_plain(name) for name in ("pixel-4", "..", "../x", "a/b", "-rf", "a b", "")]
    [True, False, False, False, False, False, False]
    """
    return _PLAIN.fullmatch(name) is not None


def plain(name: str) -> str:
    """`name`; ValueError where it is not plain. For schemas."""
    if not is_plain(name):
        raise ValueError(f"{_shown(name)} is not a plain name: {RULE}")
    return name


def require_plain(kind: str, name: str, where: str, hint: str) -> str:
    """`name`, which becomes part of a path.

    Args:
        kind: what is named, in words: "recipe".
        name: as it was given.
        where: the file or option that it came from.
        hint: what to try.

    Raises:
        ConfigError: it is not plain.
    """
    if not is_plain(name):
        raise ConfigError(f"not a {kind} name: {_shown(name)}", f"{where}: {RULE}", hint)
    return name


def relative_path(path: str) -> str:
    """A path that stays inside its folder, as it is written there; ValueError for any other.

    >>> relative_path("tvm/model.so")
    'tvm/model.so'
    """
    pure = PurePosixPath(path)
    long = len(path) > _LONGEST_PATH or any(len(part.encode(errors="replace")) > _LONGEST_PART for part in pure.parts)
    bad = pure.is_absolute() or ".." in pure.parts or "\\" in path or not path.isprintable() or _DRIVE.match(path)
    if long or bad or str(pure) in ("", "."):
        raise ValueError("must be a relative path with forward slashes that stays inside its folder")
    return str(pure)


def _shown(name: str) -> str:
    return repr(name if len(name) <= LONGEST else f"{name[:LONGEST]}...")


PlainName = Annotated[str, AfterValidator(plain)]
RelativePath = Annotated[str, AfterValidator(relative_path)]
