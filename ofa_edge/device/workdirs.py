"""Who owns a private folder on a device: a token in its name, and a lock held here while its owner lives.

A run that was killed, or that lost its device, cannot remove its folder. The next run on this machine sees that the
token's lock is free and removes the folder. Folders of runs on other machines have tokens that are unknown here, and
are left alone.
"""

import contextlib
import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from platformdirs import user_cache_path

_FOLDER = re.compile(r"ofa-edge\.([0-9a-f]{12})\.[A-Za-z0-9_.-]+")
_KEPT = b"left behind\n"


def template(token: str) -> str:
    """What `mktemp -d` makes a folder's name of."""
    return f"ofa-edge.{token}.XXXXXXXXXX"


def is_made_of(name: str, token: str) -> bool:
    """Whether `mktemp` made this name of our template, all of it."""
    return re.fullmatch(rf"ofa-edge\.{re.escape(token)}\.[A-Za-z0-9]{{10}}", name) is not None


def token_of(name: str) -> str | None:
    """The token in a folder's name, or None: it is no folder of ours."""
    match = _FOLDER.fullmatch(name)
    return match[1] if match else None


@contextlib.contextmanager
def claim() -> Iterator[str]:
    """A new token, whose lock is held inside. Afterwards it is forgotten, unless `keep` was called."""
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(6)
    path = folder / token
    with path.open("xb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield token
        finally:
            if not path.exists() or path.stat().st_size == 0:
                path.unlink(missing_ok=True)


def keep(token: str) -> None:
    """Remember after the end of `claim` that a folder with this token was left on a device."""
    path = _folder() / token
    if path.exists():
        path.write_bytes(_KEPT)  # in place: the lock is the file's


def abandoned() -> frozenset[str]:
    """Tokens whose owner is gone."""
    return frozenset(path.name for path in sorted(_folder().glob("*")) if _is_free(path))


def forget(token: str) -> None:
    """A folder with this token was removed."""
    (_folder() / token).unlink(missing_ok=True)


def _folder() -> Path:
    return user_cache_path("ofa-edge") / "workdirs"


def _is_free(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True
