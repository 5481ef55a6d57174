"""Inspection of a shared library: whether it is a model of TVM's, for which machine, and what it needs there."""

from pathlib import Path

from ofa_edge.elf import LARGE_PAGE, Cubin, ElfError, Links, find_cubins, image, links
from ofa_edge.errors import ModelFileError
from ofa_edge.export.inspect.findings import Finding, Inspection
from ofa_edge.export.model_file import content_of

_TVM_PREFIX, _TVM_MODULE = "__tvm_ffi_", "__tvm_ffi__library_bin"
_NANO_GLIBC = (2, 27)  # JetPack 4.6's, the oldest system that a built-in target names


def inspect_library(path: Path) -> Inspection:
    """Inspect a .so file.

    Raises:
        ModelFileError: it is damaged, or not a 64-bit little-endian one.
    """
    data = content_of(path)
    try:
        found, cubins, page = links(data), find_cubins(data), image(data).page
    except ElfError as error:
        raise ModelFileError(
            f"{path.name} is not a shared library that can be read here",
            f"{path}: {error}",
            "give a whole 64-bit little-endian ELF file",
        ) from error
    functions = [name for name in found.symbols if name.startswith(_TVM_PREFIX) and name != _TVM_MODULE]
    facts = {
        "machine": found.machine,
        "TVM library": "yes" if _TVM_MODULE in found.symbols else "no",
        "functions": f"{len(functions)} of TVM, {len(found.symbols)} symbols in all",
        "pages": "none" if page is None else f"up to {page:,} bytes",
        "needs": ", ".join(found.needed) or "no library by name",
        "versions": ", ".join(found.versions) or "none asked for",
    }
    if cubins:
        kernels = sum(len(each.kernels) for each in cubins)
        facts["CUDA"] = f"{kernels} kernels for {', '.join(sorted({each.arch for each in cubins}))}"
    return Inspection(
        path.name, "library", len(data), facts, findings=tuple(library_findings(found, cubins, data, page))
    ).sorted()


def library_findings(found: Links, cubins: list[Cubin], data: bytes, page: int | None = None) -> list[Finding]:
    """What is to be said of a library: what it links, its CUDA binaries, its bytes."""
    findings = []
    if _TVM_MODULE not in found.symbols:
        what = f"no TVM module: the symbol {_TVM_MODULE} is missing"
        fix = "give the library of ofa-edge build --runtime tvm, or of export_library of TVM 0.20 or later"
        findings.append(Finding("not-a-tvm-library", "fault", what, fix))
    newest = max((version for version in map(_glibc, found.versions) if version), default=None)
    if newest is not None and newest > _NANO_GLIBC:
        what = f"needs glibc {newest[0]}.{newest[1]}: older systems (JetPack 4: 2.27) do not load it"
        findings.append(Finding("new-glibc", "warning", what, "link it against an older sysroot"))
    if found.machine == "aarch64" and page is not None and page < LARGE_PAGE:
        what = f"aligned to pages of {page:,} bytes: systems with 16 KB (Android 15, Raspberry Pi 5) do not load it"
        findings.append(Finding("small-pages", "warning", what, f"link it with -Wl,-z,max-page-size={LARGE_PAGE}"))
    if "libcuda.so.1" in found.needed or any(name.startswith("libcudart") for name in found.needed):
        what = "linked against CUDA's own libraries: it loads only where those versions are"
        findings.append(Finding("linked-cuda", "warning", what, "leave CUDA to the runtime that loads the library"))
    if not cubins and b'extern "C" __global__' in data:
        what = "CUDA kernels as source and none compiled: the device would need a compiler"
        findings.append(Finding("cuda-source", "fault", what, "build with NVRTC installed: pip install ofa-edge[cuda]"))
    return findings


def _glibc(version: str) -> tuple[int, int] | None:
    parts = version.removeprefix("GLIBC_").split(".")
    plain = version.startswith("GLIBC_") and len(parts) >= 2 and all(part.isdigit() for part in parts[:2])
    return (int(parts[0]), int(parts[1])) if plain else None
