"""Every error a user can meet, in one tree.

Each error has three parts: *what* happened, *why* (or where: file, key, value), and what to *try*. Each class carries
the exit code of the command line.

    OfaEdgeError                     4  a fault of ours where no better class fits
    |-- GateError                    1  a verification gate failed
    |-- UsageError                   2  wrong option, wrong file, wrong name
    |   |-- UnknownNameError            a target, supernet, device or recipe that does not exist
    |   |-- ConfigError                 a target, recipe or device file that does not fit its schema
    |   |-- UnsupportedError            a combination that the hardware or runtime cannot do
    |   |-- BudgetError                 no subnet meets the latency budget
    |   |-- WeightsError                weights that are damaged, foreign or unsafe to load
    |   |-- ModelFileError              a model file that is damaged, or of a kind nobody knows
    |   |-- SpaceMismatchError          a file made for another search space
    |   |-- DataError                   a data folder that does not fit
    |   |-- TrainingError               a recipe with which training diverges
    |   |-- OutputError                 an output folder that is not ours, or cannot be written
    |   `-- ToolMissingError            a program or package that this step needs is not installed
    |-- DeviceError                  3  device or infrastructure: nothing was proved either way
    |   |-- DeviceLostError             the connection broke
    |   |-- DeviceRebootedError         it restarted in the middle: what it measured before and after is not one run
    |   |-- DeviceTimeoutError          a call on the device ran past its time limit
    |   |-- DeviceBusyError             somebody else holds it, or it is not in the state that measuring needs
    |   |-- ThrottledError              it ran hot or short of power, and what it measured then counts for nothing
    |   |-- ImplausibleError            it gave a measurement that cannot be true
    |   `-- DeviceRunError              the program on the device failed
    |       `-- OtherModelError         it ran another model than the one that was sent
    `-- ConversionError              4  export or compilation failed; names the node and the operator
"""

import difflib
from collections.abc import Iterable
from typing import Any

_LONGEST = 4000  # letters of a part: a file can hold one word of megabytes


class OfaEdgeError(Exception):
    """Base of all errors that ofa-edge raises on purpose."""

    exit_code = 4

    def __init__(self, what: str, why: str, hint: str) -> None:
        self.what, self.why, self.hint = (_bounded(part) for part in (what, why, hint))
        super().__init__(self.what)

    def __str__(self) -> str:
        return f"{self.what}\n  {self.why}\n  try: {self.hint}"

    def __reduce__(self) -> tuple[type["OfaEdgeError"], tuple[str, str, str]]:
        # Exception pickles only `args`; errors cross process borders in the device runners.
        return type(self), (self.what, self.why, self.hint)


def _bounded(text: str) -> str:
    """Both ends of a text that is too long to be read."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 + 10 :]}"


class GateError(OfaEdgeError):
    """A verification gate failed."""

    exit_code = 1


class UsageError(OfaEdgeError):
    """The command, an option or a file given by the user is wrong."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that nothing goes by."""

    @classmethod
    def of(cls, kind: str, name: str, known: Iterable[str], hint: str) -> "UnknownNameError":
        """Build the error with the known names nearest to `name`."""
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.4) or names
        return cls(f"unknown {kind} '{name}'", f"nearest: {', '.join(near) or 'none known'}", hint)


class ConfigError(UsageError):
    """A configuration file does not fit its schema."""


class UnsupportedError(UsageError):
    """The hardware or runtime cannot do what was asked for."""


class BudgetError(UsageError):
    """No subnet of the space meets the latency budget."""


class WeightsError(UsageError):
    """Weights are damaged, belong to another network, or are unsafe to load."""


class ModelFileError(UsageError):
    """A model file is damaged, or of no known kind."""


class SpaceMismatchError(UsageError):
    """A file was made for another search space."""


class DataError(UsageError):
    """A data folder does not fit what the command needs."""


class TrainingError(UsageError):
    """With this recipe training diverges."""


class OutputError(UsageError):
    """An output folder is not ours or cannot be written."""


class ToolMissingError(UsageError):
    """A program or package that this step needs is not installed."""


class DeviceError(OfaEdgeError):
    """The device or the way to it failed: nothing was proved either way."""

    exit_code = 3


class DeviceLostError(DeviceError):
    """The connection to the device broke."""


class DeviceRebootedError(DeviceLostError):
    """The device restarted in the middle of a run."""


class DeviceBusyError(DeviceError):
    """Somebody else holds the device, or its state does not allow measuring; `reason` is a code for programs."""

    def __init__(self, what: str, why: str, hint: str, reason: str = "device-busy") -> None:
        super().__init__(what, why, hint)
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.what, self.why, self.hint, self.reason)


class ThrottledError(DeviceError):
    """The device was slowed down by heat or by its power supply while it was measured."""


class ImplausibleError(DeviceError):
    """The device gave a measurement that cannot be true."""


class DeviceTimeoutError(DeviceError):
    """A call on the device ran past its time limit."""


class DeviceRunError(DeviceError):
    """The program on the device failed."""


class OtherModelError(DeviceRunError):
    """The program on the device ran another model than the one that was sent: it says nothing about that one."""


class ConversionError(OfaEdgeError):
    """Export or compilation failed; the message names the node and the operator."""
