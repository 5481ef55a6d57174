"""ONNX -> a shared library with CUDA kernels for a Jetson, compiled on a machine without a GPU and proved to hold them.

TVM writes CUDA source, NVRTC makes machine code of it, and the library carries that (a cubin) beside the host's code.
Where a piece is missing TVM packs the source text instead and says nothing, so the finished file is read back: it must
hold one cubin, for the architecture asked for, with every kernel of the source.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ofa_edge import elf, errors
from ofa_edge.errors import ConfigError, ConversionError, UnsupportedError
from ofa_edge.export.cuda import nvrtc
from ofa_edge.export.cuda.limits import Kernel, check
from ofa_edge.export.cuda.resources import read_resources
from ofa_edge.export.cuda.worker import SOURCE
from ofa_edge.export.library_file import LibraryFile
from ofa_edge.export.process import own_environment, what_to_try
from ofa_edge.export.tvm.relax import INT8_REASON
from ofa_edge.files import atomic_path
from ofa_edge.vocabulary import Precision

EMULATED = "emulated.so"  # the same kernels with host code for this machine
NOT_RUN = (
    "compiled without a GPU: launches and resources are checked against the architecture's limits, nothing is timed"
)


@dataclass(frozen=True)
class CudaLibrary:
    """A compiled library and what was found inside it.

    Attributes:
        file: the library.
        arch: of the cubin inside, as its own header says: "sm_53".
        kernels: those inside, by name, each with its launch, what it takes and the rule that made it.
        cubin_bytes: size of the cubin.
        nvrtc: version of the compiler of the kernels.
    """

    file: LibraryFile
    arch: str
    kernels: tuple[Kernel, ...]
    cubin_bytes: int
    nvrtc: str

    def to_json(self) -> dict[str, Any]:
        """The manifest's entry."""
        facts = {"arch": self.arch, "kernels": len(self.kernels), "bytes": self.cubin_bytes, "nvrtc": self.nvrtc}
        kernels = [{"arch": self.arch, **kernel.to_json()} for kernel in self.kernels]
        return {**self.file.to_json(), "cubin": facts, "kernels": kernels, "note": NOT_RUN}


def compile_cuda(
    onnx_path: Path,
    out: Path,
    target: Mapping[str, object],
    cross_compiler: str | None = None,
    precision: Precision = "fp32",
    emulation: Path | None = None,
) -> CudaLibrary:
    """Compile an ONNX model for a CUDA device and its CPU, and prove that the kernels are in the file.

    The work is done in a child process: it loads stand-ins for CUDA's driver that must not stay in this one.
    Nothing is run here. The same Relax module runs on this machine when it is compiled by `tvm.compile.compile_cpu`
    with `host_target` there: that is the last rung of parity without the device.

    Args:
        onnx_path: one float32 input of fixed shape, batch 1.
        out: the `.so` to write.
        target: as `[runtime.tvm] target` of a target file: kind "cuda", arch "sm_53", and the CPU as host.
        cross_compiler: the program that links; by default g++ for the host's architecture.
        precision: "fp32" or "fp16".
        emulation: a folder that gets what `emulate.run_emulated` needs: the kernels' source, and a library with
            the same kernels and host code for this machine.

    Raises:
        ToolMissingError: NVRTC, CUDA's headers, TVM or a compiler is not installed.
        ConfigError: the target is not one that TVM knows.
        ConversionError: names the node and operator that TVM cannot take; or the file does not hold the kernels.
        UnsupportedError: int8.
    """
    if precision not in ("fp32", "fp16"):
        raise UnsupportedError(f"TVM with {precision} is not supported", INT8_REASON, "--precision fp16")
    arch = target.get("arch")
    if not isinstance(arch, str) or not arch.startswith("sm_"):
        raise ConfigError(
            "the CUDA target names no architecture", f"arch is {arch!r}", "add arch = 'sm_53' to [runtime.tvm.target]"
        )
    nvrtc.version()  # missing packages are told before a minute of work
    request = {
        "onnx": str(onnx_path.resolve()),
        "name": out.name,
        "target": dict(target),
        "cross_compiler": cross_compiler,
        "precision": precision,
        "emulated": EMULATED if emulation else None,
    }
    with tempfile.TemporaryDirectory(prefix="ofa-edge-cuda-") as scratch:
        result = _in_child(request, Path(scratch))
        built = Path(scratch, out.name)
        cubin = verify_library(built, arch, [facts["name"] for facts in result["kernels"]])
        kernels = _check_kernels(built, cubin, result["kernels"])
        with atomic_path(out) as part:
            shutil.copyfile(built, part)
        for name in (SOURCE, EMULATED) if emulation else ():
            with atomic_path(cast(Path, emulation) / name) as part:
                shutil.copyfile(Path(scratch, name), part)
    return CudaLibrary(LibraryFile.of(out, precision), cubin.arch, kernels, cubin.size, result["nvrtc"])


def _check_kernels(library: Path, cubin: elf.Cubin, facts: Iterable[Mapping[str, Any]]) -> tuple[Kernel, ...]:
    """Hold every kernel against its architecture's limits."""
    with library.open("rb") as file:
        file.seek(cubin.offset)
        taken = read_resources(file.read(cubin.size))
    kernels = tuple(Kernel.of_json(fact, taken[fact["name"]]) for fact in facts)
    for kernel in kernels:
        check(kernel, cubin.arch)
    return kernels


def verify_library(library: Path, arch: str, kernels: Iterable[str]) -> elf.Cubin:
    """Find the cubin in a library and compare it with what should be there.

    Args:
        library: the `.so`.
        arch: "sm_53".
        kernels: names in the CUDA source.

    Raises:
        ConversionError: no cubin or several, another architecture, or other kernels.
    """
    hint = "build again with --debug and report it: TVM did not embed the kernels"
    try:
        cubins = elf.find_cubins(library.read_bytes())
    except elf.ElfError as error:
        raise ConversionError(f"damaged cubin in {library.name}", str(error), hint) from error
    if len(cubins) != 1:
        raise ConversionError(
            f"{library.name} does not hold compiled CUDA kernels", f"cubins found: {len(cubins)}, expected 1", hint
        )
    cubin, expected = cubins[0], frozenset(kernels)
    if cubin.arch != arch:
        raise ConversionError(f"{library.name} holds kernels for {cubin.arch}", f"asked for: {arch}", hint)
    if not expected or cubin.kernels != expected:
        difference = ", ".join(sorted(cubin.kernels ^ expected)[:5]) or "there are none"
        raise ConversionError(f"{library.name} does not hold the network's kernels", f"not in both: {difference}", hint)
    return cubin


def _in_child(request: Mapping[str, object], scratch: Path) -> dict[str, Any]:
    """Run the worker in `scratch`, where it leaves the library; its errors are raised here."""
    asked, answer = scratch / "request.json", scratch / "result.json"
    asked.write_text(json.dumps(request), encoding="utf-8")
    environment = own_environment()
    environment.pop("TVM_USE_RUNTIME_LIB", None)
    command = [sys.executable, "-m", "ofa_edge.export.cuda.worker", str(asked), str(answer)]
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0 or not answer.is_file():
        raise ConversionError(
            "the CUDA compiler process died",
            f"exit status {done.returncode}: {done.stderr.strip()[-800:] or 'it said nothing'}",
            what_to_try(done, "check the free memory, then run the same command again"),
        )
    result: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    if "error" in result:
        name, what, why, hint = result["error"]
        raise getattr(errors, name, ConversionError)(what, why, hint)
    return result
