"""A training run in its folder: steps, checkpoint, log, resume. What a step does is not its business.

Every random draw of a step comes from generators seeded by (seed, step), and a checkpoint is of whole steps only; so a
run that was killed anywhere and resumed ends with the weights of one that was not.
"""

import contextlib
import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from torch import nn

from ofa_edge.errors import OutputError, TrainingError
from ofa_edge.files import LARGEST_MODEL, parse_json, read_regular, write_bytes
from ofa_edge.training import freed_memory
from ofa_edge.training.checkpoint import Position, load_checkpoint, save_checkpoint
from ofa_edge.training.distributed import World, is_loss, lost

CHECKPOINT, LOG = "checkpoint.safetensors", "log.jsonl"
LOG_EVERY, LOG_LINES = 50, 100  # steps between two lines of the log, fewer where a short run would have few lines


@dataclass(frozen=True)
class Progress:
    """What is known after a step. Losses and accuracy are of that step's batch, before its update."""

    step: int
    total_steps: int
    phase: str
    epoch: int
    lr: float
    loss: float  # of the first subnet
    accuracy: float  # of the first subnet on its training batch, in percent
    subnet_losses: tuple[float, ...]
    macs: float  # multiply-accumulates of the run so far, backward passes and teachers included
    expected_macs: float  # of the whole run
    seconds: float = 0.0  # since this process started training
    ends_epoch: bool = False

    @property
    def share(self) -> float:
        """How much of the run's cost is done, 0..1."""
        return min(1.0, self.macs / self.expected_macs)


class Run:
    """Takes steps from where the folder's checkpoint is to the end.

    Args:
        net, optimizer: what a checkpoint holds.
        folder: where the checkpoint and the log go.
        digest: of all that decides the run's result; a checkpoint of another run is refused.
        total_steps: its end.
        world: the processes of the run; the first one writes.
        log_every: steps between two lines of the log; 50 by default, fewer in a short run.
    """

    def __init__(
        self,
        net: nn.Module,
        optimizer: torch.optim.Optimizer,
        folder: Path,
        digest: str,
        total_steps: int,
        world: World,
        log_every: int | None = None,
    ) -> None:
        self.net, self.optimizer, self.folder, self.digest = net, optimizer, folder, digest
        self.total_steps, self.world = total_steps, world
        self.log_every = log_every or max(1, min(LOG_EVERY, total_steps // LOG_LINES))
        self.position = Position(0, digest, processes=world.size)
        self._whole = True  # whether net and optimiser are what they were after the last whole step

    @property
    def checkpoint(self) -> Path:
        """The file to resume from."""
        return self.folder / CHECKPOINT

    def resume(self) -> bool:
        """Continue from the folder's checkpoint, if there is one. Raises WeightsError if it is another run's."""
        if not self.checkpoint.exists():
            return False
        self.position = load_checkpoint(self.checkpoint, self.net, self.optimizer, self.digest, self.world.size)
        self._whole = True
        return True

    def save(self) -> None:
        """Write the checkpoint."""
        if self.world.first:
            save_checkpoint(self.checkpoint, self.net, self.optimizer, self.position)

    def save_before_change(self) -> None:
        """Save, because a step is about to change weights before its gradients are known.

        Until that step is whole nothing else is saved: the checkpoint written here is the one to resume from.
        """
        self.save()
        self._whole = False

    def go(
        self,
        take_step: Callable[[Position], Progress],
        on_step: Callable[[Progress], None] = lambda _: None,
        save_every: float = 60.0,
        stop_at: int | None = None,
    ) -> None:
        """Train to the end (or to step `stop_at`), saving every `save_every` seconds and at the end.

        On an exception, Ctrl-C and SIGTERM included, the state after the last whole step is saved before it goes on.

        Args:
            take_step: computes the gradients of the step at a position, in place, and says what it saw; weights are
                changed here, once all gradients are there.
            on_step: told of each step.
            save_every: seconds between checkpoints.
            stop_at: a step to stop at.
        """
        if not self._whole:
            self.resume()  # an earlier call failed within a step that could not be undone
        self.folder.mkdir(parents=True, exist_ok=True)
        with _alone_in(self.folder) if self.world.first else contextlib.nullcontext(), freed_memory.kept():
            self._go(take_step, on_step, save_every, stop_at)

    def _go(
        self,
        take_step: Callable[[Position], Progress],
        on_step: Callable[[Progress], None],
        save_every: float,
        stop_at: int | None,
    ) -> None:
        started = saved = time.monotonic()
        if self.world.first:
            _cut_log(self.folder / LOG, self.position.step)
        if not self.checkpoint.exists():
            self.save()  # a folder that cannot be written is told before a minute's work
        end = self.total_steps if stop_at is None else min(stop_at, self.total_steps)
        with _held_back_interrupts() as pending:
            try:
                while self.position.step < end:
                    progress = replace(self._whole_step(take_step), seconds=time.monotonic() - started)
                    if progress.step % self.log_every == 0 or progress.step == self.total_steps:
                        self._log(progress)
                    on_step(progress)
                    if time.monotonic() - saved > save_every:
                        self.save()
                        saved = time.monotonic()
                    if pending.is_set():
                        raise KeyboardInterrupt
            finally:
                if self._whole:
                    self.save()

    def _whole_step(self, take_step: Callable[[Position], Progress]) -> Progress:
        before = [buffer.detach().clone() for buffer in self.net.buffers()]
        try:
            progress = take_step(self.position)
            _check_finite(progress)
        except BaseException as error:
            # Forward passes have moved the running statistics; the weights have not changed yet.
            with torch.no_grad():
                for buffer, value in zip(self.net.buffers(), before, strict=True):
                    buffer.copy_(value)
            if self.world.size > 1 and is_loss(error):
                raise lost(error) from error
            raise
        self._whole = False
        self.optimizer.step()
        self.position = replace(self.position, step=progress.step, macs=progress.macs)
        self._whole = True
        return progress

    def _log(self, progress: Progress) -> None:
        if not self.world.first:
            return
        facts = asdict(progress)
        del facts["ends_epoch"]
        record = {key: round(value, 5) if isinstance(value, float) else value for key, value in facts.items()}
        record["subnet_losses"] = [round(loss, 5) for loss in progress.subnet_losses]
        with (self.folder / LOG).open("a") as file:
            file.write(json.dumps(record) + "\n")


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. Raises OutputError if another run does."""
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        why = f"{folder} is locked by another process"
        raise OutputError(
            "a run is already in progress in this folder", why, "wait for it, or --out another folder"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _check_finite(progress: Progress) -> None:
    if not math.isfinite(sum(progress.subnet_losses)):
        raise TrainingError(
            "the loss is no longer a finite number",
            f"step {progress.step}, phase '{progress.phase}': {progress.subnet_losses}; the checkpoint is of the step "
            "before",
            "a lower lr, a longer warm-up or clip_norm in the recipe, and another folder with --out",
        )


def _cut_log(path: Path, step: int) -> None:
    """Drop records of steps that the checkpoint does not hold: they will be taken, and logged, again."""
    if path.is_file():
        lines = read_regular(path, LARGEST_MODEL).splitlines(keepends=True)
        kept = [line for line in lines if line.endswith(b"\n") and _step_of(line) <= step]
        if kept != lines:
            write_bytes(path, b"".join(kept))


def _step_of(line: bytes) -> float:
    """Of a record in the log; one that is damaged belongs to none, and is dropped."""
    try:
        return float(parse_json(line)["step"])
    except (ValueError, LookupError, TypeError):
        return math.inf


@contextlib.contextmanager
def _held_back_interrupts() -> Iterator[threading.Event]:
    """SIGINT and SIGTERM set an event, to be looked at between steps; the second SIGINT acts at once."""
    pending = threading.Event()

    def note(number: int, frame: object) -> None:
        if pending.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        pending.set()

    if threading.current_thread() is not threading.main_thread():
        yield pending
        return
    previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield pending
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
