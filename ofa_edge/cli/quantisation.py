"""An int8 file layer by layer, for people: who is to blame, and what was left in fp32."""

from typing import TYPE_CHECKING

from ofa_edge.cli.console import file_size, table

if TYPE_CHECKING:
    from ofa_edge.records.blame import BlameRecord
    from ofa_edge.records.mixed import MixedRecord, QuantisationRecord

WORST, NAME_WIDTH = 12, 60


def quantisation_lines(found: "QuantisationRecord") -> str:
    """What a build found: the worst layers, then what `--max-drop` chose."""
    return blame_lines(found.blame, 5) + ("" if found.mixed is None else f"\n{mixed_lines(found.mixed)}")


def blame_lines(found: "BlameRecord", worst: int = WORST) -> str:
    """What the layers of an int8 file cost, the worst first."""
    labelled = found.top1_drop is not None
    rows = [["layer, alone in int8", "SNR dB", "of the noise", *["points lost"] * labelled, "operators"]]
    for each in found.layers[:worst]:
        operators = ", ".join(f"{name} {each.operators.count(name)}" for name in dict.fromkeys(each.operators))
        lost = [] if each.top1_drop is None else [f"{100 * each.top1_drop:+.2f}"]
        name = each.layer if len(each.layer) <= NAME_WIDTH else f"... {each.layer[4 - NAME_WIDTH :]}"
        rows.append([name, f"{each.snr_db:.1f}", f"{100 * each.share:.1f} %", *lost, operators])
    shown, adds = len(rows) - 1, f"{found.added_db:.1f} dB"
    return (
        f"int8 beside fp32 on {found.images} images: {found.snr_db:.1f} dB{_loss(found.top1_drop)}\n"
        f"the {shown} worst of {len(found.layers)} layers (the noise of all, each alone, adds up to {adds}):\n"
        + table(rows, right=range(1, 3 + labelled))
    )


def mixed_lines(found: "MixedRecord") -> str:
    """What stays in fp32, and what that costs."""
    if not found.operators:
        return f"  {found.asked} asked for: int8 keeps it as it is"
    reached = "kept" if found.reached else "NOT REACHED: nothing more to be gained by it"
    more = found.size - found.int8_size
    ratio = "" if found.ratio is None else f", {found.ratio:.2f} of the time (in turn, this machine, {found.machine})"
    layers = ", ".join(found.kept[:6]) + (f" and {len(found.kept) - 6} more" if len(found.kept) > 6 else "")
    return (
        f"  {found.asked} asked for, on {found.images} other images: {reached}\n"
        f"  {found.operators} of {found.of_operators} operators in fp32 ({layers})\n"
        f"  {found.snr_db:.1f} dB{_loss(found.top1_drop)}; {'-' if more < 0 else '+'}{file_size(abs(more))}{ratio}"
    )


def _loss(drop: float | None) -> str:
    return "" if drop is None else f", {100 * drop:+.2f} points of top-1 lost"
