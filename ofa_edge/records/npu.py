"""What a manifest says of an artifact for an accelerator: the account of the accelerator's own compiler.

Cycles are the compiler's estimate: it knows the accelerator, not the board around it. `estimated` puts milliseconds and
an interval to them.
"""

from typing import Annotated

from pydantic import Field

from ofa_edge.records.base import Count, Digest, Fraction, NotNegative, Positive, Record
from ofa_edge.records.refinement import IntervalRecord


class NpuLayer(Record):
    """One operator as the accelerator runs it.

    Attributes:
        name: of the tensor that it gives, in the int8 file.
        op: what it is in the int8 file; fused operators after it have lines of their own and no cycles.
        cycles: of all cycles of the network.
        macs: multiply-accumulates.
        utilisation: of the accelerator's MACs in these cycles.
        memory_bytes: of on-chip memory that is taken while it runs.
        offchip_bytes: to and from what is not on-chip memory; None: not told.
    """

    name: str
    op: str
    cycles: Count
    macs: Count
    utilisation: Fraction
    memory_bytes: Count
    offchip_bytes: Count | None = None


class AccountRecord(Record):
    """What a compiler, or a model of an array, says of one network on one accelerator.

    Attributes:
        cycles: of one inference.
        macs: multiply-accumulates.
        offchip_bytes: to and from what is not on-chip memory.
        offchip_gbps: 1e9 bytes a second of that, at most.
        sram_bytes: of on-chip memory that is taken.
        energy_uj: microjoules of one inference; None where nothing is said of it.
        layers: in order.
    """

    cycles: Annotated[int, Field(ge=1)]
    macs: Count
    offchip_bytes: Count
    offchip_gbps: NotNegative
    sram_bytes: Count
    energy_uj: NotNegative | None = None
    layers: tuple[NpuLayer, ...] = ()


class Traffic(Record):
    """Bytes that one inference moves to and from one memory."""

    read: Count
    written: Count
    total: Count  # as the compiler says: with what it does not tell apart


class KernelsRecord(Record):
    """The int8 file in two sets of kernels over the same images: the same bits, or not.

    Attributes:
        kernels, reference: whose.
        images: compared.
        unequal: output values that differ, in steps of any size.
    """

    kernels: str
    reference: str
    images: Annotated[int, Field(ge=1)]
    unequal: Count


class NpuRecord(Record):
    """One network on one accelerator.

    Attributes:
        accelerator: as its compiler names it; `macs_per_cycle`: at most.
        compiler: with its version, which the cycles hold for.
        config, config_sha256: the compiler's configuration file.
        system_config, memory_mode: sections of it.
        clock_hz: of the accelerator there.
        command: gives the same cycles again, from the build's folder.
        source: the int8 file that was compiled.
        cycles: of one inference; `cycles_by`: of its parts, which overlap.
        macs: multiply-accumulates of one inference.
        utilisation: `macs` as a share of what the accelerator could do in these cycles.
        traffic: bytes moved, by memory.
        sram_bytes, sram_limit: taken, and what there is.
        storage_bytes, storage_limit: of flash or DRAM, likewise; a limit of None: not limited.
        peak: the tensor at which most SRAM is taken.
        cpu_operators: that the compiler left to the CPU, in words.
        layers: in order.
        estimated: milliseconds on silicon, from the cycles.
        kernels: the int8 file in the kernels of microcontrollers; None where those are not installed.
    """

    accelerator: str
    macs_per_cycle: Annotated[int, Field(ge=1)]
    compiler: str
    config: str
    config_sha256: Digest
    system_config: str
    memory_mode: str
    clock_hz: Positive
    command: tuple[str, ...]
    source: str
    cycles: Annotated[int, Field(ge=1)]
    cycles_by: dict[str, Count]
    macs: Count
    utilisation: Fraction
    traffic: dict[str, Traffic]
    sram_bytes: Count
    sram_limit: Count
    storage_bytes: Count
    storage_limit: Count | None = None
    peak: str = ""
    cpu_operators: tuple[str, ...] = ()
    layers: tuple[NpuLayer, ...] = ()
    estimated: IntervalRecord
    kernels: KernelsRecord | None = None
