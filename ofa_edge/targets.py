"""Targets: what a device model is, read from strict TOML files, and where those files are found.

A target is portable and says what the hardware *is*; where one stands (host, user, serial) is a device and lives
elsewhere. The name of a target is its file's stem. Files are looked for in this order: built in, folders named by the
entry points `ofa_edge.targets`, `$OFA_EDGE_TARGETS`, and a path given in place of a name.

Example:
    >>> load_target("raspberry-pi-4").runtime.kind
    'tflite'
"""

import difflib
import json
import os
import platform
import tomllib
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from ofa_edge.errors import ConfigError, UnknownNameError, UnsupportedError
from ofa_edge.names import RelativePath, require_plain

Precision = Literal["fp32", "fp16", "dynamic", "int8"]
Feature = Literal["fp32", "fp16", "dynamic", "int8", "fp16-accumulation"]
RuntimeKind = Literal["tflite", "tvm"]
Architecture = Literal["aarch64", "x86_64", "armv7l"]

PRECISIONS: tuple[Precision, ...] = typing.get_args(Precision)
RUNTIMES: tuple[RuntimeKind, ...] = typing.get_args(RuntimeKind)
ENTRY_POINTS = "ofa_edge.targets"
SEARCH_VARIABLE = "OFA_EDGE_TARGETS"
# What platform.machine() says on other systems, in the kernel's words.
_MACHINES: Mapping[str, str] = types.MappingProxyType({"AMD64": "x86_64", "arm64": "aarch64"})


class _Table(BaseModel):
    """A table of the file: frozen, no unknown keys, no conversion of types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Hardware(_Table):
    """The device model. Peaks are of what the runtime uses: `runtime.threads` CPU threads, or the GPU."""

    arch: Architecture
    cpu: str = Field(min_length=1)  # as compilers name it
    cores: int = Field(ge=1)
    gpu: str | None = None
    peak_gmacs_fp32: float = Field(gt=0)  # 1e9 multiply-accumulates a second
    # None: no fp16 arithmetic. fp16 files then run as fp32, and `build --fp16-accumulation` is refused.
    peak_gmacs_fp16: float | None = Field(default=None, gt=0)
    peak_gmacs_int8: float | None = Field(default=None, gt=0)
    memory_gbps: float = Field(gt=0)  # 1e9 bytes a second


class TvmOptions(_Table):
    """How TVM compiles for this target."""

    target: dict[str, JsonValue]  # as `tvm.target.Target` takes it, host included
    precisions: tuple[Precision, ...] | None = Field(default=None, min_length=1)  # default: those of [runtime]
    unsupported: dict[Precision, str] = Field(default_factory=dict)  # precision -> why not

    @model_validator(mode="after")
    def _kind_named(self) -> Self:
        if not isinstance(self.target.get("kind"), str):
            raise ValueError('target has no kind; for example kind = "llvm"')
        return self


class Runtime(_Table):
    """What runs the artifact, and how."""

    kind: RuntimeKind
    threads: int = Field(ge=1)
    cores: tuple[Annotated[int, Field(ge=0)], ...] = ()  # on which the threads are kept while measured; () for any
    precisions: tuple[Precision, ...] = Field(min_length=1)
    alternatives: tuple[RuntimeKind, ...] = ()
    unsupported: dict[Feature, str] = Field(default_factory=dict)  # precision or option -> why not, in hardware terms
    tvm: TvmOptions | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if both := sorted(set(self.precisions) & set(self.unsupported)):
            raise ValueError(f"{both[0]} is both in precisions and in unsupported")
        if self.kind in self.alternatives:
            raise ValueError(f"alternatives names {self.kind} again; it is the kind")
        if self.cores and len(set(self.cores)) < self.threads:
            raise ValueError(f"cores names fewer cores than there are threads: {len(set(self.cores))}, {self.threads}")
        if self.tvm is None and "tvm" in (self.kind, *self.alternatives):
            raise ValueError("tvm is a runtime here, so the table [runtime.tvm] is needed")
        return self


class Defaults(_Table):
    """What `build` takes where no option says otherwise."""

    precision: Precision
    relative_budget: float = Field(default=0.6, gt=0, le=1)  # of the largest subnet's predicted latency


class SearchLimits(_Table):
    """What a network for this target may hold. Searches keep to it; supernets that cannot are refused."""

    kernels: tuple[int, ...] | None = Field(default=None, min_length=1)  # sizes of the elastic kernels; default: all
    squeeze_excite: bool = True
    hard_swish: bool = True


class LatencyModelFile(_Table):
    """Where the coefficients of the latency model lie."""

    file: RelativePath  # relative to the target file


class Emulation(_Table):
    """How an emulator can stand in for this target: for parity and accuracy, never for milliseconds."""

    cpu: str = Field(min_length=1)  # qemu's -cpu


class Identity(_Table):
    """How hardware of this target is known by what it says of itself. Where both are given, both must hold."""

    models: tuple[str, ...] = ()  # of the board or phone; shell patterns: "Raspberry Pi 4 Model B*"
    cpus: tuple[str, ...] = ()  # as fingerprints name them: "cortex-a72", "implementer 0x51 part 0x804"

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.models and not self.cpus:
            raise ValueError("identity names neither models nor cpus")
        return self

    def fits(self, model: str, cpu: str) -> bool:
        """Whether a device with this model and CPU is the target's hardware."""
        return (not self.models or any(fnmatchcase(model, pattern) for pattern in self.models)) and (
            not self.cpus or cpu in self.cpus
        )


class Sustained(_Table):
    """What the target keeps of its speed in steady state, hot as it then is."""

    factor: float = Field(ge=1, le=20)  # latency of one inference after minutes of load, in units of the cold latency
    source: str = Field(min_length=1)  # who measured it, with which load and cooling


class TargetFile(_Table):
    """The schema of a target file."""

    schema_version: Literal[1] = Field(alias="schema")
    description: str = Field(min_length=1)
    hardware: Hardware
    runtime: Runtime
    defaults: Defaults
    search: SearchLimits = Field(default_factory=SearchLimits)
    latency_model: LatencyModelFile
    emulation: Emulation | None = None
    identity: Identity | None = None  # default: the CPU by its name
    sustained: Sustained | None = None

    @model_validator(mode="after")
    def _default_runs(self) -> Self:
        if self.defaults.precision not in self.runtime.precisions:
            raise ValueError(f"defaults.precision {self.defaults.precision} is not in runtime.precisions")
        return self


class Target(TargetFile):
    """A target with its name and the file it came from."""

    name: str
    path: Path

    def is_hardware(self, model: str, cpu: str) -> bool:
        """Whether a physical device that gives this model and CPU is this target's hardware."""
        identity = self.identity or Identity(cpus=(self.hardware.cpu,))
        return identity.fits(model, cpu)

    @property
    def runtimes(self) -> tuple[RuntimeKind, ...]:
        """Every runtime that builds for this target, the usual one first."""
        return (self.runtime.kind, *self.runtime.alternatives)

    @property
    def at_hand(self) -> bool:
        """Whether it is the machine that this runs on: `host`, and what was measured for it."""
        return self.hardware.cpu == "native"

    @property
    def latency_path(self) -> Path:
        """The latency model's file."""
        return self.path.parent / self.latency_model.file

    def precisions(self, runtime: str) -> tuple[Precision, ...]:
        """Precisions that `runtime` builds for this target; none for a runtime that it lacks."""
        if runtime not in self.runtimes:
            return ()
        tvm = self.runtime.tvm
        return tvm.precisions if runtime == "tvm" and tvm and tvm.precisions else self.runtime.precisions

    def facts(self) -> dict[str, Any]:
        """The target as JSON, for manifests and cache keys: no path, so equal files give equal facts."""
        return {"name": self.name, **self.model_dump(mode="json", by_alias=True, exclude={"name", "path"})}


def require(target: Target, runtime: str, precision: str) -> None:
    """Refuse, before any work, what the target cannot do.

    Raises:
        UnsupportedError: with the reason that the target file gives, and the alternatives.
    """
    if runtime not in target.runtimes:
        raise UnsupportedError(
            f"runtime {runtime} on {target.name} is not supported",
            f"{target.path.name} builds for: {', '.join(target.runtimes)}",
            f"ofa-edge build --target {target.name} --runtime {target.runtime.kind}",
        )
    able = target.precisions(runtime)
    if precision in able:
        return
    tvm = target.runtime.tvm
    reasons: dict[str, str] = dict(target.runtime.unsupported.items())
    if runtime == "tvm" and tvm is not None:
        reasons.update(tvm.unsupported.items())
    reason = reasons.get(precision, f"{target.path.name} lists {', '.join(able)} for {runtime}")
    choice = target.defaults.precision if target.defaults.precision in able else able[0]
    raise UnsupportedError(
        f"precision {precision} on {target.name} with {runtime} is not supported",
        reason,
        f"ofa-edge build --target {target.name} --runtime {runtime} --precision {choice}",
    )


def require_fp16_accumulation(target: Target, runtime: str, precision: str) -> None:
    """Refuse sums in half precision where nothing would add them so.

    Raises:
        UnsupportedError: not a TFLite fp16 artifact, or the target's core has no fp16 arithmetic.
    """
    command = f"ofa-edge build --target {target.name}"
    if (runtime, precision) != ("tflite", "fp16"):
        raise UnsupportedError(
            f"--fp16-accumulation does not go with {runtime} {precision}",
            "it lets XNNPACK add in half precision, for which weights and activations must be fp16",
            f"{command} --runtime tflite --precision fp16 --fp16-accumulation",
        )
    missing = f"{target.path.name} gives no hardware.peak_gmacs_fp16: the core adds in fp32 whatever the file allows"
    reasons = target.runtime.unsupported
    if target.hardware.peak_gmacs_fp16 is None or "fp16-accumulation" in reasons:
        raise UnsupportedError(
            f"fp16 accumulation on {target.name} is not supported",
            reasons.get("fp16-accumulation", missing),
            f"{command} --precision fp16",
        )


# -- reading ---------------------------------------------------------------------------------------------------------


def read_target(path: Path) -> Target:
    """Read and check one target file.

    Raises:
        ConfigError: not TOML, an unknown key (with the nearest known one), a wrong type, values that contradict, or a
            file whose name cannot be a target's.
    """
    require_plain("target", path.stem, f"{path}: the file's name is the target's", "rename the file")
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"cannot read target file {path.name}", f"{path}: {error}", "ofa-edge targets show raspberry-pi-4"
        ) from error
    try:
        # JSON mode: strict about types, yet arrays may fill tuples.
        file = TargetFile.model_validate_json(json.dumps(_at_hand(raw), default=str))
    except ValidationError as error:
        raise ConfigError(
            f"target file {path.name} does not fit its schema",
            f"{path}: {'; '.join(dict.fromkeys(_explain(item) for item in error.errors()))}",
            f"correct {path.name}, then: ofa-edge targets validate {path}",
        ) from error
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


def _explain(item: Mapping[str, Any]) -> str:
    """One fault of a file in words: the dotted key, then what is wrong with it."""
    key = ".".join(str(part) for part in item["loc"] if part != "[key]")
    if item["type"] == "extra_forbidden":
        near = nearest_key(key)
        return f"unknown key '{key}'" + (f"; nearest known key: '{near}'" if near else "")
    if item["type"] == "missing":
        return f"missing key '{key}'"
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "value_error":
        return f"{key or 'file'}: {message}"
    return f"{key} = {json.dumps(item['input'], default=str)}: {message}"


def known_keys(model: type[BaseModel] = TargetFile, prefix: str = "") -> Iterator[str]:
    """Every dotted key that a target file may hold."""
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        yield key
        for part in (field.annotation, *typing.get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from known_keys(part, f"{key}.")


def nearest_key(key: str) -> str | None:
    """The known dotted key nearest to `key`: by its whole path, else by its last part in any table."""
    known = list(known_keys())
    table, _, leaf = key.rpartition(".")
    siblings = {name.rpartition(".")[2]: name for name in known if name.rpartition(".")[0] == table}
    anywhere = {name.rpartition(".")[2]: name for name in reversed(known)}
    for names in (siblings, anywhere):
        if near := difflib.get_close_matches(leaf, names, n=1, cutoff=0.6):
            return names[near[0]]
    return next(iter(difflib.get_close_matches(key, known, n=1, cutoff=0.6)), None)


# -- finding ---------------------------------------------------------------------------------------------------------


def builtin_folder() -> Path:
    """Where the built-in targets lie: inside an installed package, else at the top of the checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "_targets"
    return installed if installed.is_dir() else package.parent / "targets"


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


def load_target(name_or_path: str) -> Target:
    """Load a target by name, or from a path (anything that ends in .toml or holds a separator).

    Raises:
        UnknownNameError: nothing goes by that name; the nearest names are given.
        ConfigError: the file is missing or bad, or two files share the name.
    """
    targets = find_targets()
    path = Path(name_or_path).expanduser()
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
            f"two targets are named '{name}'", f"{files[0]} and {files[1]}", f"rename one of them: mv {files[1]} ..."
        )
    return files[0]
