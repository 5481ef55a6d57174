"""docs/benchmarks/calibrate.md from the figures that benchmarks/calibrate_baselines.py recorded."""

import json
from pathlib import Path
from typing import Any

from calibrate import goals_met

HEAD = """# Calibrated latency models beside plainer ones

Printed by `python benchmarks/calibrate_baselines.py page` from the figures in benchmarks/calibrate_results, which
`... add` makes of the reports of `ofa-edge calibrate`. Every method is fitted to the same measurements of one run, and
judged on random subnets that it has not seen and that were measured in the same sessions.

- *calibrated*: what `ofa-edge calibrate` writes: the target's own model, corrected by blocks and whole networks.
- *gradient boosting*: trees on the configuration (scikit-learn), which learn from the networks; blocks have none.
- *plain sum of blocks*: as in Once-For-All's latency tables, the call of each block included; blocks that the budget
  left out have their analytic latency, scaled as the measured ones ask for.
- *MACs alone*, *parameters alone*: a straight line over that one figure.
- *target's own model*: what shipped before anything was measured.

The intervals of all but the first are factors that would have held 50 % and 90 % of the fitted networks, each predicted
without its fold. MAPE is of the median; the shares are of the held-out networks. The goals: MAPE under 4 %, 95 % within
10 %, Spearman over 0.98, and 85-95 % inside the 90 % intervals.
"""


def page(folder: Path) -> str:
    """All of docs/benchmarks/calibrate.md."""
    records = [json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))]
    if not records:
        raise SystemExit(f"no figures in {folder}: `add` first")
    return "\n".join([HEAD, *(_table(record) for record in records)])


def _table(record: dict[str, Any]) -> str:
    amount = (
        f"{record['units']} blocks, {record['networks']} networks to fit to, {record['held_out']} held out; "
        f"{record['dropped']} runs dropped"
    )
    seconds = f"a budget of {record['budget_s']:.0f} s, of which {record['device_s']:.0f} s were used"
    threads = f"{record['threads']} thread{'' if record['threads'] == 1 else 's'}"
    lines = [
        f"## {record['target']}: {record['runtime']} {record['precision']}, {threads}",
        "",
        f"{record['device']}, {record['version']}, supernet {record['supernet']}: {seconds}.",
        f"{amount}.{' ' + record['note'] if record['note'] else ''}",
        "",
        "| method | MAPE | within 5 % | within 10 % | Spearman | in 50 % | in 90 % |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        shares = [f"{100 * row[name]:.0f} %" for name in ("within5", "within10")]
        inside = [f"{100 * row[name]:.0f} %" for name in ("coverage50", "coverage90")]
        cells = [row["method"], f"{100 * row['mape']:.1f} %", *shares, f"{row['spearman']:.3f}", *inside]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"Goals met by the calibrated model: {goals_met(record['rows'][0])}."]
    return "\n".join(lines) + "\n"
