"""Who owns a private folder on a device: a token in its name, and a lock held here while its owner lives.

A run that was killed, or that lost its device, cannot remove its folder. The next run on this machine sees that the
token's lock is free and removes the folder. Folders of runs on other machines have tokens that are unknown here, and
are left alone.
"""

import contextlib
import fcntl
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from ofa_edge.files import open_regular, read_regular, require_own

_FOLDER = re.compile(r"ofa-edge\.([0-9a-f]{12})\.[A-Za-z0-9_.-]+")
_REMEMBERED_S = 30 * 24 * 3600.0


def template(token: str) -> str:
    """What `mktemp -d` makes a folder's name of."""
    return f"ofa-edge.{token}.XXXXXXXXXX"


def is_made_of(name: str, token: str) -> bool:
    """Whether `mktemp` made this name of our template, all of it."""
    return re.fullmatch(rf"ofa-edge\.{re.escape(token)}\.[A-Za-z0-9_.-]{{10}}", name) is not None


def token_of(name: str) -> str | None:
    """The token in a folder's name, or None: it is no folder of ours."""
    match = _FOLDER.fullmatch(name)
    return match[1] if match else None


@dataclass
class Claim:
    """A token whose lock is held. `kept`: its folder could not be removed, so the token is remembered."""

    token: str
    kept: bool = False


@contextlib.contextmanager
def claim(device: str) -> Iterator[Claim]:
    """A new token for a folder on the device of this name; its lock is held inside."""
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    held = Claim(secrets.token_hex(6))
    path = folder / held.token
    with path.open("x", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(device)
        file.flush()
        try:
            yield held
        finally:
            if not held.kept:
                path.unlink(missing_ok=True)


def abandoned(device: str) -> frozenset[str]:
    """Tokens of folders on the device of this name whose owner is gone. Those of long ago are forgotten."""
    found = []
    for path in sorted(_folder().glob("*")):
        with contextlib.suppress(OSError):  # another process may clean up as well; what is no file is none of ours
            if not _is_free(path):
                continue
            if time.time() - path.stat().st_mtime > _REMEMBERED_S:
                path.unlink()
            elif read_regular(path) == device.encode():
                found.append(path.name)
    return frozenset(found)


def forget(token: str) -> None:
    """A folder with this token was removed."""
    (_folder() / token).unlink(missing_ok=True)


def _folder() -> Path:
    return require_own(user_cache_path("ofa-edge") / "workdirs")


def _is_free(path: Path) -> bool:
    with open_regular(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
