"""As much of the ELF format as is needed: names of sections and symbols, and cubins inside a larger file.

Source: System V ABI, ELF-64 object file format; a cubin is an ELF file of machine 190 (EM_CUDA).
"""

import struct
from dataclasses import dataclass

EM_CUDA = 190
_MAGIC = b"\x7fELF\x02\x01\x01"  # 64 bit, little endian, version 1
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_SHT_SYMTAB, _SHT_DYNSYM = 2, 11
_SHN_UNDEF = 0
# cubins of ABI version 8 (CUDA 13) keep the architecture in bits 8 to 15 of the flags, older ones in bits 0 to 7
_WIDE_ABI = 8


class ElfError(ValueError):
    """The bytes are not the ELF file they claim to be."""


@dataclass(frozen=True)
class Section:
    """One section: its name, its kind, where it lies, and the section that it refers to."""

    name: str
    kind: int
    offset: int
    size: int
    link: int


@dataclass(frozen=True)
class Cubin:
    """A compiled CUDA module inside a file."""

    offset: int  # in the file, bytes
    size: int  # bytes
    arch: str  # "sm_53"
    kernels: frozenset[str]


def sections(data: bytes) -> list[Section]:
    """The sections of an ELF file.

    Raises:
        ElfError: not an ELF-64 file, or cut short.
    """
    if not data.startswith(_MAGIC):
        raise ElfError("no ELF-64 header")
    try:
        header = _HEADER.unpack_from(data)
        table, width, count, names_index = header[6], header[11], header[12], header[13]
        raw = [_SECTION.unpack_from(data, table + index * width) for index in range(count)]
        names = data[raw[names_index][4] : raw[names_index][4] + raw[names_index][5]]
    except (struct.error, IndexError, OverflowError) as error:  # an offset beyond what a machine can address
        raise ElfError(f"damaged section table: {error}") from error
    return [Section(_string(names, row[0]), row[1], row[4], row[5], row[6]) for row in raw]


def undefined_symbols(data: bytes) -> list[str]:
    """Names that a shared library expects from others, sorted. Raises ElfError where its tables are damaged."""
    table = sections(data)
    names = set()
    for section in table:
        if section.kind == _SHT_DYNSYM:
            rows, text = _symbols(data, table, section)
            names |= {_string(text, row[0]) for row in rows if row[3] == _SHN_UNDEF and row[0]}
    return sorted(names)


def symbol_names(data: bytes) -> list[str]:
    """Names of a file's own symbols by their index. Raises ElfError where its tables are damaged."""
    table = sections(data)
    for section in table:
        if section.kind == _SHT_SYMTAB:
            rows, text = _symbols(data, table, section)
            return [_string(text, row[0]) for row in rows]
    return []


def _symbols(data: bytes, table: list[Section], section: Section) -> tuple[list[tuple[int, ...]], bytes]:
    """The rows of a symbol table, and the strings that their names lie in."""
    try:
        strings = table[section.link]
        rows = list(_SYMBOL.iter_unpack(data[section.offset : section.offset + section.size]))
    except (struct.error, IndexError, OverflowError) as error:  # an offset beyond what a machine can address
        raise ElfError(f"damaged symbol table: {error}") from error
    return rows, data[strings.offset : strings.offset + strings.size]


def find_cubins(data: bytes) -> list[Cubin]:
    """The cubins that lie anywhere inside `data`, in order of offset."""
    found = []
    at = data.find(_MAGIC)
    while at >= 0:
        if len(data) - at >= _HEADER.size and _HEADER.unpack_from(data, at)[2] == EM_CUDA:
            found.append(_cubin(data, at))
        at = data.find(_MAGIC, at + 1)
    return found


def _cubin(data: bytes, at: int) -> Cubin:
    header = _HEADER.unpack_from(data, at)
    flags, abi_version = header[7], data[at + 8]
    number = (flags >> 8 if abi_version >= _WIDE_ABI else flags) & 0xFF
    # The program headers come last in a cubin; the sections lie before them.
    end = max(header[5] + header[9] * header[10], header[6] + header[11] * header[12])
    body = data[at : at + end]
    kernels = frozenset(name.name.removeprefix(".text.") for name in sections(body) if name.name.startswith(".text."))
    return Cubin(at, end, f"sm_{number}", kernels)


def _string(table: bytes, start: int) -> str:
    end = table.find(b"\0", start)
    if end < 0:
        raise ElfError(f"damaged string table: nothing ends the name at {start}")
    return table[start:end].decode("ascii", errors="replace")
