import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ofa_edge.elf import ElfError, find_cubins, links, sections, symbol_names, undefined_symbols


def _library() -> bytes:
    """A small shared library that this interpreter itself has loaded."""
    import _ctypes

    return Path(_ctypes.__file__).read_bytes()


def test_sections_and_symbols_of_a_real_library() -> None:
    data = _library()
    assert {".text", ".dynsym", ".dynstr"} <= {section.name for section in sections(data)}
    assert "PyTuple_New" in undefined_symbols(data)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damage_is_an_elf_error_and_nothing_else(data: st.DataObject) -> None:
    """Bytes of the header and of the section table replaced, or the file cut short."""
    whole = bytearray(_library())
    table = struct.unpack_from("<Q", whole, 40)[0]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.one_of(st.integers(16, 63), st.integers(table, len(whole) - 1)))
        whole[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.just(len(whole)), st.integers(0, len(whole))))
    for read in (sections, undefined_symbols, symbol_names, links, find_cubins):
        try:
            read(bytes(whole[:cut]))
        except ElfError:
            continue


def test_an_unended_name_says_where() -> None:
    data = bytearray(_library())
    strings = next(section for section in sections(bytes(data)) if section.name == ".dynstr")
    data[strings.offset : strings.offset + strings.size] = b"x" * strings.size
    with pytest.raises(ElfError, match="nothing ends"):
        undefined_symbols(bytes(data))


def _versions_row(data: bytes) -> tuple[int, int]:
    """Where the header of .gnu.version_r and its first row lie."""
    table = struct.unpack_from("<Q", data, 40)[0]
    index, section = next((i, each) for i, each in enumerate(sections(data)) if each.name == ".gnu.version_r")
    return table + 64 * index, section.offset


def test_versions_that_point_at_themselves_are_refused_at_once() -> None:
    data = bytearray(_library())
    header, row = _versions_row(bytes(data))
    struct.pack_into("<I", data, header + 44, 2**32 - 1)  # sh_info: so many rows
    struct.pack_into("<I", data, row + 12, 0)  # vn_next: the next one is this one
    with pytest.raises(ElfError, match="more rows"):
        links(bytes(data))


@pytest.mark.parametrize(
    ("at", "form", "value", "words"),
    [
        (40, "<Q", 2**63, "damaged"),  # e_shoff
        (58, "<H", 0, "no section table"),  # e_shentsize
        (60, "<H", 0, "no section table"),  # e_shnum: then the first section would tell, up to 2**64
        (4, "<B", 1, "ELF-64"),
        (5, "<B", 2, "ELF-64"),
    ],
)
def test_a_header_that_cannot_be(at: int, form: str, value: int, words: str) -> None:
    data = bytearray(_library())
    struct.pack_into(form, data, at, value)
    with pytest.raises(ElfError, match=words):
        links(bytes(data))
