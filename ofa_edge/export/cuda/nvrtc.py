"""CUDA C++ source to a cubin with NVRTC, a library that needs neither a GPU nor a driver.

CUDA 12.6 is the newest release line whose NVRTC still compiles for sm_53 (Jetson Nano); CUDA 13 begins with sm_75.
"""

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ofa_edge.errors import ConversionError, ToolMissingError
from ofa_edge.extras import install_line, package_folders

PACKAGES = ("nvidia-cuda-nvrtc-cu12", "nvidia-cuda-runtime-cu12", "nvidia-cuda-cccl-cu12")
_LIBRARY = "libnvrtc.so.12"


def compile_cubin(source: str, arch: str) -> bytes:
    """Compile CUDA C++ to machine code of one architecture.

    Args:
        source: a translation unit.
        arch: "sm_53".

    Raises:
        ToolMissingError: NVRTC or CUDA's headers are not installed.
        ConversionError: the source does not compile; the message holds the compiler's first errors.
    """
    library = _load()
    program = ctypes.c_void_p()
    _check(library, library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"model.cu", 0, None, None))
    try:
        options = [f"--gpu-architecture={arch}", "--std=c++17", *(f"-I{folder}" for folder in _headers())]
        arguments = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        status = library.nvrtcCompileProgram(program, len(options), arguments)
        if status != 0:
            log = _text(library, "ProgramLog", program).decode(errors="replace")
            raise ConversionError(
                f"NVRTC cannot compile the network's kernels for {arch}",
                log.strip("\0 \n")[:1000] or f"status {status}",
                "check the architecture in [runtime.tvm.target] of the target file",
            )
        return _text(library, "CUBIN", program)
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def require_nvrtc() -> None:
    """Raise ToolMissingError where NVRTC or CUDA's headers are not installed, or do not load."""
    _load()
    _headers()


def version() -> str:
    """NVRTC's version, as "12.6"."""
    library, major, minor = _load(), ctypes.c_int(), ctypes.c_int()
    _check(library, library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
    return f"{major.value}.{minor.value}"


def _load() -> ctypes.CDLL:
    path = next(
        (path for folder in package_folders("nvidia.cuda_nvrtc") if (path := folder / "lib" / _LIBRARY).is_file()), None
    )
    if path is None:
        raise _missing("NVRTC", f"{_LIBRARY} not found in the package nvidia.cuda_nvrtc")
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise _missing("NVRTC", str(error)) from error


def _headers() -> Sequence[Path]:
    """Include folders: CUDA's runtime (cuda_fp16.h) and its C++ library (cuda/std)."""
    found = [
        folder / "include" for name in ("cuda_runtime", "cuda_cccl") for folder in package_folders(f"nvidia.{name}")
    ]
    for header in ("cuda_fp16.h", "cuda/std/cstdint"):
        if not any((folder / header).is_file() for folder in found):
            raise _missing("CUDA's headers", f"{header} not found")
    return found


def _missing(what: str, why: str) -> ToolMissingError:
    return ToolMissingError(f"{what} is not installed", why, install_line("cuda"))


def _text(library: ctypes.CDLL, what: str, program: ctypes.c_void_p) -> bytes:
    """One of NVRTC's results: its size is asked for first."""
    size = ctypes.c_size_t()
    _check(library, getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(library, getattr(library, f"nvrtcGet{what}")(program, buffer))
    return buffer.raw


def _check(library: Any, status: int) -> None:
    if status != 0:
        library.nvrtcGetErrorString.restype = ctypes.c_char_p
        reason = library.nvrtcGetErrorString(status).decode()
        raise ConversionError("NVRTC failed", reason, f"pip install --force-reinstall {PACKAGES[0]}")
