"""Targets: what a device model is, read from strict TOML files, and where those files are found.

A target is portable and says what the hardware *is*; where one stands (host, user, serial) is a device and lives
elsewhere. The name of a target is its file's stem. Files are looked for in this order: built in, folders named by the
entry points `ofa_edge.targets`, `$OFA_EDGE_TARGETS`, and a path given in place of a name.

Example:
    >>> load_target("raspberry-pi-4").runtime.kind
    'tflite'
"""

import os
import platform
import tomllib
import types
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from ofa_edge.errors import ConfigError, UnknownNameError
from ofa_edge.files import bounded_text, canonical_json, parse_toml, sha256_bytes, sha256_file, shipped_folder
from ofa_edge.names import require_plain
from ofa_edge.schema import validated
from ofa_edge.shown import pasteable
from ofa_edge.target_schema import Identity, Sustained, TargetFile

__all__ = [
    "Sustained",
    "Target",
    "builtin_folder",
    "find_targets",
    "list_targets",
    "load_target",
    "machine_architecture",
    "read_target",
]
ENTRY_POINTS = "ofa_edge.targets"
SEARCH_VARIABLE = "OFA_EDGE_TARGETS"
# What platform.machine() says on other systems, in the kernel's words.
_MACHINES: Mapping[str, str] = types.MappingProxyType({"AMD64": "x86_64", "arm64": "aarch64"})


class Target(TargetFile):
    """A target with its name and the file it came from."""

    name: str
    path: Path

    def is_hardware(self, model: str, cpu: str) -> bool:
        """Whether a physical device that gives this model and CPU is this target's hardware."""
        identity = self.identity or Identity(cpus=(self.hardware.cpu,))
        return identity.fits(model, cpu)

    @property
    def runtimes(self) -> tuple[str, ...]:
        """Runtimes that the file names, the usual one first."""
        return (self.runtime.kind, *self.runtime.alternatives)

    @property
    def android(self) -> bool:
        """Whether its artifacts run on Android."""
        return "android" in str(self.facts())

    @property
    def at_hand(self) -> bool:
        """Whether it is the machine that this runs on: `host`, and what was measured for it."""
        return self.hardware.cpu == "native"

    @property
    def latency_path(self) -> Path:
        """The latency model's file."""
        return self.path.parent / self.latency_model.file

    @property
    def accelerator_digest(self) -> str | None:
        """SHA-256 of what cycles beside the CPU depend on: its table, and files that it names; None without one."""
        table = self.npu or self.array
        if table is None:
            return None
        facts: dict[str, Any] = {**table.model_dump(exclude={"storage_bytes", "area_mm2"})}
        for name, value in facts.items():
            if isinstance(value, str) and (file := self.path.parent / value).is_file():
                facts[name] = sha256_file(file)  # a copy's files have names of their own
        return sha256_bytes(canonical_json(facts))

    def facts(self) -> dict[str, Any]:
        """The target as JSON, for manifests and cache keys: no path, so equal files give equal facts."""
        return {"name": self.name, **self.model_dump(mode="json", by_alias=True, exclude={"name", "path"})}


# -- reading ---------------------------------------------------------------------------------------------------------


def read_target(path: Path) -> Target:
    """Read and check one target file.

    Raises:
        ConfigError: not TOML, an unknown key (with the nearest known one), a wrong type, values that contradict, or a
            file whose name cannot be a target's.
    """
    require_plain("target", path.stem, f"{path}: the file's name is the target's", "rename the file")
    try:
        raw = parse_toml(bounded_text(path))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"cannot read target file {path.name}", f"{path}: {error}", "ofa-edge targets show raspberry-pi-4"
        ) from error
    file = validated(
        TargetFile,
        _at_hand(raw),
        f"target file {path.name}",
        path,
        f"correct it, then: {pasteable('ofa-edge', 'targets', 'validate', path)}",
    )
    return Target.model_validate(
        {**file.model_dump(by_alias=True), "name": path.stem, "path": path.resolve()}, strict=False
    )


def machine_architecture() -> str:
    """The architecture of this machine, as target files name it."""
    machine = platform.machine()
    return _MACHINES.get(machine, machine)


def _at_hand(raw: dict[str, Any]) -> dict[str, Any]:
    """Fill in the machine at hand where a file says arch = "native"."""
    hardware = raw.get("hardware")
    if not isinstance(hardware, dict) or hardware.get("arch") != "native":
        return raw
    return {
        **raw,
        "hardware": {"cores": os.cpu_count() or 1, **hardware, "arch": machine_architecture()},
    }


# -- finding ---------------------------------------------------------------------------------------------------------


def builtin_folder() -> Path:
    """Where the built-in targets lie."""
    return shipped_folder("targets")


def search_folders() -> Iterator[Path]:
    """Folders (or single files) that hold targets, in search order.

    Raises:
        ConfigError: an entry point that cannot be loaded or names no folder.
    """
    yield builtin_folder()
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name):
        try:
            found: str | Path | Callable[[], str | Path] = point.load()
            yield Path(found() if callable(found) else found)
        except Exception as error:  # a third party's code: anything can happen
            raise ConfigError(
                f"entry point '{point.name}' of group {ENTRY_POINTS} does not load",
                f"{point.value}: {type(error).__name__}: {error}",
                "repair or uninstall the package that declares it",
            ) from error
    for item in filter(None, os.environ.get(SEARCH_VARIABLE, "").split(os.pathsep)):
        folder = Path(item).expanduser()
        if not folder.exists():
            raise ConfigError(
                f"{SEARCH_VARIABLE} names what does not exist", f"{folder}", f"correct or unset {SEARCH_VARIABLE}"
            )
        yield folder


def find_targets() -> dict[str, tuple[Path, ...]]:
    """Every target file by name, in search order. Nothing is parsed; one file reached twice counts once."""
    found: dict[str, list[Path]] = {}
    for folder in search_folders():
        for path in sorted(folder.glob("*.toml")) if folder.is_dir() else [folder]:
            files = found.setdefault(path.stem, [])
            if path.resolve() not in files:
                files.append(path.resolve())
    return {name: tuple(files) for name, files in found.items()}


def list_targets() -> list[Target]:
    """All targets in search order. Raises ConfigError on a bad file or on two files of one name."""
    return [read_target(_only(name, files)) for name, files in find_targets().items()]


def load_target(name_or_path: str | Path) -> Target:
    """Load a target by name, or from a path (anything that ends in .toml or holds a separator).

    Raises:
        UnknownNameError: nothing goes by that name; the nearest names are given.
        ConfigError: the file is missing or bad, or two files share the name.
    """
    targets = find_targets()
    name_or_path, path = str(name_or_path), Path(name_or_path).expanduser()
    if path.suffix == ".toml" or len(path.parts) > 1:
        if not path.is_file():
            raise ConfigError("no such target file", f"{path}", "ofa-edge targets list")
        named = targets.get(path.stem, ())
        return read_target(_only(path.stem, tuple(dict.fromkeys((*named, path.resolve())))))
    if name_or_path not in targets:
        raise UnknownNameError.of("target", name_or_path, targets, "ofa-edge targets list")
    return read_target(_only(name_or_path, targets[name_or_path]))


def _only(name: str, files: tuple[Path, ...]) -> Path:
    if len(files) > 1:
        raise ConfigError(
            f"two targets are named '{name}'",
            f"{files[0]} and {files[1]}",
            f"rename one of them: {pasteable('mv', files[1])} ...",
        )
    return files[0]
