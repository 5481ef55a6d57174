"""The child process of `cuda.compile_cuda`: python -m ofa_edge.export._cuda.worker REQUEST.json RESULT.json.

It loads stand-ins for CUDA's libraries, which is why it is a process of its own: its parent may one day use a real GPU.
The result is {"kernels": [...], "nvrtc": "12.6"}, or {"error": [class, what, why, hint]}.
"""

import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

from ofa_edge.errors import ConversionError, OfaEdgeError, ToolMissingError
from ofa_edge.export._cuda import nvrtc, stubs

_KERNEL = re.compile(r'extern "C" __global__ void(?: __launch_bounds__\([^)]*\))? (\w+)\(')


def main() -> int:
    """Do what the request asks and write the result."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    try:
        result = work(request, Path(sys.argv[1]).parent)
    except OfaEdgeError as error:
        result = {"error": [type(error).__name__, error.what, error.why, error.hint]}
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")
    return 0


def work(request: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """Compile `request["onnx"]` for `request["target"]` into the file `request["name"]` of `scratch`."""
    stubs.load_stubs(_tvm_cuda(), scratch)
    import tvm_ffi

    from ofa_edge.export import tvm
    from ofa_edge.export._cuda.schedules.apply import finish, schedule
    from ofa_edge.export.relax import import_onnx, require_tvm

    require_tvm()
    if tvm_ffi.get_global_func("ffi.Module.create.cuda", allow_missing=True) is None:
        raise ConversionError(
            "TVM's CUDA runtime did not load",
            "without it TVM would write a library that holds source text and no kernels",
            "pip install --force-reinstall apache-tvm",
        )
    onnx, arch = Path(request["onnx"]), str(request["target"]["arch"])
    target = tvm.make_target(request["target"], "cuda")
    linker = tvm.find_linker(str(target.host.attrs["mtriple"]), request["cross_compiler"])
    sources: list[str] = []
    failures: list[OfaEdgeError] = []

    def compile_kernels(source: str) -> bytes:
        sources.append(source)
        try:
            return nvrtc.compile_cubin(source, arch)
        except OfaEdgeError as error:
            failures.append(error)  # TVM keeps only the text of what is raised here
            raise

    tvm_ffi.register_global_func("tvm_callback_cuda_compile", compile_kernels, override=True)
    scheduled = schedule(import_onnx(onnx, request["precision"]), target)
    try:
        tvm.build(scheduled.module, target, scratch / request["name"], linker, onnx.name, finish(target))
    except ConversionError:
        if failures:
            raise failures[0] from None
        raise
    kernels = sorted({name for source in sources for name in _KERNEL.findall(source)})
    return {"kernels": kernels, "nvrtc": nvrtc.version()}


def _tvm_cuda() -> Path:
    """TVM's CUDA runtime, found without importing TVM: the stand-ins must be loaded before."""
    spec = importlib.util.find_spec("tvm")
    folders = spec.submodule_search_locations if spec and spec.submodule_search_locations else []
    for folder in folders:
        path = Path(folder, "lib", "libtvm_runtime_cuda.so")
        if path.is_file():
            return path
    raise ToolMissingError(
        "TVM's CUDA runtime is not installed", "libtvm_runtime_cuda.so not found", "pip install apache-tvm"
    )


if __name__ == "__main__":
    sys.exit(main())
