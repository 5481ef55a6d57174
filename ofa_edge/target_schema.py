"""The schema of target files: strict tables, and figures that a device can have."""

import math
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, model_validator

from ofa_edge.names import PlainName, RelativePath
from ofa_edge.schema import Strict
from ofa_edge.vocabulary import Precision, numbers

Architecture = Literal["aarch64", "x86_64", "armv7l", "armv8.1-m"]


# What a figure of a device can be. Peaks decide which latencies are believed: an endless one would let any pass.
FASTEST_GMACS = 100_000.0  # 1e9 multiply-accumulates a second: more than any module for edge devices has
_CORE_GMACS = 6.0 * 512  # of one CPU core: 6 GHz, four times the int8 lanes of two 512-bit dot products a cycle
Peak = Annotated[float, Field(ge=1e-3, le=FASTEST_GMACS)]
Threads = Annotated[int, Field(ge=1, le=1024)]


class Hardware(Strict):
    """The device model. Peaks are of what the runtime uses: `runtime.threads` CPU threads, or the GPU."""

    arch: Architecture
    cpu: str = Field(min_length=1)  # as compilers name it
    cores: Threads
    clock_ghz: float | None = Field(default=None, ge=0.01, le=10)  # of its fastest core, at most
    gpu: str | None = None
    peak_gmacs_fp32: Peak  # 1e9 multiply-accumulates a second
    # None: no fp16 arithmetic. fp16 files then run as fp32, and fp16-acc16 is refused.
    peak_gmacs_fp16: Peak | None = None
    peak_gmacs_int8: Peak | None = None
    memory_gbps: float = Field(ge=1e-3, le=100_000)  # 1e9 bytes a second

    def peak_gmacs(self, precision: str) -> float:
        """1e9 multiply-accumulates a second at a precision; as in fp32 where there is no figure of its own."""
        own = {"fp16": self.peak_gmacs_fp16, "int8": self.peak_gmacs_int8}
        return own.get(numbers(precision).arithmetic) or self.peak_gmacs_fp32

    @model_validator(mode="after")
    def _within_its_cores(self) -> Self:
        most = self.cores * _CORE_GMACS
        for name in ("peak_gmacs_fp32", "peak_gmacs_fp16", "peak_gmacs_int8"):
            peak = getattr(self, name)
            if self.gpu is None and peak is not None and peak > most:
                raise ValueError(f"{name} = {peak:g}: {self.cores} CPU cores reach {most:g} at the very most")
        return self


class TvmOptions(Strict):
    """How TVM compiles for this target."""

    target: dict[str, JsonValue]  # as `tvm.target.Target` takes it, host included
    precisions: tuple[Precision, ...] | None = Field(default=None, min_length=1)  # default: those of [runtime]
    unsupported: dict[Precision, str] = Field(default_factory=dict)  # precision -> why not

    @model_validator(mode="after")
    def _kind_named(self) -> Self:
        if not isinstance(self.target.get("kind"), str):
            raise ValueError('target has no kind; for example kind = "llvm"')
        if not _finite(self.target):
            raise ValueError("target holds a number that is not finite")
        return self


class PluginOptions(Strict):
    """What a runtime that is not ours has to know about the target: `options` are its own affair."""

    precisions: tuple[Precision, ...] | None = Field(default=None, min_length=1)  # default: those of [runtime]
    unsupported: dict[Precision, str] = Field(default_factory=dict)  # precision -> why not
    options: dict[str, JsonValue] = Field(default_factory=dict)


Area = Annotated[float, Field(gt=0, le=1e6)]


class Npu(Strict):
    """An accelerator beside the CPU, as its own compiler is told of it."""

    accelerator: str = Field(min_length=1)  # "ethos-u55-128": the number is MACs a cycle
    config: str = Field(min_length=1)  # the compiler's configuration: a file beside the target's, or one of its own
    system_config: str = Field(min_length=1)  # a section of it: clock and bandwidths
    memory_mode: str = Field(min_length=1)  # likewise: what lies where
    sram_bytes: Annotated[int, Field(ge=1, lt=1 << 40)]  # that a network may use
    storage_bytes: Annotated[int, Field(ge=1, lt=1 << 50)] | None = None  # of flash or DRAM; None: not limited
    area_mm2: Area | None = None  # where a source gives one; None: not known

    @property
    def macs_per_cycle(self) -> int:
        """The number at the end of an accelerator's name; of a name that its compiler knows."""
        return int(self.accelerator.rpartition("-")[2])


class Array(Strict):
    """An accelerator that is only described: two engines, each in ZigZag's own YAML, in files beside the target's."""

    pointwise: str = Field(min_length=1)  # of all convolutions but depthwise ones, and fully connected layers
    depthwise: str = Field(min_length=1)
    clock_mhz: Annotated[float, Field(ge=1e-3, le=1e5)]
    pipelined: bool = True  # a depthwise layer and the pointwise one behind it run at once, the map between on the chip
    area_mm2: Area | None = None


class Runtime(Strict):
    """What runs the artifact, and how. Which runtimes there are is known to `ofa_edge.runtimes` alone."""

    kind: PlainName
    threads: Threads
    cores: tuple[
        Annotated[int, Field(ge=0, lt=1024)], ...
    ] = ()  # on which the threads are kept while measured; () for any
    precisions: tuple[Precision, ...] = Field(min_length=1)
    alternatives: tuple[PlainName, ...] = ()
    unsupported: dict[Precision, str] = Field(default_factory=dict)  # precision -> why not, in hardware terms
    tvm: TvmOptions | None = None
    plugins: dict[PlainName, PluginOptions] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if both := sorted(set(self.precisions) & set(self.unsupported)):
            raise ValueError(f"{both[0]} is both in precisions and in unsupported")
        if self.kind in self.alternatives:
            raise ValueError(f"alternatives names {self.kind} again; it is the kind")
        if self.cores and len(set(self.cores)) < self.threads:
            raise ValueError(f"cores names fewer cores than there are threads: {len(set(self.cores))}, {self.threads}")
        return self


class Defaults(Strict):
    """What `build` takes where no option says otherwise."""

    precision: Precision
    relative_budget: float = Field(default=0.6, gt=0, le=1)  # of the largest subnet's predicted latency


class SearchLimits(Strict):
    """What a network for this target may hold. Searches keep to it; supernets that cannot are refused."""

    kernels: tuple[Annotated[int, Field(ge=1, le=64)], ...] | None = Field(
        default=None, min_length=1
    )  # sizes of the elastic kernels; default: all
    squeeze_excite: bool = True
    hard_swish: bool = True


class LatencyModelFile(Strict):
    """Where the coefficients of the latency model lie."""

    file: RelativePath  # relative to the target file


class Emulation(Strict):
    """How an emulator can stand in for this target: for parity and accuracy, never for milliseconds."""

    cpu: str = Field(min_length=1)  # qemu's -cpu


class Identity(Strict):
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


class Sustained(Strict):
    """What the target keeps of its speed in steady state, hot as it then is."""

    factor: float = Field(ge=1, le=20)  # latency of one inference after minutes of load, in units of the cold latency
    source: str = Field(min_length=1)  # who measured it, with which load and cooling


def _finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    if isinstance(value, list):
        return all(map(_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


class TargetFile(Strict):
    """The schema of a target file."""

    schema_version: Literal[1] = Field(alias="schema")
    description: str = Field(min_length=1)
    hardware: Hardware
    runtime: Runtime
    defaults: Defaults
    search: SearchLimits = Field(default_factory=SearchLimits)
    latency_model: LatencyModelFile
    npu: Npu | None = None
    array: Array | None = None
    emulation: Emulation | None = None
    identity: Identity | None = None  # default: the CPU by its name
    sustained: Sustained | None = None

    @model_validator(mode="after")
    def _default_runs(self) -> Self:
        if self.defaults.precision not in self.runtime.precisions:
            raise ValueError(f"defaults.precision {self.defaults.precision} is not in runtime.precisions")
        return self
