"""What is read from ELF files, damaged and foreign ones too: machine, pages, sections, symbols, needs, cubins inside.

pyelftools reads the tables. What it leaves open is closed here: tables that end beyond the file, that go round in
circles or whose names have no end are refused, so the work is bounded by the size of the file.
Source: System V ABI and the LSB's symbol versioning; a cubin is an ELF file of machine 190 (EM_CUDA).
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

from elftools.elf import sections as tables
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.enums import ENUM_E_MACHINE
from elftools.elf.gnuversions import GNUVerNeedSection

_MAGIC = b"\x7fELF\x02\x01\x01"  # 64 bit, little endian, version 1
_HEADER, _SECTION, _SYMBOL, _VERSION = 64, 64, 24, 16  # bytes of a header and of each table's rows
LARGE_PAGE = 16384  # bytes: of Android 15 and later, and of the Raspberry Pi 5's own kernel
_MACHINES = {"EM_386": "i386", "EM_ARM": "armv7l"}  # the others are called what the kernel calls them
_NAMES = {number: name for name, number in ENUM_E_MACHINE.items()}
_IDENTIFIED, _BITS = 20, {1: 32, 2: 64}  # bytes up to the machine; by EI_CLASS
_WIDE_ABI = 8  # cubins of it (CUDA 13) keep the architecture in bits 8 to 15 of the flags, older ones in bits 0 to 7


class ElfError(ValueError):
    """The bytes are not the ELF file they claim to be."""


@dataclass(frozen=True)
class Section:
    """One section: its name and where it lies, in bytes."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class Image:
    """What decides whether a system can load a file at all.

    Attributes:
        machine: as uname says: "aarch64", "armv7l" (any 32-bit Arm), "x86_64", "i386".
        bits: 32 or 64.
        page: bytes of the largest memory page with which it loads: the least p_align of its PT_LOAD segments; None
            where nothing of it is loaded.
    """

    machine: str
    bits: int
    page: int | None


@dataclass(frozen=True)
class Cubin:
    """A compiled CUDA module inside a file."""

    offset: int  # in the file, bytes
    size: int  # bytes
    arch: str  # "sm_53"
    kernels: frozenset[str]


@dataclass(frozen=True)
class Links:
    """Attributes: machine; needed libraries; versions ("GLIBC_2.17") asked of them; symbols that it gives."""

    machine: str
    needed: tuple[str, ...]
    versions: tuple[str, ...]
    symbols: tuple[str, ...]


@contextmanager
def _reading() -> Iterator[None]:
    """Make whatever a damaged file makes pyelftools stumble over (ELFError, KeyError, AssertionError) an ElfError."""
    try:
        yield
    except ElfError:
        raise
    except Exception as error:
        raise ElfError(f"damaged: {error}") from error


def is_elf(start: bytes) -> bool:
    """Whether a file that begins so is an ELF file, of whatever machine."""
    return start.startswith(_MAGIC[:4])


def machine_of(header: bytes) -> tuple[str, int] | None:
    """Machine and bits by the first 20 bytes of a program, see `Image`; None where they are no ELF header."""
    if not is_elf(header) or len(header) < _IDENTIFIED or header[4] not in _BITS or header[5] not in (1, 2):
        return None
    number = int.from_bytes(header[18:20], "little" if header[5] == 1 else "big")
    return _machine(_NAMES.get(number, number)), _BITS[header[4]]


@_reading()
def image(data: bytes) -> Image:
    """Machine and pages of an ELF file of 32 or 64 bits. Raises ElfError: it is none, or its headers are damaged."""
    if not is_elf(data):
        raise ElfError("no ELF header")
    elf = ELFFile(BytesIO(data))
    loaded = [each["p_align"] for each in elf.iter_segments("PT_LOAD")]
    return Image(_machine(elf["e_machine"]), elf.elfclass, min(loaded, default=None))


def _machine(name: str | int) -> str:
    if isinstance(name, int):
        return f"machine {name}"
    plain = name.removeprefix("EM_")
    return _MACHINES.get(name, plain if plain == "CUDA" else plain.lower())


@_reading()
def sections(data: bytes) -> list[Section]:
    """The sections of a 64-bit little-endian ELF file. Raises ElfError: it is none, or its tables are damaged."""
    return [Section(each.name, each["sh_offset"], each["sh_size"]) for each in _sections(_open(data))]


@_reading()
def undefined_symbols(data: bytes) -> list[str]:
    """Names that a shared library expects from others, sorted. Raises ElfError: see `sections`."""
    rows = _symbols(_sections(_open(data)), "SHT_DYNSYM")
    return sorted({name for name, defined in rows if name and not defined})


@_reading()
def symbol_names(data: bytes) -> list[str]:
    """Names of a file's own symbols by their index. Raises ElfError: see `sections`."""
    return [name for name, _ in _symbols(_sections(_open(data)), "SHT_SYMTAB")]


@_reading()
def links(data: bytes) -> Links:
    """What a shared library needs of the system that loads it. Raises ElfError: see `sections`."""
    elf = _open(data)
    table = _sections(elf)
    return Links(
        _machine(elf["e_machine"]),
        tuple(_needed(table)),
        tuple(sorted(set(_versions(table)))),
        tuple(sorted({name for name, defined in _symbols(table, "SHT_DYNSYM") if name and defined})),
    )


@_reading()
def find_cubins(data: bytes) -> list[Cubin]:
    """The cubins that lie anywhere inside `data`, in order of offset. Raises ElfError where one is damaged."""
    found = []
    at = data.find(_MAGIC)
    while at >= 0:
        if len(data) - at >= _HEADER and (head := ELFFile(BytesIO(data[at : at + _HEADER])))["e_machine"] == "EM_CUDA":
            found.append(_cubin(data, at, head))
        at = data.find(_MAGIC, at + 1)
    return found


def _cubin(data: bytes, at: int, head: ELFFile) -> Cubin:
    flags = head["e_flags"]
    number = (flags >> 8 if head["e_ident"]["EI_ABIVERSION"] >= _WIDE_ABI else flags) & 0xFF
    # The program headers come last in a cubin; the sections lie before them.
    end = max(
        head["e_phoff"] + head["e_phentsize"] * head["e_phnum"], head["e_shoff"] + head["e_shentsize"] * head["e_shnum"]
    )
    names = [each.name for each in sections(data[at : at + end])]
    kernels = frozenset(name.removeprefix(".text.") for name in names if name.startswith(".text."))
    return Cubin(at, end, f"sm_{number}", kernels)


def _open(data: bytes) -> ELFFile:
    if not data.startswith(_MAGIC):
        raise ElfError("no ELF-64 header")
    elf = ELFFile(BytesIO(data))
    if not elf["e_shnum"] or elf["e_shentsize"] != _SECTION:
        raise ElfError("no section table")
    return elf


def _sections(elf: ELFFile) -> list[tables.Section]:
    found = list(elf.iter_sections())
    for each in found:
        if each["sh_type"] != "SHT_NOBITS" and each["sh_offset"] + each["sh_size"] > elf.stream_len:
            raise ElfError(f"cut short: section '{each.name}' ends beyond the file")
        if each["sh_type"] == "SHT_STRTAB" and each["sh_size"] and each.data()[-1]:
            raise ElfError(f"damaged string table '{each.name}': nothing ends its last name")
    return found


def _symbols(table: list[tables.Section], kind: str) -> Iterator[tuple[str, bool]]:
    """Name of each symbol of the first table of a kind, and whether it is defined here."""
    for section in itertools.islice((each for each in table if each["sh_type"] == kind), 1):
        assert isinstance(section, tables.SymbolTableSection)
        if section["sh_entsize"] != _SYMBOL:
            raise ElfError(f"damaged symbol table: rows of {section['sh_entsize']} bytes")
        for symbol in section.iter_symbols():
            yield _ended(symbol.name, symbol["st_name"]), symbol["st_shndx"] != "SHN_UNDEF"


def _needed(table: list[tables.Section]) -> Iterator[str]:
    for section in table:
        if isinstance(section, DynamicSection):
            for tag in section.iter_tags("DT_NEEDED"):
                yield _ended(tag.needed, tag["d_val"])  # type: ignore[attr-defined]  # of this kind of tag


def _versions(table: list[tables.Section]) -> Iterator[str]:
    for section in table:
        if isinstance(section, GNUVerNeedSection):
            room = section["sh_size"] // _VERSION
            rows = (each for _, names in section.iter_versions() for each in names)
            for count, each in enumerate(rows):
                if count >= room:
                    raise ElfError("damaged version table: more rows than it has room for")
                yield _ended(each.name, each["vna_name"])


def _ended(name: str, start: int) -> str:
    """A name of a string table; pyelftools gives an empty one for a name that nothing ends."""
    if start and not name:
        raise ElfError(f"damaged string table: nothing ends the name at {start}")
    return name
