"""Progress bars of training: done by cost, so that the time left holds across phases."""

from typing import TYPE_CHECKING

from ofa_edge.cli.bars import Bars

if TYPE_CHECKING:
    from ofa_edge.training.run import Progress


class TrainingBars(Bars):
    """One bar for the training, with loss and accuracy, and one for each series of measurements."""

    def __init__(self, quiet: bool = False) -> None:
        super().__init__(quiet)
        self.accuracy = 0.0
        self.phase = ""

    def step(self, progress: "Progress") -> None:
        """After a training step."""
        if progress.phase != self.phase:
            self.phase, self.accuracy = progress.phase, progress.accuracy
        self.accuracy = 0.98 * self.accuracy + 0.02 * progress.accuracy
        done = f"{progress.step}/{progress.total_steps} {progress.phase}"
        self.update("train", progress.share, f"{done}  loss {progress.loss:.2f}  top-1 {self.accuracy:.0f}")

    def stage(self, name: str, done: int, total: int) -> None:
        """After a measured subnet."""
        self.update(name, done / total, f"{done} of {total} subnets measured")

    def reading(self, done: int, total: int) -> None:
        """After some images of a folder."""
        self.update("read", done / total if total else 0.0, f"{done} images")
