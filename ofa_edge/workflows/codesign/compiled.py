"""Networks compiled in full for accelerators, whatever their compiler: what the report's figures are."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from ofa_edge.cache import StageCache
from ofa_edge.cost import Operator
from ofa_edge.errors import ConfigError
from ofa_edge.files import write_bytes
from ofa_edge.records.codesign import NetworkRecord
from ofa_edge.workflows.codesign.accelerators import Accelerator


def compiled(
    accelerator: Accelerator, networks: Sequence[tuple[str, Sequence[Operator]]], cache: StageCache
) -> list[NetworkRecord]:
    """Networks on one accelerator.

    Args:
        accelerator: for which.
        networks: what each stands for, and its operators.
        cache: keeps what is told of each.

    Raises:
        ConversionError: the compiler does not take one.
        ConfigError: one has operators that cannot be drawn for it.
    """
    account, turns = accelerator.runtime.cycle_account(accelerator.target), accelerator.runtime.turns
    assert account is not None  # an accelerator has both
    assert turns is not None
    with tempfile.TemporaryDirectory(prefix="ofa-edge-codesign-") as folder:
        paths = []
        for number, (role, network) in enumerate(networks):
            content = turns.draw(network)
            if content is None:
                raise ConfigError(
                    f"{role} cannot be drawn for {account.name}",
                    "it has operators besides those of inverted bottlenecks",
                    "--supernet of an MBConv family",
                )
            paths.append(Path(folder) / f"{number}{turns.suffix}")
            write_bytes(paths[-1], content)
        told = account.told(paths, cache)
    peak, found = accelerator.size.macs_per_cycle, []
    for (role, network), each in zip(networks, told, strict=True):
        macs, seconds = sum(operator.macs for operator in network), each.cycles / account.clock_hz
        found.append(
            NetworkRecord(
                role=role,
                accelerator=accelerator.name,
                macs=macs,
                cycles=each.cycles,
                ms=1e3 * seconds,
                energy_uj=each.energy_uj,
                utilisation=min(1.0, macs / (each.cycles * peak)),
                intensity=2 * macs / max(1, each.offchip_bytes),
                gops=2 * macs / seconds / 1e9,
                roof_gops=2 * peak * account.clock_hz / 1e9,
                offchip_gbps=each.offchip_gbps,
                sram_bytes=each.sram_bytes,
                layers=each.layers,
            )
        )
    return found
