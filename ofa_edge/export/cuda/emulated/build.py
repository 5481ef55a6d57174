"""Build the two libraries of an emulation: the network's kernels for this machine, and the driver that runs them."""

import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ofa_edge.errors import ConversionError, ToolMissingError, UnsupportedError
from ofa_edge.files import atomic_path

DRIVER = "libcuda.so.1"
KERNELS = "libkernels.so"
_HERE = Path(__file__).parent
_KERNEL = re.compile(r'extern "C" __global__ void (?:__launch_bounds__\([^)]*\) )?(\w+)\(([^)]*)\) \{')
_SHARED = re.compile(r"__shared__ (?:alignas\((\d+)\) )?(\w+) (\w+)\[(\d+)\];")
_UNKNOWN = re.compile(r"__shared__ (?!alignas)|extern __shared__|\b(__shfl\w*|__ballot\w*|wmma::|atomic\w+|__ldg)\b")
_FLAGS = ("-std=c++17", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-U_FORTIFY_SOURCE", "-fno-strict-aliasing")
_QUIET = ("-Wno-unknown-pragmas", "-Wl,--build-id=none")


def build_driver(folder: Path, arch: str | None = None) -> Path:
    """Compile the driver into `folder`; a program finds it there by LD_LIBRARY_PATH.

    Args:
        folder: where it goes.
        arch: the CPU's, as uname says; this machine's by default.

    Raises:
        ToolMissingError: no C++ compiler.
    """
    flags = (f"-Wl,-soname,{DRIVER}", "-Wall", "-Wextra")
    return _compile(_HERE / "driver.cc", folder / DRIVER, arch, flags, ("-ldl",))


def build_kernels(source: str, folder: Path, arch: str | None = None) -> Path:
    """Compile CUDA source, as TVM writes it, for a CPU.

    Args:
        source: the translation unit.
        folder: where the library goes.
        arch: the CPU's, as uname says; this machine's by default.

    Raises:
        UnsupportedError: the source uses a part of CUDA that the emulation does not know.
        ConversionError: it holds no kernel, or does not compile.
        ToolMissingError: no C++ compiler.
    """
    file = folder / "kernels.cc"
    file.write_text(translate(source))
    return _compile(file, folder / KERNELS, arch, (f"-I{_HERE}",))


def translate(source: str) -> str:
    """CUDA source as C++: shared memory of each kernel in a section of its own, and a table of the kernels.

    Raises:
        UnsupportedError: the source uses a part of CUDA that the emulation does not know.
        ConversionError: it holds no kernel.
    """
    found = list(_KERNEL.finditer(source))
    parts: list[str] = []  # what stands ahead of the kernels prepares CUDA's own headers
    entries: list[str] = []
    for number, kernel in enumerate(found):
        end = found[number + 1].start() if number + 1 < len(found) else len(source)
        body = source[kernel.start() : end]
        if unknown := _UNKNOWN.search(_SHARED.sub("", body)):
            raise UnsupportedError(
                f"kernel {kernel[1]} cannot be emulated", f"it uses {unknown[0].strip()}", "see docs/jetson.md"
            )
        section = f"shared_{number}"
        place = rf'static __attribute__((section("{section}"), aligned(64))) \2 \3[\4];'
        body, shared = _SHARED.subn(place, body)
        bounds = f'extern "C" char __start_{section}[], __stop_{section}[];\n' if shared else ""
        parts += [body, bounds]
        entries.append(_entry(kernel[1], kernel[2], "__syncthreads" in body, section if shared else None))
    if not entries:
        raise ConversionError("no kernel to emulate", "the source holds none", "build again with --debug")
    table = ",\n".join(entries)
    return f'#include "kernels.h"\n{"".join(parts)}\nstatic const Kernel kKernels[] = {{\n{table}}};\n{_ENTRIES}'


def _entry(name: str, parameters: str, synchronises: bool, section: str | None) -> str:
    """A line of the table. Every parameter is read from its address in the launch's list, as CUDA does."""
    types = [parameter.rsplit(" ", 1)[0].replace("__restrict__", "").strip() for parameter in parameters.split(",")]
    values = ", ".join(f"*static_cast<{kind}*>(p[{index}])" for index, kind in enumerate(types))
    shared = f"__start_{section}, __stop_{section}" if section else "nullptr, nullptr"
    call = f"[](void** p) {{ {name}({values}); }}"
    return f'  {{"{name}", {call}, {len(types)}, {"true" if synchronises else "false"}, {shared}}}'


_ENTRIES = """
static const Kernel* Find(const char* name) {
  for (const Kernel& kernel : kKernels)
    if (std::strcmp(kernel.name, name) == 0) return &kernel;
  return nullptr;
}
extern "C" __attribute__((visibility("default"))) int emulated_parameters(const char* name) {
  const Kernel* kernel = Find(name);
  return kernel == nullptr ? -1 : static_cast<int>(kernel->parameters);
}
extern "C" __attribute__((visibility("default"))) const char* emulated_launch(
    const char* name, const unsigned* grid, const unsigned* block, void** parameters, int reversed) {
  static std::string fault;
  fault = Launch(*Find(name), {grid[0], grid[1], grid[2]}, {block[0], block[1], block[2]}, parameters, reversed != 0);
  return fault.c_str();
}
"""


def _compile(source: Path, out: Path, arch: str | None, flags: Sequence[str], libraries: Sequence[str] = ()) -> Path:
    name = "g++" if arch in (None, platform.machine()) else f"{arch}-linux-gnu-g++"
    compiler = shutil.which(name)
    if compiler is None:
        package = "g++" if name == "g++" else f"g++-{arch}-linux-gnu"
        raise ToolMissingError(f"no C++ compiler: {name}", "kernels are emulated as C++", f"apt-get install {package}")
    with atomic_path(out) as part:
        command = [compiler, *_FLAGS, *_QUIET, *flags, "-o", str(part), str(source), *libraries]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ConversionError(
                f"{source.name} of the CUDA emulation does not compile", done.stderr.strip()[:1000], "check g++"
            )
    return out
