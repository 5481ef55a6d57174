"""What a shared library needs from the system that loads it. Source: System V ABI and the LSB's symbol versioning."""

import struct
from dataclasses import dataclass

from ofa_edge.export.cuda.elf import Section, sections

_MACHINES = {3: "i386", 40: "armv7l", 62: "x86_64", 183: "aarch64", 190: "CUDA", 243: "riscv"}
_SHT_DYNAMIC, _SHT_DYNSYM, _SHT_VERNEED = 6, 11, 0x6FFFFFFE
_DT_NEEDED = 1
_SHN_UNDEF = 0
_DYNAMIC, _SYMBOL = struct.Struct("<qQ"), struct.Struct("<IBBHQQ")
_NEED, _NEED_ENTRY = struct.Struct("<HHIII"), struct.Struct("<IHHII")


@dataclass(frozen=True)
class Links:
    """Attributes: machine; needed libraries; versions ("GLIBC_2.17") asked of them; symbols that it gives."""

    machine: str
    needed: tuple[str, ...]
    versions: tuple[str, ...]
    symbols: tuple[str, ...]


def links(data: bytes) -> Links:
    """Read a 64-bit little-endian shared library.

    Raises:
        ElfError: it is none; where its tables contradict themselves, a ValueError, IndexError or struct.error.
    """
    table = sections(data)
    machine = int.from_bytes(data[18:20], "little")
    return Links(
        _MACHINES.get(machine, f"machine {machine}"),
        tuple(_needed(data, table)),
        tuple(sorted(set(_versions(data, table)))),
        tuple(sorted(set(_symbols(data, table)))),
    )


def _bytes(data: bytes, section: Section) -> bytes:
    return data[section.offset : section.offset + section.size]


def _string(data: bytes, table: Section, start: int) -> str:
    text = _bytes(data, table)
    return text[start : text.index(b"\0", start)].decode("ascii", errors="replace")


def _needed(data: bytes, table: list[Section]) -> list[str]:
    return [
        _string(data, table[section.link], value)
        for section in table
        if section.kind == _SHT_DYNAMIC
        for tag, value in _DYNAMIC.iter_unpack(_bytes(data, section))
        if tag == _DT_NEEDED
    ]


def _versions(data: bytes, table: list[Section]) -> list[str]:
    found = []
    for section in table:
        if section.kind != _SHT_VERNEED:
            continue
        at, more = section.offset, True
        while more:
            _version, count, _file, first, following = _NEED.unpack_from(data, at)
            entry = at + first
            for _ in range(count):
                _hash, _flags, _other, name, step = _NEED_ENTRY.unpack_from(data, entry)
                found.append(_string(data, table[section.link], name))
                entry += step
            at, more = at + following, following > 0
    return found


def _symbols(data: bytes, table: list[Section]) -> list[str]:
    return [
        _string(data, table[section.link], name)
        for section in table
        if section.kind == _SHT_DYNSYM
        for name, _info, _other, index, _value, _size in _SYMBOL.iter_unpack(_bytes(data, section))
        if index != _SHN_UNDEF and name
    ]
