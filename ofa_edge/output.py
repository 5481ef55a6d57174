"""The output folder: claimed before any work, filled all at once, and never at the cost of somebody else's files.

A build writes into a staging folder beside its output folder. Only when everything is there are the files moved in, the
manifest last, so that an interrupted or failed build leaves the result of the build before it as it was. What a killed
build left is removed by the next one of the same folder.
A small marker names the files that are ours; whatever else lies in the folder is left alone.

A folder, its marker included, may have been made by somebody else to do harm: nothing below it that is a link is ever
followed, written over or removed, and a marker that names anything but files inside is no marker of ours.
"""

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from platformdirs import user_state_path

from ofa_edge.errors import OutputError
from ofa_edge.files import fsync_folder, parse_json, read_regular, require_own, sha256_bytes, write_json
from ofa_edge.names import relative_path
from ofa_edge.system import FULL

MANIFEST = "manifest.json"  # published last: a folder that has one is complete
MARKER = ".ofa-edge.json"
_STAGING = ".part"
_HALF = re.compile(re.escape(f".{MARKER}.") + r"[0-9a-f]{12}\.part")  # see `files.atomic_path`


def claim_output_folder(out: Path, last: str = MANIFEST) -> None:
    """Check that `out` may be written: it does not exist, is empty, or is an output folder of ours. Changes nothing.

    `last` is the file that folders of this kind have, published last; a folder of ours of another kind is refused.

    Raises:
        OutputError: it is a file, a link, holds files that are not ours or a link in place of one of ours, or its
            parent cannot be written.
    """
    if not _is_text(out):
        why = f"its bytes are {os.fsencode(out)[:200]!r}; records could not hold its name"
        raise OutputError(f"a name that is not UTF-8: {out}", why, "choose another folder with --out")
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise OutputError(f"not a folder: {out}", "a file or a link stands there", "choose another folder with --out")
    if out.is_dir() and not all(map(_half_a_marker, out.iterdir())) and _owned(out) is None:
        raise OutputError(
            f"not an output folder of ofa-edge: {out}",
            f"it is not empty and has no {MARKER} that names files inside it; nothing was overwritten",
            "choose another folder with --out, or empty this one",
        )
    names = _owned(out)
    if names and last not in names:
        raise OutputError(
            f"another kind of output folder: {out}",
            f"ofa-edge made it, but it has no {last}; nothing was overwritten",
            "choose another folder with --out",
        )
    for name in names or ():
        file_inside(out, name)
    standing = next(folder for folder in (out, *out.absolute().parents) if folder.is_dir())
    if not os.access(standing, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write: {out}", f"{standing}: permission denied", "choose another folder with --out")


@contextlib.contextmanager
def reserved(out: Path) -> Iterator[None]:
    """Keep other processes of this user on this machine out of an output folder, from before any work to its end.

    Raises:
        OutputError: another one is at work for it, or the folder of locks is not ours.
    """
    from filelock import FileLock, Timeout

    name = sha256_bytes(os.fsencode(out.expanduser().resolve()))[:20]
    lock = FileLock(require_own(user_state_path("ofa-edge") / "outputs") / f"{name}.lock", timeout=0)
    with contextlib.ExitStack() as stack:
        try:
            Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(lock)
            stack.callback(Path(lock.lock_file).unlink, missing_ok=True)  # while held: none of them stay behind
        except Timeout as error:
            why = "another command writes there; of two that end in one place only the last would be seen"
            raise OutputError(f"in use: {out}", why, "wait until it has ended, or choose another folder") from error
        except OSError:  # nowhere to keep a lock: the files are moved in under one all the same
            pass
        yield


@contextlib.contextmanager
def output_folder(out: Path, last: str = MANIFEST) -> Iterator[Path]:
    """Yield an empty staging folder; on a clean exit its files replace those of the last build in `out`.

    The body writes all outputs and, last, the file `last`, which is the manifest of a build. On any error the staging
    folder is removed and `out` is untouched.

    Raises:
        OutputError: `out` is not ours, cannot be written, or holds a file of somebody else's by the name of an output.
    """
    claim_output_folder(out, last)
    staging: Path | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_by_killed(out)
        staging = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=_STAGING, dir=out.parent))
        with locked_folder(staging):
            write_json(staging / MARKER, _marker([]))  # under the lock: a marked folder that nobody holds is left over
            yield staging
            if not (staging / last).is_file():
                raise ValueError(f"the build wrote no {last}")
            _publish(staging, out, last)
    except OSError as error:
        if staging is not None and error.errno not in FULL:
            raise
        raise OutputError(
            f"cannot write: {out}",
            f"{error.filename or out.parent}: {error.strerror}; the last result was left as it was",
            "free some space, or choose another folder with --out",
        ) from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)


def _remove_left_by_killed(out: Path) -> None:
    """Remove the staging folders of builds of `out` that were killed: marked as ours, and held by nobody."""
    known = re.compile(re.escape(f".{out.name}.") + r"[a-z0-9_]{8}" + re.escape(_STAGING))
    for path in out.parent.iterdir():
        if not known.fullmatch(path.name) or path.is_symlink() or _owned(path) is None:
            continue
        with contextlib.suppress(OSError), locked_folder(path, wait=False):  # held: that build is still at work
            shutil.rmtree(path)


def _publish(staging: Path, out: Path, last: str) -> None:
    """Move the staged files into `out`: the old manifest goes first, the new one comes last."""
    out.mkdir(exist_ok=True)
    written = (path.relative_to(staging).as_posix() for path in staging.rglob("*") if not path.is_dir())
    names = sorted(name for name in written if name != MARKER)
    with locked_folder(out):
        claim_output_folder(out, last)
        for left in filter(_half_a_marker, out.iterdir()):
            left.unlink()
        old = _owned(out) or []
        foreign = [name for name in names if file_inside(out, name).exists() and name not in old]
        if foreign:
            raise OutputError(
                f"not ours to overwrite: {out / foreign[0]}",
                f"ofa-edge did not make it ({len(foreign)} such files); nothing was overwritten",
                "move it away, or choose another folder with --out",
            )
        write_json(out / MARKER, _marker(sorted({*old, *names})))  # before any move: a crash leaves all of it ours
        (out / last).unlink(missing_ok=True)
        for name in (*(name for name in names if name != last), last):
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (staging / name).replace(out / name)
        for name in set(old) - set(names):
            (out / name).unlink(missing_ok=True)
        write_json(out / MARKER, _marker(names))
        fsync_folder(out)


def _is_text(path: Path) -> bool:
    try:
        return bool(str(path).encode())
    except UnicodeEncodeError:
        return False


def _half_a_marker(path: Path) -> bool:
    """Whether a file is a marker in the writing, which a killed build leaves."""
    return _HALF.fullmatch(path.name) is not None


def _marker(names: list[str]) -> dict[str, Any]:
    return {"tool": "ofa-edge", "files": names}


def _owned(out: Path) -> list[str] | None:
    """Files of `out` that are ours; None where it is not an output folder of ours."""
    file = out / MARKER
    if file.is_symlink() or not file.is_file():
        return None
    try:
        marker = parse_json(read_regular(file))
        names = marker["files"]
        if marker["tool"] != "ofa-edge" or not isinstance(names, list):
            return None
        return [relative_path(name) for name in names]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def file_inside(folder: Path, name: str) -> Path:
    """`folder / name`, where a file may be read, written or removed without touching anything outside `folder`.

    Args:
        folder: the user's own choice; it may stand behind a link.
        name: a plain relative path (see `names.relative_path`).

    Raises:
        OutputError: a link on the way or at the end, or something that is not a file stands there.
    """
    path = folder_inside(folder, str(PurePosixPath(name).parent)) / PurePosixPath(name).name
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise _leads_elsewhere(path, "a link" if path.is_symlink() else "no plain file")
    return path


def folder_inside(folder: Path, name: str) -> Path:
    """The same for a folder. Raises OutputError where a link or a file stands on the way or at the end."""
    path = folder
    for part in PurePosixPath(name).parts:
        path /= part
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise _leads_elsewhere(path, "a link" if path.is_symlink() else "no folder")
    return path


def _leads_elsewhere(path: Path, what: str) -> OutputError:
    return OutputError(
        f"refused: {path} is {what}",
        "ofa-edge makes plain files in plain folders, so this is not its own; nothing was overwritten or removed",
        "look at what it is and move it away, or choose another folder",
    )


@contextlib.contextmanager
def locked_folder(folder: Path, wait: bool = True) -> Iterator[None]:
    """Hold `folder` against another process that writes into it; leaves no lock file behind.

    Without `wait` raises OSError where it is held.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)
