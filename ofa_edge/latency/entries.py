"""What latency tables hold: entries by resolution, then by the reference's keys."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from ofa_edge.errors import ConfigError

LONGEST_MS = 1e9  # of a latency in a file: eleven days
Milliseconds = Annotated[float, Field(ge=0, le=LONGEST_MS)]


@dataclass(frozen=True)
class Entry:
    """One block's latency: mean and standard deviation in milliseconds over `count` runs; None: not recorded."""

    mean: Milliseconds  # bounds hold where a file gives the values
    std: Milliseconds | None = None
    count: Annotated[int, Field(ge=0, lt=1 << 62)] | None = None


Tables = Mapping[int, Mapping[str, Entry]]


def find(table: Mapping[str, Entry], key: str, resolution: int) -> Entry:
    """An entry of one table. Raises ConfigError with the nearest key."""
    if key in table:
        return table[key]
    near = difflib.get_close_matches(key, table, n=1, cutoff=0.0)
    raise ConfigError(
        f"the latency table for {resolution} px has no entry '{key}'",
        f"nearest: '{near[0]}'" if near else "the table is empty",
        "measure the missing block, or use a table that was made for this space",
    )
