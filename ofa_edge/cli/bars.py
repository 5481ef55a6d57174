"""Progress bars on stderr: share, time left, then a few facts, all within 80 columns."""

import contextlib
from typing import Any, Self

from ofa_edge.cli.streams import for_bars

BAR = 10  # columns


class Bars(contextlib.AbstractContextManager[Any]):
    """One bar for each thing that goes on."""

    def __init__(self, quiet: bool = False) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description:<6}"), BarColumn(BAR), TextColumn("{task.percentage:3.0f} %"))
        left = TimeRemainingColumn(compact=True)
        facts = TextColumn("left  {task.fields[facts]}")
        self.bars = Progress(*columns, left, facts, console=Console(file=for_bars(), quiet=quiet))
        self.tasks: dict[str, int] = {}

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def update(self, name: str, share: float, facts: str) -> None:
        """How much of something is done, 0..1, and what there is to say of it."""
        from rich.progress import TaskID

        if name not in self.tasks:
            self.tasks[name] = self.bars.add_task(name, total=1.0, facts=facts)
        self.bars.update(TaskID(self.tasks[name]), completed=share, facts=facts)
