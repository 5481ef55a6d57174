"""Files: digests, canonical JSON, and writes that are either whole or absent."""

import contextlib
import errno
import fcntl
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import stat
import tomllib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, NoReturn

from ofa_edge.errors import OutputError
from ofa_edge.system import DENIED, FULL, system_error

LARGEST_TEXT = 4_000_000  # bytes of a file that is read whole as text
_MOST_DIGITS = 300  # of a whole number: more do not fit into a float
_DEEPEST = 50  # tables and lists in each other
_NO_KEY = re.compile(r"[^\w\-.\"' \t]+")
_QUOTED_PART = re.compile(r"[\"'][ \t]*\.")
LARGEST_MODEL = 1 << 31  # bytes of a network or of weights; neither ONNX nor TFLite has larger files
_LARGEST_TOML = 1_000_000  # characters; the largest file of ours has a hundredth of this


def sha256_bytes(data: bytes) -> str:
    """Hex SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's content."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_json(value: Any) -> bytes:
    """The one byte string of a JSON value: sorted keys, no spaces, UTF-8. Digests are taken over this."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def pretty_json(value: Any) -> bytes:
    """JSON for people: two spaces, sorted keys, a newline at the end."""
    return (json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def open_regular(path: Path) -> BufferedReader:
    """Open a file that somebody else may have put there, to read it.

    Raises:
        OSError: it cannot be opened, or is no plain file: a pipe would be waited for, a device never ends.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except ValueError as error:  # a name with a NUL, which no file has
        raise FileNotFoundError(errno.ENOENT, str(error), str(path)) from error
    try:
        mode = os.fstat(handle).st_mode  # of what was opened: what the name stands for may change meanwhile
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "no plain file", str(path))
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def require_regular(path: Path) -> None:
    """For readers that open a file themselves. Raises OSError: see `open_regular`."""
    open_regular(path).close()


def read_regular(path: Path, limit: int = LARGEST_TEXT) -> bytes:
    """All of a plain file. Raises OSError: see `open_regular`; and where it has more than `limit` bytes."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = b"" if size > limit else file.read(limit + 1)
    size = max(size, len(content))
    if size > limit:
        raise OSError(errno.EFBIG, f"{size} bytes, at most {limit} are read", str(path))
    return content


def bounded_text(path: Path, limit: int = LARGEST_TEXT) -> str:
    """A text file of the user's, as UTF-8. Raises OSError: see `read_regular`; UnicodeDecodeError: it is no text."""
    return read_regular(path, limit).decode("utf-8")


def parse_json(text: str | bytes) -> Any:
    """A JSON file's content: what JSON has, and numbers that a computer has.

    Raises:
        json.JSONDecodeError: no JSON, nested too deeply, a number beyond what can be held, NaN or an infinity.
        UnicodeDecodeError: no text.
    """
    try:
        value = json.loads(text, parse_float=_finite, parse_int=_whole, parse_constant=_no_number)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except RecursionError:
        raise json.JSONDecodeError("nested too deeply", "", 0) from None
    except ValueError as error:  # a whole number of thousands of digits, or one of ours
        raise json.JSONDecodeError(str(error)[:200], "", 0) from None
    if len(text) <= LARGEST_TEXT and _too_deep(value):
        raise json.JSONDecodeError(f"nested more than {_DEEPEST} deep", "", 0)
    return value


def _too_deep(value: Any) -> bool:
    """Whether lists and tables stand in each other further than anything of ours: later steps go down them."""
    level = [value]
    for _ in range(_DEEPEST):
        inner = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        level = [item for each in inner for item in each]
        if not level:
            return False
    return True


def _whole(word: str) -> int:
    if len(word) > _MOST_DIGITS:
        raise ValueError(f"{word[:20]}... is no number that can be worked with")
    return int(word)


def _finite(word: str) -> float:
    value = float(word)
    return value if math.isfinite(value) else _no_number(word)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word[:40]} is no finite number")


def parse_toml(text: str) -> dict[str, Any]:
    """A TOML file's content. Raises tomllib.TOMLDecodeError, also for what is too large or too deep to read."""
    if len(text) > _LARGEST_TOML:
        raise tomllib.TOMLDecodeError(f"{len(text)} characters, at most {_LARGEST_TOML} are read")
    if any(_parts(line) > _DEEPEST for line in text.splitlines() if line.count(".") > _DEEPEST):
        raise tomllib.TOMLDecodeError(f"a key of more than {_DEEPEST} parts")  # tomllib takes their square
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except (RecursionError, ValueError, OverflowError) as error:  # deep nesting, numbers of thousands of digits
        raise tomllib.TOMLDecodeError(f"{type(error).__name__}: {str(error)[:200]}") from None
    if _too_deep(value):
        raise tomllib.TOMLDecodeError(f"nested more than {_DEEPEST} deep")
    return value


def shipped_folder(name: str) -> Path:
    """Where a folder of this project lies: inside an installed package as `_name`, else at the top of the checkout."""
    package = Path(__file__).resolve().parent
    installed = package / f"_{name}"
    return installed if installed.is_dir() else package.parent / name


def _parts(line: str) -> int:
    """How many parts the longest dotted key of a line may have, at most."""
    bare = (sum(bool(part.strip()) for part in words.split(".")) for words in _NO_KEY.split(line))
    return max(*bare, len(_QUOTED_PART.findall(line)))


def fsync_folder(folder: Path) -> None:
    """Make a rename inside `folder` durable."""
    handle = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def atomic_path(path: Path, *, private: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and renamed over `path`, else removed.

    The file may be read by whom the umask lets, and by nobody who could not read the one that it replaces; with
    `private`, by its owner alone, as may a folder that is made for it.

    Raises:
        OutputError: the disk is full or the folder cannot be written; `path` is left as it was.
    """
    try:
        path.parent.mkdir(mode=0o700 if private else 0o777, parents=True, exist_ok=True)
        part = path.with_name(f".{path.name[:200]}.{secrets.token_hex(6)}.part")
        handle = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600 if private else 0o666)
        mode = stat.S_IMODE(os.fstat(handle).st_mode)  # as the umask left it
        os.close(handle)
    except OSError as error:
        raise _output_error(path, error) from error
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.chmod(mode & _mode_of(path))  # whoever wrote it may have made another file of it
        part.replace(path)
        fsync_folder(path.parent)
    except OSError as error:
        part.unlink(missing_ok=True)
        if error.errno in (*FULL, *DENIED):
            raise _output_error(path, error) from error
        raise
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _mode_of(path: Path) -> int:
    """Who may use the file that is replaced; anybody where there is none."""
    try:
        found = path.lstat().st_mode
    except OSError:
        return 0o777
    return stat.S_IMODE(found) if stat.S_ISREG(found) else 0o777


def private_folder(folder: Path) -> None:
    """Make a folder of the user's own, or close one that is there to everybody else.

    Raises:
        OutputError: it cannot be made or is not ours.
    """
    require_own(folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise _output_error(folder, error) from error


def require_own(folder: Path) -> Path:
    """`folder`, where what lies in it is believed or run: ours or the system's, and not for everybody to write into.

    Raises:
        OutputError: somebody else could have put anything there.
    """
    try:
        found = folder.stat()
    except OSError:  # there is none yet, or whoever uses it will say what is wrong
        return folder
    owner, everybody = found.st_uid not in (0, os.geteuid()), stat.S_IMODE(found.st_mode) & stat.S_IWOTH
    if owner or everybody:
        why = f"it belongs to user {found.st_uid}, not to {os.geteuid()}" if owner else "everybody may write into it"
        raise OutputError(
            f"not a folder of your own: {folder}",
            f"{why}, and what lies there is believed: nothing was read or written",
            "choose another folder, or make it yours alone with chown and chmod",
        )
    return folder


def copy_file(source: Path, target: Path) -> None:
    """Copy content, and that a file may be run; who may read the copy is for the umask to say."""
    shutil.copyfile(source, target)
    if source.stat().st_mode & stat.S_IXUSR:
        mode = stat.S_IMODE(target.stat().st_mode)
        target.chmod(mode | (mode & 0o444) >> 2)


def write_bytes(path: Path, data: bytes, *, private: bool = False) -> str:
    """Write `data` to `path` atomically; return its SHA-256. `private`: see `atomic_path`."""
    with atomic_path(path, private=private) as part:
        part.write_bytes(data)
    return sha256_bytes(data)


def append_json(path: Path, value: Any) -> None:
    """Add one line of JSON to a file of lines: one write, synced before this returns, held against other writers.

    A last line that a crash cut short is left as it is, by itself: readers know it by what is missing.

    Raises:
        OutputError: the disk is full, the file cannot be written, or a link stands there. What it held before is
            not touched.
    """
    line = canonical_json(value) + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            size = os.fstat(handle).st_size
            if size and os.pread(handle, 1, size - 1) != b"\n":
                line = b"\n" + line
            if os.write(handle, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(handle)
        finally:
            os.close(handle)
        fsync_folder(path.parent)
    except OSError as error:
        raise OutputError(
            f"cannot add to {path.name}",
            f"{path.parent}: {error.strerror}; earlier lines are as they were",
            "free some space, or check who may write there, then run again",
        ) from error


def write_json(path: Path, value: Any) -> str:
    """Write `value` as readable JSON atomically; return the SHA-256 of the file."""
    return write_bytes(path, pretty_json(value))


def _output_error(path: Path, error: OSError) -> OutputError:
    told = system_error(error, path)
    return OutputError(told.what, f"{path.parent}: {error.strerror}; nothing was overwritten", told.hint)
