"""Inspection of shared libraries: models of TVM's, other libraries, and what is neither."""

import struct
import sys
from pathlib import Path

import pytest
from onnx_text import save_model

from ofa_edge.elf import Links
from ofa_edge.errors import ModelFileError
from ofa_edge.export.inspect import inspect_model
from ofa_edge.export.inspect.library import library_findings


def codes(found, severity="fault"):
    return [each.code for each in found.findings if each.severity == severity]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A small model compiled for this machine."""
    from ofa_edge.export.tvm.compile import compile_cpu, host_target

    folder = tmp_path_factory.mktemp("library")
    body = "p = GlobalAveragePool(input) f = Flatten(p) logits = Gemm<transB=1>(f, v)"
    compile_cpu(save_model(folder / "m.onnx", body, (1, 4, 6, 6), v=(3, 4)), folder / "m.so", host_target())
    return folder / "m.so"


def test_a_model_of_tvms(library):
    found = inspect_model(library)
    assert found.kind == "library"
    assert found.facts["TVM library"] == "yes"
    assert found.facts["machine"] in ("x86_64", "aarch64")
    assert int(found.facts["functions"].split()[0]) >= 2
    assert found.findings == ()


def test_another_library():
    import math

    path = Path(math.__file__) if hasattr(math, "__file__") else None
    if path is None:  # built into this Python
        path = next(Path(sys.prefix).rglob("*.so"), None) or next(Path("/usr/lib").rglob("libm.so.6"))
    found = inspect_model(path)
    assert codes(found) == ["not-a-tvm-library"]
    assert any(name in found.facts["needs"] for name in ("libc.so.6", "libpython", "ld-linux"))
    assert "GLIBC_" in found.facts["versions"]


def test_what_a_library_asks_of_its_system():
    def found(versions=(), needed=(), data=b"", page=65536, machine="aarch64"):
        links = Links(machine, needed, versions, ("__tvm_ffi__library_bin",))
        return [(each.code, each.severity) for each in library_findings(links, [], data, page)]

    assert found() == found(("GLIBC_2.17", "GLIBC_2.27", "GLIBC_PRIVATE", "GLIBCXX_3.4.30")) == []
    assert found(("GLIBC_2.17", "GLIBC_2.34")) == [("new-glibc", "warning")]
    assert found(needed=("libcudart.so.13",)) == [("linked-cuda", "warning")]
    assert found(page=4096) == [("small-pages", "warning")]
    assert found(page=16384) == found(page=None) == found(page=4096, machine="x86_64") == []
    assert found(data=b'.. extern "C" __global__ void k() ..') == [("cuda-source", "fault")]


@pytest.mark.parametrize("keep", [10, 64, 5000])
def test_cut_short(library, tmp_path, keep):
    path = tmp_path / "cut.so"
    path.write_bytes(library.read_bytes()[:keep])
    with pytest.raises(ModelFileError, match=r"cut\.so is not a shared library"):
        inspect_model(path)


def test_32_bits(library, tmp_path):
    raw = bytearray(library.read_bytes())
    raw[4] = 1
    path = tmp_path / "arm.so"
    path.write_bytes(raw)
    with pytest.raises(ModelFileError, match="64-bit"):
        inspect_model(path)


def test_damaged_strings(library, tmp_path):
    raw = bytearray(library.read_bytes())
    table = struct.unpack_from("<Q", raw, 40)[0]
    raw[table + 64 : table + 400] = bytes([255]) * 336
    path = tmp_path / "m.so"
    path.write_bytes(raw)
    with pytest.raises(ModelFileError):
        inspect_model(path)
