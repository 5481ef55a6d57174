import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ofa_edge.export.cuda.elf import ElfError, sections, symbol_names, undefined_symbols


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
    for read in (sections, undefined_symbols, symbol_names):
        try:
            read(bytes(whole[:cut]))
        except ElfError:
            continue


def test_an_unended_name_says_where() -> None:
    data = bytearray(_library())
    strings = next(section for section in sections(bytes(data)) if section.name == ".dynstr")
    data[strings.offset : strings.offset + strings.size] = b"x" * strings.size
    with pytest.raises(ElfError, match="nothing ends the name"):
        undefined_symbols(bytes(data))
