"""A content-addressed cache of stages: the same inputs give the same folder of files, made once.

A stage's *key* is the SHA-256 of its name, its version and the canonical JSON of its inputs (digests and options), so
a changed input rebuilds exactly what depends on it. An entry is a folder `ROOT/STAGE/KEY/` of files beside an
`index.json` with their SHA-256. It is made in `ROOT/.partial/`, synced, and renamed into place: a crash, Ctrl-C or a
full disk leaves no half entry. Every file is verified on every hit; a damaged entry is removed and made again.
Processes that want one entry at the same time wait for each other: the first makes it, the others are served from it.
"""

import contextlib
import functools
import hashlib
import math
import os
import re
import secrets
import shutil
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ofa_edge import __version__
from ofa_edge.errors import OfaEdgeError, OutputError
from ofa_edge.files import (
    canonical_json,
    fsync_folder,
    parse_json,
    pretty_json,
    read_regular,
    require_own,
    sha256_bytes,
    sha256_file,
)
from ofa_edge.system import DENIED, FULL, disk_error

INDEX = "index.json"
SCHEMA = 1
_LARGEST_INDEX = 64_000_000  # bytes; it holds what the stage was made of
_STAGE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")

_CODE = (".py", ".cc", ".h", ".c", ".cuh")  # what stages are made by; data and tables are inputs of their own

Produce = Callable[[Path], None]


@functools.cache
def code_version() -> str:
    """The package's version and a digest of its source, for the keys of stages: who changes a stage makes it anew.

    Without the digest a working copy would be served what it made before its code was changed.
    """
    digest = source_digest(path for path in Path(__file__).parent.rglob("*") if path.suffix in _CODE)
    return f"{__version__}+{digest[:16]}"


def source_digest(paths: Iterable[Path]) -> str:
    """SHA-256 over the names, inside the package, and the content of source files of this package."""
    folder, digest = Path(__file__).parent, hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{sha256_file(path)}\n".encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class CacheEntry:
    """The files of one stage, as `StageCache.run` hands them out. They are shared: copy them, never change them."""

    stage: str
    key: str
    folder: Path
    files: Mapping[str, str]  # path inside the folder (posix) -> SHA-256
    hit: bool
    seconds: float  # wall time of this call: making the entry, or verifying it
    produced_seconds: float  # wall time of making the entry, whenever that was
    damage: str | None = None  # why an older entry had to be made again

    def path(self, name: str) -> Path:
        """Where file `name` of the entry lies. Raises KeyError for a name that the stage did not make."""
        if name not in self.files:
            raise KeyError(f"stage '{self.stage}' made no '{name}'; it made {', '.join(sorted(self.files))}")
        return self.folder / name


@dataclass(frozen=True)
class StoredEntry:
    """One entry as `StageCache.entries` lists it."""

    stage: str
    key: str
    folder: Path
    size: int  # bytes
    last_used: float  # seconds since the epoch


@dataclass(frozen=True)
class StageCache:
    """A cache in one folder. Any number of processes and threads may use it at once.

    Example:
        cache = StageCache(default_root())
        entry = cache.run("onnx", {"weights": digest}, lambda folder: export(folder / "model.onnx"))
        entry.path("model.onnx")
    """

    root: Path

    @staticmethod
    def key(stage: str, inputs: Mapping[str, Any], version: int = 1) -> str:
        """Hex digest that names the entry of a stage. Raises TypeError or ValueError for inputs that are not JSON."""
        if not _STAGE_NAME.fullmatch(stage):
            raise ValueError(f"stage name {stage!r}: use lower-case letters, digits, '-' and '_'")
        return sha256_bytes(canonical_json({"stage": stage, "version": version, "inputs": dict(inputs)}))

    def run(self, stage: str, inputs: Mapping[str, Any], produce: Produce, version: int = 1) -> CacheEntry:
        """Return the entry for these inputs, calling `produce` on an empty folder where there is none yet.

        Args:
            stage: name of the stage.
            inputs: all that the result depends on, as plain JSON: digests of files, options, versions of tools.
            produce: writes the stage's files into the folder that it is given.
            version: of the stage's own code; raise it when the same inputs must give another result.

        Raises:
            OutputError: the disk is full or the cache folder cannot be written.
        """
        start = time.perf_counter()
        key = self.key(stage, inputs, version)
        with self._locked(key), _disk_errors(stage, self.root):
            found, damage = self._verified(stage, key)
            if found is None:
                _remove(self._folder(stage, key))
                found = self._make(stage, key, {"version": version, "inputs": dict(inputs)}, produce)
                hit = False
            else:
                os.utime(self._folder(stage, key) / INDEX)
                hit = True
        files = {name: str(facts["sha256"]) for name, facts in found["files"].items()}
        seconds = time.perf_counter() - start
        return CacheEntry(
            stage, key, self._folder(stage, key), files, hit, seconds, float(found["produced_seconds"]), damage
        )

    def has(self, stage: str, inputs: Mapping[str, Any], version: int = 1) -> bool:
        """Whether an entry exists, without verifying it: for saying what a build would do."""
        return (self._folder(stage, self.key(stage, inputs, version)) / INDEX).is_file()

    def entries(self) -> list[StoredEntry]:
        """All entries, the least recently used first."""
        found = []
        for index in self.root.glob(f"[!.]*/*/{INDEX}"):
            with contextlib.suppress(FileNotFoundError):  # pruned by another process meanwhile
                folder = index.parent
                size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
                found.append(StoredEntry(folder.parent.name, folder.name, folder, size, index.stat().st_mtime))
        return sorted(found, key=lambda entry: (entry.last_used, entry.key))

    def usual_seconds(self) -> dict[str, float]:
        """What the entries of each stage took to make, here: the median of each, in seconds."""
        found: dict[str, list[float]] = {}
        for index in self.root.glob(f"[!.]*/*/{INDEX}"):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # damaged, or pruned
                seconds = float(parse_json(read_regular(index))["produced_seconds"])
                found.setdefault(index.parent.parent.name, []).append(seconds)
        return {stage: statistics.median(each) for stage, each in sorted(found.items())}

    def prune(self, max_bytes: int = 0, unused_for: float = 0.0) -> list[StoredEntry]:
        """Remove entries, the least recently used first, until at most `max_bytes` are left; return what was removed.

        Args:
            max_bytes: size to come down to; 0 empties the cache.
            unused_for: spare entries used within so many seconds, such as those of a build that still runs.

        An entry that another process is making or verifying right now is spared too.
        """
        if not max_bytes and not unused_for:
            shutil.rmtree(self.root / ".failures", ignore_errors=True)
        stored = self.entries()
        total, newest = sum(entry.size for entry in stored), time.time() - unused_for
        removed = []
        for entry in stored:
            if total <= max_bytes or entry.last_used > newest:
                break
            if self._remove(entry):
                removed.append(entry)
                total -= entry.size
        return removed

    # -- one entry ------------------------------------------------------------------------------------------------

    def _folder(self, stage: str, key: str) -> Path:
        return self.root / stage / key

    @contextlib.contextmanager
    def _locked(self, key: str, wait: bool = True) -> Iterator[None]:
        """Hold the lock of one key across processes and threads; with `wait` false raises filelock.Timeout."""
        from filelock import FileLock

        folder = require_own(self.root) / ".locks"
        with _disk_errors("lock", self.root):
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / f"{key}.lock")
            lock.acquire(timeout=-1 if wait else 0)
        try:
            yield
        finally:
            lock.release()

    def _verified(self, stage: str, key: str) -> tuple[dict[str, Any] | None, str | None]:
        """The index of a sound entry, or what is wrong with it; (None, None) where there is no entry."""
        folder = self._folder(stage, key)
        if not os.path.lexists(folder):
            return None, None
        try:
            if folder.is_symlink():
                raise ValueError("a link stands in its place")
            index = parse_json(read_regular(folder / INDEX, _LARGEST_INDEX))
            names = set(index["files"])
            if index["schema"] != SCHEMA or self.key(index["stage"], index["inputs"], index["version"]) != key:
                return None, f"{INDEX}: belongs to another entry"
            if names != set(_regular_files(folder)) - {INDEX}:
                return None, "files are missing or were added"
            for name in sorted(names):
                if sha256_file(folder / name) != index["files"][name]["sha256"]:
                    return None, f"{name}: SHA-256 differs"
            if not 0 <= float(index["produced_seconds"]) < math.inf:
                raise ValueError("produced_seconds is no time")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            return None, f"{INDEX}: {type(error).__name__}: {error}"
        return index, None

    def _make(self, stage: str, key: str, facts: dict[str, Any], produce: Produce) -> dict[str, Any]:
        """Make an entry under its lock: all or nothing."""
        folder = self._folder(stage, key)
        for left in (self.root / ".partial").glob(f"{key}*"):  # by a process that was killed: we hold its lock now
            _remove(left)
        # A name of its own each time: a worker that outlives a killed process must not write into the next one's.
        partial = self.root / ".partial" / f"{key}.{secrets.token_hex(6)}"
        try:
            partial.mkdir(parents=True)
            start = time.perf_counter()
            produce(partial)
            seconds = time.perf_counter() - start
            files = {}
            for name in _regular_files(partial):
                _fsync_file(partial / name)
                files[name] = {"sha256": sha256_file(partial / name), "bytes": (partial / name).stat().st_size}
            if not files or INDEX in files:
                raise ValueError(f"stage '{stage}' must write at least one file, none of them named {INDEX}")
            index = {"schema": SCHEMA, "stage": stage, **facts, "files": files, "produced_seconds": seconds}
            (partial / INDEX).write_bytes(pretty_json(index))
            _fsync_file(partial / INDEX)
            for inner in (partial, *(path for path in partial.rglob("*") if path.is_dir())):
                fsync_folder(inner)
            folder.parent.mkdir(parents=True, exist_ok=True)
            partial.rename(folder)
            fsync_folder(folder.parent)
        except BaseException:  # Ctrl-C too
            shutil.rmtree(partial, ignore_errors=True)
            raise
        return index

    def _remove(self, entry: StoredEntry) -> bool:
        from filelock import Timeout

        try:
            with self._locked(entry.key, wait=False), _disk_errors(entry.stage, self.root):
                (entry.folder / INDEX).unlink(missing_ok=True)  # first: what is left of a removal is no entry
                shutil.rmtree(entry.folder, ignore_errors=True)
                # Safe while held: a waiter that locked the unlinked file notices and opens a new one.
                (self.root / ".locks" / f"{entry.key}.lock").unlink(missing_ok=True)
        except Timeout:
            return False
        return True


def default_root() -> Path:
    """`$OFA_EDGE_CACHE`, else the user's cache folder (`~/.cache/ofa-edge/stages` on Linux)."""
    import platformdirs

    chosen = os.environ.get("OFA_EDGE_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("ofa-edge")) / "stages"


def failures_folder() -> Path:
    """Where stages that fail may leave what shows why; emptied with the cache."""
    return default_root() / ".failures"


def _regular_files(folder: Path) -> list[str]:
    """Posix paths of all files below `folder`, sorted. Raises ValueError for links and special files."""
    names = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ValueError(f"{path.name} is a link or a special file; a stage may only write plain files")
        if path.is_file():
            names.append(path.relative_to(folder).as_posix())
    return names


def _remove(path: Path) -> None:
    """Remove whatever stands there; never what a link leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _fsync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextlib.contextmanager
def _disk_errors(stage: str, root: Path) -> Iterator[None]:
    """Turn a full or read-only disk into OutputError, also where a library wrapped the OSError in its own error."""
    try:
        yield
    except OutputError:
        raise
    except Exception as error:
        cause = _disk_cause(error, root)
        if cause is None:
            raise
        full = cause.errno in FULL
        raise OutputError(
            f"{'disk full' if full else 'cannot write'}: cache of stage '{stage}'",
            f"{cause.filename or root}: {cause.strerror}; nothing half-made was kept in {root}",
            "free some space, then run the same command again" if full else "set OFA_EDGE_CACHE to another folder",
        ) from error


def _disk_cause(error: BaseException, root: Path) -> OSError | None:
    """The OSError behind `error` that says that the cache's disk is full, or that its folder cannot be written."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in FULL:
            return cause
        # A stage may also be denied a file elsewhere, its own input say: that is not the cache's error.
        if isinstance(cause, OSError) and cause.errno in DENIED and str(cause.filename).startswith(str(root)):
            return cause
        cause = cause.__cause__
    return None if isinstance(error, OfaEdgeError) else disk_error(str(error))  # of a library not written in Python
