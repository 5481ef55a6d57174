"""The child process of `compile.compile_cuda`: python -m ofa_edge.export.cuda.worker REQUEST.json RESULT.json.

It loads stand-ins for CUDA's libraries, which is why it is a process of its own: its parent may one day use a real GPU.
The result is {"kernels": [{name, rule, grid, block, useful}], "nvrtc": "12.6"}, or {"error": [class, what, why, hint]}.
Beside the library lies the kernels' source; where it is asked for, a second library holds the same kernels and host
code for this machine, for the emulation.
"""

import importlib.util
import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ofa_edge.errors import ConversionError, OfaEdgeError, ToolMissingError
from ofa_edge.export.cuda import nvrtc, stubs

SOURCE = "kernels.cu"
_KERNEL = re.compile(r'extern "C" __global__ void(?: __launch_bounds__\([^)]*\))? (\w+)\(')


def main() -> int:
    """Do what the request asks and write the result."""
    sys.modules["torch"] = None  # type: ignore[assignment]  # TVM would import it, for 3 s, and do nothing with it
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

    from ofa_edge.export.cuda.schedules.apply import context, finish, schedule
    from ofa_edge.export.tvm import compile as tvm
    from ofa_edge.export.tvm.relax import import_onnx, require_tvm

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
    kernels = _Kernels(arch)
    tvm_ffi.register_global_func("tvm_callback_cuda_compile", kernels.compile, override=True)
    scheduled = schedule(import_onnx(onnx, request["precision"]), target)
    builds = [(target, linker, request["name"])]
    if request["emulated"]:
        host = tvm.make_target({**request["target"], "host": tvm.host_target()}, "cuda")
        builds.append((host, tvm.find_linker(str(host.host.attrs["mtriple"])), request["emulated"]))
    for kind, link, name in builds:
        try:
            with context():
                tvm.build(finish(scheduled.module, kind), kind, scratch / name, link, onnx.name, is_lowered=True)
        except ConversionError:
            if kernels.failure:
                raise kernels.failure from None
            raise
    (scratch / SOURCE).write_text(kernels.source)
    return {"kernels": _launches(scheduled, kernels.source), "nvrtc": nvrtc.version()}


class _Kernels:
    """TVM's callback: CUDA source to machine code. The same source comes once more for the emulation's host code."""

    def __init__(self, arch: str) -> None:
        self.arch = arch
        self.source = ""
        self.failure: OfaEdgeError | None = None  # TVM keeps only the text of what is raised here
        self._cubin = b""

    def compile(self, source: str) -> bytes:
        try:
            if not self.source:
                self.source, self._cubin = source, nvrtc.compile_cubin(source, self.arch)
            if source != self.source:
                raise ConversionError(
                    "TVM wrote other kernels for the emulation than for the device",
                    "what the emulation shows would say nothing about the device",
                    "report it with the model",
                )
        except OfaEdgeError as error:
            self.failure = error
            raise
        return self._cubin


def _launches(scheduled: Any, source: str) -> list[dict[str, Any]]:
    """Each kernel of the source with its launch and the rule that made it, by name."""
    from tvm import tirx

    from ofa_edge.export.cuda.launches import read_launches

    found = {}
    for variable, function in scheduled.module.functions_items():
        if isinstance(function, tirx.PrimFunc):
            for number, launch in enumerate(read_launches(function)):
                name = f"{variable.name_hint}_kernel" + (f"_{number}" if number else "")
                found[name] = {"name": name, "rule": scheduled.rules[variable.name_hint], **asdict(launch)}
    names = sorted(set(_KERNEL.findall(source)))
    if missing := [name for name in names if name not in found]:
        raise ConversionError(f"kernel {missing[0]} has no launch", "its loops could not be read", "report it")
    return [found[name] for name in names]


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
