"""Faults of a simulated device: which call they strike, what happens, how long it lasts."""

import fnmatch
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from ofa_edge.errors import UsageError

FaultKind = Literal["hang", "disconnect", "exit", "garbage", "truncate", "reboot", "disk-full", "throttle"]
FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
FOR_GOOD = 1_000_000_000  # calls
_LASTS: dict[FaultKind, int] = {"disk-full": FOR_GOOD, "throttle": FOR_GOOD, "reboot": 2}  # the others: one call


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        kind: `hang` (no answer within the call's limit), `disconnect`, `exit` (a non-zero exit status), `garbage`
            (bytes that nobody sent), `truncate` (half of the file, or of what the program printed), `reboot`,
            `disk-full`, `throttle`.
        on: which calls, a glob over their text: `run uname -srm`, `send model.tflite.part`, `fetch outputs-0.npy`.
            Programs are matched by `run *litert_runner.py*--latency*`.
        nth: which of the calls that match, from 0.
        late: the device did what it was asked to, and only the answer is missing (hang, disconnect, reboot).
        calls: how many calls it strikes, the first and those that follow it, whatever they are; None for what is usual:
            one, two for a reboot, for good for a full disk and for throttling.

    Raises:
        UsageError: a kind that does not exist, a negative count.
    """

    kind: FaultKind
    on: str = "*"
    nth: int = 0
    late: bool = False
    calls: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in FAULT_KINDS:
            raise UsageError(f"no fault '{self.kind}'", "the kind of a simulated fault", ", ".join(FAULT_KINDS))
        if self.nth < 0 or (self.calls is not None and self.calls < 1):
            raise UsageError(f"not a schedule: {self}", "nth counts from 0, calls from 1", "Fault('hang', nth=2)")

    @property
    def lasts(self) -> int:
        """Calls that it strikes."""
        return _LASTS.get(self.kind, 1) if self.calls is None else self.calls


@dataclass
class _Due:
    """A fault and the calls that it lets pass, or still strikes."""

    fault: Fault
    calls: int


class FaultSchedule:
    """Says for each call in turn what strikes it. Calls may come from several threads."""

    def __init__(self, faults: Sequence[Fault] = ()) -> None:
        """Args: faults, each striking once."""
        self._waiting = [_Due(fault, fault.nth) for fault in faults]
        self._active: list[_Due] = []
        self._lock = threading.Lock()
        self.calls: list[str] = []  # the text of all calls, to see what a schedule can be written against

    def strike(self, text: str) -> tuple[tuple[Fault, bool], ...]:
        """What strikes the call `text`, oldest first, and whether it begins with this call."""
        with self._lock:
            self.calls.append(text)
            matching = [due for due in self._waiting if fnmatch.fnmatchcase(text, due.fault.on)]
            begun = [due for due in matching if due.calls == 0]
            for due in matching:
                due.calls -= 1
            self._waiting = [due for due in self._waiting if due not in begun]
            self._active += [_Due(due.fault, due.fault.lasts) for due in begun]
            found = tuple((due.fault, due.calls == due.fault.lasts) for due in self._active)
            for due in self._active:
                due.calls -= 1
            self._active = [due for due in self._active if due.calls > 0]
            return found

    @property
    def struck(self) -> bool:
        """Whether every fault has had its call."""
        return not self._waiting

    def end(self) -> None:
        """Nothing goes wrong from now on."""
        with self._lock:
            self._waiting, self._active = [], []
