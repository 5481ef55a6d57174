"""Progress bars of training on stderr: done by cost, so that the time left holds across phases."""

import contextlib
from typing import TYPE_CHECKING

from ofa_edge.cli.streams import for_bars

if TYPE_CHECKING:
    from ofa_edge.training.run import Progress


class TrainingBars(contextlib.AbstractContextManager["TrainingBars"]):
    """One bar for the training, with loss and accuracy, and one for each series of measurements."""

    def __init__(self, quiet: bool = False) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description:<10}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"))
        text = TextColumn("{task.fields[facts]}")
        console = Console(file=for_bars(), quiet=quiet)
        self.bars = Progress(*columns, TimeRemainingColumn(), text, console=console)
        self.tasks: dict[str, int] = {}
        self.accuracy = 0.0
        self.phase = ""

    def __enter__(self) -> "TrainingBars":
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def step(self, progress: "Progress") -> None:
        """After a training step."""
        if progress.phase != self.phase:
            self.phase, self.accuracy = progress.phase, progress.accuracy
        self.accuracy = 0.98 * self.accuracy + 0.02 * progress.accuracy
        facts = (
            f"step {progress.step} of {progress.total_steps}  {progress.phase}  loss {progress.loss:.3f}  "
            f"training top-1 {self.accuracy:.1f}"
        )
        self._update("train", progress.share, facts)

    def stage(self, name: str, done: int, total: int) -> None:
        """After a measured subnet."""
        self._update(name, done / total, f"{done} of {total} subnets measured")

    def reading(self, done: int, total: int) -> None:
        """After some images of a folder."""
        self._update("read", done / total if total else 0.0, f"{done} images")

    def _update(self, name: str, share: float, facts: str) -> None:
        from rich.progress import TaskID

        if name not in self.tasks:
            self.tasks[name] = self.bars.add_task(name, total=1.0, facts=facts)
        self.bars.update(TaskID(self.tasks[name]), completed=share, facts=facts)
