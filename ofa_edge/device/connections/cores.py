"""Arm cores by the numbers that the kernel prints: to read a real /proc/cpuinfo and to write an emulated one.

Part numbers: Arm's MIDR_EL1 tables, as in the kernel's arch/arm64/include/asm/cputype.h. Variant and revision are
those of QEMU's models (target/arm/cpu64.c), so that what the emulated kernel says and what the emulated CPU does agree.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ofa_edge.errors import UnsupportedError

_ARMV8 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
_ARMV8_NO_CRYPTO = "fp asimd evtstrm crc32 cpuid"  # the Raspberry Pi 4's A72 has no crypto extension
_ARMV82 = (
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"  # A76 level
)

PART_NAMES: Mapping[int, str] = {
    0xD03: "cortex-a53",
    0xD04: "cortex-a35",
    0xD05: "cortex-a55",
    0xD07: "cortex-a57",
    0xD08: "cortex-a72",
    0xD09: "cortex-a73",
    0xD0A: "cortex-a75",
    0xD0B: "cortex-a76",
    0xD0C: "neoverse-n1",
    0xD0D: "cortex-a77",
    0xD40: "neoverse-v1",
    0xD41: "cortex-a78",
    0xD42: "cortex-a78ae",
    0xD44: "cortex-x1",
    0xD4B: "cortex-a78c",
}


# Other makers' cores, by implementer and part; the same header.
OTHER_NAMES: Mapping[tuple[int, int], str] = {
    (0x51, 0x800): "kryo-2xx-gold",
    (0x51, 0x801): "kryo-2xx-silver",
    (0x51, 0x802): "kryo-3xx-gold",
    (0x51, 0x803): "kryo-3xx-silver",
    (0x51, 0x804): "kryo-4xx-gold",
    (0x51, 0x805): "kryo-4xx-silver",
}
_ARM = 0x41


def core_name(cores: Iterable[tuple[int, int]]) -> str:
    """The biggest of these cores (implementer, part), by name; "" if there are none.

    Of Arm's own the highest part number is taken for the biggest, of Qualcomm's the gold ones. Where a chip mixes both
    makers' numbers, or has an unknown one, the last is: phones list their little cores first.

    >>> core_name([(0x51, 0x805), (0x51, 0x804)])
    'kryo-4xx-gold'
    """
    listed = list(cores)
    if not listed:
        return ""
    if all(maker == _ARM and part in PART_NAMES for maker, part in listed):
        return PART_NAMES[max(part for _, part in listed)]
    gold = [OTHER_NAMES[core] for core in listed if OTHER_NAMES.get(core, "").endswith("gold")]
    maker, part = listed[-1]
    known = PART_NAMES.get(part) if maker == _ARM else OTHER_NAMES.get((maker, part))
    return gold[0] if gold else known or f"implementer {maker:#x} part {part:#x}"


@dataclass(frozen=True)
class EmulatedCore:
    """A core that QEMU models."""

    name: str
    part: int
    variant: int
    revision: int
    features: str

    def cpuinfo(self, cores: int) -> str:
        """The text of /proc/cpuinfo on an arm64 kernel with `cores` of this core."""
        entry = (
            "processor\t: {index}\nBogoMIPS\t: 108.00\n"
            f"Features\t: {self.features}\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
            f"CPU variant\t: {self.variant:#x}\nCPU part\t: {self.part:#x}\nCPU revision\t: {self.revision}\n\n"
        )
        return "".join(entry.format(index=index) for index in range(cores))


_CORES = (
    EmulatedCore("cortex-a53", 0xD03, 0, 4, _ARMV8),
    EmulatedCore("cortex-a57", 0xD07, 1, 0, _ARMV8),
    EmulatedCore("cortex-a72", 0xD08, 0, 3, _ARMV8_NO_CRYPTO),
    EmulatedCore("cortex-a76", 0xD0B, 4, 1, _ARMV82),
    EmulatedCore("neoverse-n1", 0xD0C, 4, 1, _ARMV82),
)

# Cores that QEMU 7.2 does not model, by the nearest one that has no instruction more.
_NEAREST: Mapping[str, str] = {
    "cortex-a35": "cortex-a53",
    "cortex-a73": "cortex-a72",
    "cortex-a55": "cortex-a76",
    "cortex-a75": "cortex-a76",
    "cortex-a77": "cortex-a76",
    "cortex-a78": "cortex-a76",
    "cortex-a78ae": "cortex-a76",
    "cortex-x1": "cortex-a76",
    "neoverse-v1": "neoverse-n1",
}


def emulated_core(cpu: str) -> EmulatedCore:
    """The core that stands in for `cpu` under emulation: itself, or the nearest with no instruction more.

    Never QEMU's default CPU (`max`): its SME path gives wrong int8 results.

    Raises:
        UnsupportedError: nothing near it can be emulated.
    """
    name = cpu.lower()
    name = _NEAREST.get(name, name)
    for core in _CORES:
        if core.name == name:
            return core
    known = ", ".join(sorted([core.name for core in _CORES] + list(_NEAREST)))
    raise UnsupportedError(f"no emulated device for CPU '{cpu}'", f"known: {known}", "--device none, or a real device")
