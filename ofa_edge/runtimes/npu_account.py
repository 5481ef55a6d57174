"""What a manifest says of a network that Vela compiled."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.vela.compile import Compiled
from ofa_edge.export.vela.micro import unequal_values
from ofa_edge.export.vela.options import VelaSystem, vela_version
from ofa_edge.latency.silicon import ETHOS_U, Silicon
from ofa_edge.records.npu import AccountRecord, KernelsRecord, NpuLayer, NpuRecord, Traffic
from ofa_edge.records.refinement import IntervalRecord


def account(
    compiled: Compiled, system: VelaSystem, source: Path, images: NDArray[np.float32] | None = None
) -> NpuRecord:
    """The record of a network.

    Args:
        compiled: what Vela said.
        system: what it was compiled for.
        source: the int8 file.
        images: [N, C, H, W], to run it on in two sets of kernels; None where one of them is not installed.
    """
    npu, macs = system.npu, system.macs_per_cycle
    on_npu = [layer for layer in compiled.layers if layer.on_npu]
    interval = Silicon.of(ETHOS_U).interval(compiled.ms)
    return NpuRecord(
        accelerator=npu.accelerator,
        macs_per_cycle=macs,
        compiler=f"Vela {vela_version()}",
        config=npu.config,
        config_sha256=system.digest,
        system_config=npu.system_config,
        memory_mode=npu.memory_mode,
        clock_hz=compiled.clock_hz,
        command=system.command(source.name),
        source=source.name,
        cycles=compiled.cycles,
        cycles_by=dict(compiled.cycles_by),
        macs=compiled.macs,
        utilisation=compiled.utilisation(macs),
        traffic={
            memory: Traffic(read=compiled.read[memory], written=compiled.written[memory], total=moved)
            for memory, moved in compiled.moved.items()
        },
        sram_bytes=compiled.sram_bytes,
        sram_limit=npu.sram_bytes,
        storage_bytes=compiled.storage_bytes,
        storage_limit=npu.storage_bytes,
        peak=max(on_npu, key=lambda layer: layer.memory_bytes).name if on_npu else "",
        cpu_operators=tuple(f"{layer.op} '{layer.name}'" for layer in compiled.layers if not layer.on_npu),
        layers=layer_records(compiled, macs),
        estimated=IntervalRecord.model_validate(interval.to_json()),
        kernels=None if images is None else _kernels(source, images),
    )


def layer_records(compiled: Compiled, macs: int) -> tuple[NpuLayer, ...]:
    """The operators on an accelerator of so many MACs a cycle, in order.

    Vela tells bytes of the whole network alone: they are shared out by the cycles for which each operator keeps what is
    not SRAM busy.
    """
    busy = sum(layer.offchip_cycles for layer in compiled.layers)
    return tuple(
        NpuLayer(
            name=layer.name,
            op=layer.op,
            cycles=layer.cycles,
            macs=layer.macs,
            utilisation=min(1.0, layer.macs / (layer.cycles * macs)) if layer.cycles else 0.0,
            memory_bytes=layer.memory_bytes,
            offchip_bytes=round(compiled.offchip_bytes * layer.offchip_cycles / busy) if busy else 0,
        )
        for layer in compiled.layers
        if layer.on_npu
    )


def short_account(compiled: Compiled, macs: int) -> AccountRecord:
    """What is said of a network on an accelerator of so many MACs a cycle, whatever the accelerator."""
    return AccountRecord(
        cycles=compiled.cycles,
        macs=compiled.macs,
        offchip_bytes=compiled.offchip_bytes,
        offchip_gbps=compiled.offchip_gbps,
        sram_bytes=compiled.sram_bytes,
        layers=layer_records(compiled, macs),
    )


def _kernels(source: Path, images: NDArray[np.float32]) -> KernelsRecord:
    unequal = unequal_values(source, images)
    return KernelsRecord(
        kernels="TensorFlow Lite Micro's kernels",
        reference="LiteRT's reference kernels",
        images=len(images),
        unequal=unequal,
    )
