"""What each kernel of a cubin takes: registers, shared memory, stack. Read from the cubin itself: no tool is needed.

The format is not published. The `.nv.info` section is a list of attributes (EIATTR_REGCOUNT, EIATTR_FRAME_SIZE), each a
format, a number, and a value: in place for short formats, of its own length for format 4. What is read here was held
against `ptxas -v` of CUDA 12.6.85: the same for the 50 kernels of a network, for sm_53 and for sm_87.
"""

import struct
from dataclasses import dataclass

from ofa_edge import elf

_SIZED = 4  # the format whose value has its own length
_REGISTERS, _FRAME = 0x2F, 0x11
_ATTRIBUTE = struct.Struct("<BBH")
_PAIR = struct.Struct("<II")  # a symbol's index, a number


@dataclass(frozen=True)
class Resources:
    """What one kernel takes.

    Attributes:
        registers: of each thread.
        shared: bytes of static shared memory of each block.
        stack: bytes of each thread's local memory: spilled registers and arrays that did not fit into registers.
    """

    registers: int
    shared: int
    stack: int


def read_resources(cubin: bytes) -> dict[str, Resources]:
    """Resources of each kernel, by its name.

    Raises:
        ElfError: not a cubin, cut short, or a kernel whose registers are not told.
    """
    table = elf.sections(cubin)
    names = elf.symbol_names(cubin)
    registers: dict[str, int] = {}
    frames: dict[str, int] = {}
    for section in table:
        if section.name == ".nv.info":
            for attribute, symbol, value in _pairs(cubin[section.offset : section.offset + section.size]):
                if attribute in (_REGISTERS, _FRAME) and symbol < len(names):
                    (registers if attribute == _REGISTERS else frames)[names[symbol]] = value
    shared = {s.name.removeprefix(".nv.shared."): s.size for s in table if s.name.startswith(".nv.shared.")}
    kernels = [s.name.removeprefix(".text.") for s in table if s.name.startswith(".text.")]
    if untold := [kernel for kernel in kernels if kernel not in registers]:
        raise elf.ElfError(f"no register count for {untold[0]}")
    return {name: Resources(registers[name], shared.get(name, 0), frames.get(name, 0)) for name in kernels}


def _pairs(data: bytes) -> list[tuple[int, int, int]]:
    """Attributes that are a symbol and a number, as (attribute, symbol, number)."""
    found, at = [], 0
    while at + _ATTRIBUTE.size <= len(data):
        kind, attribute, value = _ATTRIBUTE.unpack_from(data, at)
        at += _ATTRIBUTE.size
        if kind != _SIZED:
            continue
        if at + value > len(data):
            raise elf.ElfError("damaged .nv.info section")
        if value == _PAIR.size:
            found.append((attribute, *_PAIR.unpack_from(data, at)))
        at += value
    return found
