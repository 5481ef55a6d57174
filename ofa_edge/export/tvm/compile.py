"""ONNX -> a shared library for TVM's runtime (Relax, LLVM, a linker), and the few lines that run one.

A compiled library needs `libtvm_runtime.so` and `libtvm_ffi.so` only: `load_module` here does it in Python,
`device/runners/tvm_runner.cc` on a device without Python.
"""

import functools
import math
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import ConfigError, ConversionError, OfaEdgeError, ToolMissingError, UnknownNameError
from ofa_edge.export.library_file import LibraryFile
from ofa_edge.export.tvm.forms import build_forms
from ofa_edge.export.tvm.relax import import_onnx, require_tvm, said
from ofa_edge.export.tvm.schedules import Chooser, ScheduleFacts, broken_functions, cpu_module, defaults, isa_of
from ofa_edge.export.tvm.schedules.stack import tir_pipeline
from ofa_edge.export.tvm.schedules.timing import time_functions
from ofa_edge.files import atomic_path
from ofa_edge.vocabulary import Precision

Runner = Callable[..., NDArray[np.float32]]
Linker = Callable[[str, Sequence[str]], None]

# Instruction sets that a hypervisor may hide although the CPU's name implies them.
_VECTOR_FEATURE = re.compile(r"avx|amx|fma|f16c|gfni|vaes|vpclmul|sse4")
_DECIDING_FEATURE = re.compile(rf"{_VECTOR_FEATURE.pattern}|neon|fullfp16|fp16fml|dotprod|sve|i8mm|bf16|lse|v[89]\.\d")
_ALIGNMENT = 64  # bytes; what TVM's generated code may assume of a tensor
_CPU, _POOLED = 1, 2  # DLPack's kDLCPU; TVM's pooled allocator


@dataclass(frozen=True)
class CpuLibrary:
    """A compiled library and how its functions were scheduled."""

    file: LibraryFile
    schedules: ScheduleFacts

    def to_json(self) -> dict[str, Any]:
        """The manifest's entry."""
        return {**self.file.to_json(), "schedules": self.schedules.to_json()}


def compile_cpu(
    onnx_path: Path,
    out: Path,
    target: Mapping[str, object],
    cross_compiler: str | None = None,
    precision: Precision = "fp32",
    chooser: Chooser = defaults,
) -> CpuLibrary:
    """Compile an ONNX model to a shared library for a CPU, with the rules of `schedules`.

    Two calls with the same input, target and tools write the same bytes. A function that no rule takes is compiled by
    TVM's default and named in the result, with its share of the time where the library runs on this machine.

    Args:
        onnx_path: float32 inputs of fixed shape, batch 1.
        out: the `.so` to write.
        target: as `[runtime.tvm] target` of a target file: kind "llvm", mtriple, mcpu, mattr, num-cores. Without
            mtriple and mcpu the library is for this machine (see `host_target`).
        cross_compiler: the program that links; by default g++ for the target's architecture.
        precision: "fp32" or "fp16".
        chooser: knobs of single functions, by what they compute.

    Raises:
        ConfigError: the target is not one that TVM knows; UnknownNameError: LLVM has no such CPU.
        ToolMissingError: TVM or the linker is not installed.
        ConversionError: names the node and the operator that TVM cannot take.
        UnsupportedError: int8.
    """
    require_tvm()
    tvm_target = make_target(target, "llvm")
    linker = find_linker(str(tvm_target.attrs["mtriple"]), cross_compiler)
    module = import_onnx(onnx_path, precision, half_sums=isa_of(tvm_target).half)
    schedules = _build_scheduled(module, tvm_target, out, linker, onnx_path.name, chooser)
    if schedules.fallbacks and runs_here(tvm_target):
        schedules = schedules.timed(time_functions(out, onnx_path))
    return CpuLibrary(LibraryFile.of(out, precision), schedules)


def _build_scheduled(module: Any, target: Any, out: Path, linker: Linker, name: str, chooser: Chooser) -> ScheduleFacts:
    """Build with the rules; where one made what cannot be compiled, again without it for that function."""
    lowered, schedules = _lowered(module, target, name, chooser, {})
    try:
        build(lowered, target, out, linker, name, is_lowered=True)
    except ConversionError:
        broken = broken_functions(lowered, target, schedules)
        if not broken:
            raise
        lowered, schedules = _lowered(module, target, name, chooser, broken)
        build(lowered, target, out, linker, name, is_lowered=True)
    return schedules


def _lowered(
    module: Any, target: Any, name: str, chooser: Chooser, refused: Mapping[str, str]
) -> tuple[Any, ScheduleFacts]:
    try:
        return cpu_module(module, target, chooser, refused)
    except Exception as error:
        raise _cannot_compile(name, target, error) from error


def runs_here(target: Any) -> bool:
    """Whether this machine has every feature of an LLVM target."""
    from tvm.target import Target, codegen

    host = Target(host_target())
    if target.attrs["mtriple"].split("-")[0] != platform.machine():
        return False
    features = {str(name) for name in codegen.llvm_get_cpu_features(target) if _DECIDING_FEATURE.match(str(name))}
    return features <= {str(name) for name in codegen.llvm_get_cpu_features(host)}


def host_target(cores: int = 1, flags: Set[str] | None = None) -> dict[str, object]:
    """The target of the machine at hand, with its CPU named (TVM does not know "native").

    Instruction sets that LLVM expects of this CPU but the kernel does not list are switched off: a library that
    used them would die of an illegal instruction on a virtual machine that hides them. `flags`: what the kernel lists,
    by default `cpu_flags()`.
    """
    require_tvm()
    from tvm.target import Target, codegen

    machine = platform.machine()
    target: dict[str, object] = {"kind": "llvm", "mtriple": f"{machine}-linux-gnu", "num-cores": cores}
    cpu = codegen.llvm_get_system_cpu()
    if cpu and codegen.llvm_is_valid_cpu(cpu, target["mtriple"]):
        target["mcpu"] = cpu
    if machine == "x86_64":
        present = cpu_flags() if flags is None else flags
        expected = (str(name) for name in codegen.llvm_get_cpu_features(Target(target)))
        vector = (name for name in expected if _VECTOR_FEATURE.match(name))
        hidden = sorted(name for name in vector if present and re.sub(r"[-_.]", "", name) not in present)
        if hidden:
            target["mattr"] = [f"-{name}" for name in hidden]
    return target


def load_module(library: Path) -> Runner:
    """Load a library of `compile_cpu` with TVM's runtime alone; neither `tvm` nor its compiler is imported.

    The same in five lines of one's own:

        ctypes.CDLL(".../tvm/lib/libtvm_runtime.so", ctypes.RTLD_GLOBAL)
        vm = tvm_ffi.load_module("model.so")["vm_load_executable"]()
        vm["vm_initialization"](1, 0, 2)  # CPU, device 0, pooled memory
        logits = numpy.from_dlpack(vm["main"](tvm_ffi.from_dlpack(image)))

    Returns:
        A function from one image [1, C, H, W] float32, or the network's inputs in order, to its logits [1, classes]
        float32, or other outputs, flattened, one behind the other. Not for two threads at once.

    Raises:
        ConversionError: the file is no library of TVM's that this machine can load.
        ToolMissingError: TVM's runtime is not installed.
    """
    tvm_ffi = _load_runtime()
    try:
        vm = tvm_ffi.load_module(str(library.resolve()))["vm_load_executable"]()
        vm["vm_initialization"](_CPU, 0, _POOLED)
        main = vm["main"]
    except Exception as error:
        raise ConversionError(
            f"TVM's runtime cannot load {library.name}", said(error), "was it compiled for this machine?"
        ) from error

    def run(*inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        output = main(*(tvm_ffi.from_dlpack(_aligned(each)) for each in inputs))
        several = isinstance(output, tvm_ffi.Array)
        rows = [np.from_dlpack(each).reshape(1, -1) for each in (output if several else [output])]
        return np.concatenate(rows, axis=1)  # a copy: the runtime takes its memory back

    return run


def run_tvm_host(
    library: Path, inputs: NDArray[np.float32], shapes: Sequence[tuple[int, ...]] = ()
) -> NDArray[np.float32]:
    """Run a library compiled for this machine over images, one at a time.

    Args:
        library: of `compile_cpu` with `host_target`.
        inputs: [N, C, H, W] float32, normalised; of several inputs [N, values], one behind the other.
        shapes: of several inputs.

    Returns:
        Logits, [N, classes] float32; any other output flattened.

    Raises:
        ConversionError: the library cannot be loaded, or was compiled for another shape.
    """
    run = load_module(library)
    try:
        ends = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
        one = shapes if len(shapes) > 1 else ((1, *inputs.shape[1:]),)
        rows = (zip(np.split(row.reshape(-1), ends), one, strict=True) for row in inputs)
        return np.concatenate([run(*(part.reshape(shape) for part, shape in row)) for row in rows])
    except RuntimeError as error:
        raise ConversionError(
            f"{library.name} cannot run on images of shape {inputs.shape[1:]}", said(error), "check the image size"
        ) from error


def make_target(spec: Mapping[str, object], kind: str) -> Any:
    """A `tvm.target.Target` of a target file's table, checked: TVM takes an unknown CPU with only a log line.

    Args:
        spec: the table; a "cuda" target carries its CPU in "host".
        kind: the kind that the caller compiles for.

    Raises:
        ConfigError: another kind, an unknown key, or a wrong type.
        UnknownNameError: LLVM has no such CPU.
    """
    from tvm.target import Target

    if spec.get("kind") != kind:
        raise _bad_target(spec, f"kind is {spec.get('kind')!r}, needed here: {kind!r}")
    cpu = spec if kind == "llvm" else spec.get("host")
    if not isinstance(cpu, Mapping) or cpu.get("kind") != "llvm":
        raise _bad_target(spec, "a GPU target needs the CPU beside it, as host = { kind = 'llvm', ... }")
    completed = _check_cpu(cpu)
    try:
        return Target(completed if kind == "llvm" else {**spec, "host": completed})
    except (ValueError, TypeError) as error:
        raise _bad_target(spec, said(error)) from error


def find_linker(triple: str, cross_compiler: str | None = None) -> Linker:
    """What links objects for `triple` into a shared library, as `export_library` calls it.

    Raises:
        ToolMissingError: not installed; names the Debian package.
    """
    arch = triple.split("-", maxsplit=1)[0]
    name = cross_compiler or ("g++" if arch == platform.machine() else f"{arch}-linux-gnu-g++")
    program = shutil.which(name)
    if program is None:
        package = "g++" if name == "g++" else f"g++-{arch.replace('_', '-')}-linux-gnu"
        raise ToolMissingError(
            f"no linker for {arch}: {name}", "TVM's object files are linked by it", f"apt-get install {package}"
        )
    return functools.partial(_link, program)


def build(
    module: Any,
    target: Any,
    out: Path,
    linker: Linker,
    name: str,
    *,
    is_lowered: bool = False,
) -> Any:
    """Compile a Relax module for `target` and write it to `out`; return the executable for inspection.

    Args:
        module: a Relax module.
        target: a `tvm.target.Target`.
        out: the library to write.
        linker: of `find_linker`.
        name: of the model, for errors.
        is_lowered: the module's functions are scheduled (`schedules.cpu_module`); else TVM's pipeline for the target
            does that.

    Raises:
        ConversionError: TVM or the linker failed.
    """
    import tvm
    from tvm import relax

    try:
        with target:
            if is_lowered:
                executable = build_forms(module, target, tir_pipeline())
            else:  # the pipeline is asked for by target: tvm.compile's own default fuses nothing
                pipeline = relax.get_default_pipeline(target)
                executable = tvm.compile(module, target=target, relax_pipeline=pipeline, tir_pipeline="default")
        with atomic_path(out) as part:
            executable.export_library(str(part), fcompile=linker)
    except (OSError, OfaEdgeError):
        raise
    except Exception as error:
        raise _cannot_compile(name, target, error) from error
    return executable


def _cannot_compile(name: str, target: Any, error: Exception) -> ConversionError:
    return ConversionError(
        f"TVM cannot compile {name} for {target.kind.name}", said(error), "ofa-edge build --runtime tflite"
    )


def _link(program: str, output: str, objects: Sequence[str]) -> None:
    # libgcc inside: fp16 conversions come from it on CPUs without them, and a device may have none.
    flags = [
        "-shared",
        "-fPIC",
        "-O2",
        "-static-libgcc",
        "-Wl,--as-needed",
        "-Wl,--build-id=none",
        "-Wl,-z,noexecstack",
    ]
    done = subprocess.run(
        [program, *flags, "-o", output, *objects], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ConversionError(
            f"{Path(program).name} cannot link the compiled model", done.stderr.strip()[-500:], "check the compiler"
        )


def _check_cpu(spec: Mapping[str, object]) -> dict[str, object]:
    """The CPU's table with a triple and a CPU that LLVM knows."""
    from tvm.target import Target, codegen

    if "mtriple" not in spec and "mcpu" not in spec:
        return {**host_target(), **spec}
    triple, cpu = str(spec.get("mtriple", f"{platform.machine()}-linux-gnu")), spec.get("mcpu")
    if cpu == "native":
        raise _bad_target(spec, "TVM does not know mcpu 'native'; without mcpu and mtriple the host is asked")
    if cpu is not None and not codegen.llvm_is_valid_cpu(str(cpu), triple):
        known = codegen.llvm_get_cpu_archlist(Target({"kind": "llvm", "mtriple": triple}))
        raise UnknownNameError.of("CPU", str(cpu), map(str, known), "correct mcpu in [runtime.tvm] of the target file")
    return {**spec, "mtriple": triple}


def _bad_target(spec: Mapping[str, object], why: str) -> ConfigError:
    return ConfigError(
        f"TVM cannot compile for the target {dict(spec)}", why, "correct [runtime.tvm] of the target file"
    )


def cpu_flags() -> set[str]:
    """What the kernel lists of this CPU, without underscores ("avx512f"); empty where it lists nothing."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return set()
    return {flag.replace("_", "") for line in lines if line.startswith("flags") for flag in line.split()[2:]}


def _load_runtime() -> Any:
    """Load libtvm_runtime.so where `tvm_ffi` finds its functions, without importing `tvm`."""
    import ctypes
    import importlib.util

    spec = importlib.util.find_spec("tvm")  # absolute: the package, not this module
    folders = spec.submodule_search_locations if spec and spec.submodule_search_locations else []
    library = next((path for folder in folders if (path := Path(folder, "lib", "libtvm_runtime.so")).is_file()), None)
    try:
        import tvm_ffi

        if library is None:
            raise ImportError("libtvm_runtime.so not found in the package tvm")
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    except (ImportError, OSError) as error:
        raise ToolMissingError("TVM's runtime is not installed", str(error), "pip install apache-tvm") from error
    return tvm_ffi


def _aligned(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """A copy that begins at a multiple of 64 bytes; NumPy promises 16."""
    room = np.empty(image.size + _ALIGNMENT // 4, np.float32)
    start = -room.ctypes.data % _ALIGNMENT // 4
    copy = room[start : start + image.size].reshape(image.shape)
    copy[...] = image
    return copy
