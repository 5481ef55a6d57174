"""Libraries that stand in for libcuda.so.1 and libcudart.so.13 where no driver is installed.

TVM keeps its CUDA code generator in the compiler, but the module that carries a cubin in `libtvm_runtime_cuda.so`,
and that one loads only beside CUDA's own libraries. Nothing here is ever run: each function only reports an error.
"""

import ctypes
import shutil
import subprocess
from pathlib import Path

from ofa_edge.elf import undefined_symbols
from ofa_edge.errors import ConversionError, ToolMissingError

_DRIVER, _RUNTIME = "libcuda.so.1", "libcudart.so.13"
_NOT_INITIALISED = 3  # CUDA_ERROR_NOT_INITIALIZED, cudaErrorInitializationError
_TEXTS = ("cudaGetErrorName", "cudaGetErrorString")  # return a text, not a status


def load_stubs(tvm_cuda: Path, folder: Path) -> None:
    """Make the two libraries in `folder` and load them into this process, which nothing else may use afterwards.

    The dynamic linker finds a library that is already loaded by its soname, so `tvm_cuda` gets these.

    Args:
        tvm_cuda: libtvm_runtime_cuda.so; the functions that it asks for are the ones that are made.
        folder: a private folder.

    Raises:
        ToolMissingError: no C compiler.
    """
    symbols = undefined_symbols(tvm_cuda.read_bytes())
    runtime = [name for name in symbols if name.startswith("cuda")]
    driver = [name for name in symbols if name.startswith("cu") and name not in runtime]
    for soname, names in ((_DRIVER, driver), (_RUNTIME, runtime)):
        ctypes.CDLL(str(_compile(soname, names, folder)))


def source(names: list[str]) -> str:
    """C source of a library with these functions."""
    lines = [
        f'const char *{name}(void) {{ return "stub"; }}'
        if name in _TEXTS
        else f"int {name}(void) {{ return {_NOT_INITIALISED}; }}"
        for name in names
    ]
    return "\n".join(lines) + "\n"


def _compile(soname: str, names: list[str], folder: Path) -> Path:
    compiler = shutil.which("gcc") or shutil.which("g++") or shutil.which("cc")
    if compiler is None:
        raise ToolMissingError(
            "no C compiler", "two small libraries that are built here stand in for CUDA's", "apt-get install g++"
        )
    code, versions, library = (folder / f"{soname}{suffix}" for suffix in (".c", ".map", ""))
    code.write_text(source(names))
    versions.write_text(f"{soname} {{ global: *; }};\n")  # CUDA's runtime versions its symbols by its soname
    options = [
        "-x",
        "c",
        "-shared",
        "-fPIC",
        "-fno-builtin",
        f"-Wl,-soname,{soname}",
        f"-Wl,--version-script,{versions}",
    ]
    done = subprocess.run(
        [compiler, *options, "-o", str(library), str(code)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ConversionError(
            f"cannot make a stand-in for {soname}", done.stderr.strip()[-500:], "check the C compiler"
        )
    return library
