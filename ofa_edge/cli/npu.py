"""What an accelerator's compiler said of a build, for people."""

from typing import TYPE_CHECKING

from ofa_edge.cli.console import file_size, table
from ofa_edge.shown import pasteable

if TYPE_CHECKING:
    from ofa_edge.records.npu import NpuRecord

SLOWEST, NAME_WIDTH = 5, 40


def npu_lines(found: "NpuRecord") -> str:
    """Cycles and what they are of, bytes, and the operators that take most."""
    silicon = found.estimated
    bound = " and ".join(f"{name} {cycles:,}" for name, cycles in found.cycles_by.items())
    moved = ", ".join(f"{memory} {file_size(each.total)}" for memory, each in found.traffic.items())
    rows = [["operator", "op", "cycles", "of all", "utilisation"]]
    for each in sorted(found.layers, key=lambda layer: -layer.cycles)[:SLOWEST]:
        name = each.name if len(each.name) <= NAME_WIDTH else f"... {each.name[4 - NAME_WIDTH :]}"
        share = f"{100 * each.cycles / found.cycles:.1f} %"
        rows.append([name, each.op, f"{each.cycles:,}", share, f"{100 * each.utilisation:.1f} %"])
    lines = [
        f"{found.accelerator} by {found.compiler}: {found.cycles:,} cycles ({bound}, which overlap), "
        f"{1e3 * found.cycles / found.clock_hz:.3g} ms at {found.clock_hz / 1e6:g} MHz",
        f"  estimated on silicon: {silicon.ms:.3g} ms ({silicon.low90:.3g} .. {silicon.high90:.3g} at 90 %)",
        f"  {found.macs / 1e6:.2f} M MACs, {100 * found.utilisation:.1f} % of the {found.macs_per_cycle} a cycle; "
        f"moved: {moved}",
        table(rows, right=range(2, 5)),
        f"  the same by hand, in the build's folder: {pasteable(*found.command)}",
    ]
    return "\n".join(lines)
