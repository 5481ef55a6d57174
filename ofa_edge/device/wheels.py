"""Which wheels there are of what runs on devices: where there is none for a device, no command is told that would fail.

As pip lists them (`pip download -vv --only-binary :all: NAME` names every file): Linux wheels of 64-bit Arm and x86
alone, never of 32-bit Arm, and for musl of NumPy alone. The first row of each distribution is the version that this
project is tested with; those of a runtime stand in its file.
"""

from dataclasses import dataclass

MACHINES = ("aarch64", "x86_64")


@dataclass(frozen=True)
class Wheels:
    """Wheels of one version: CPython from `first` to `last`, glibc `glibc` or newer; musl where `musl`."""

    version: str
    first: tuple[int, int]
    last: tuple[int, int]
    glibc: tuple[int, int]
    musl: bool = False


@dataclass(frozen=True)
class Distribution:
    """A Python package by its name, and its wheels, the newest first; none where nobody knows them."""

    name: str
    wheels: tuple[Wheels, ...] = ()

    def wheel(self, machine: str, python: tuple[int, ...], libc: str, glibc: tuple[int, int] | None) -> str:
        """The newest version with a wheel for such a Python; "" where no wheels are known.

        Args:
            machine: of the Python's program: "aarch64", "armv7l".
            python: its version.
            libc: in words; "" where nobody knows it, and then it is taken to be new enough.
            glibc: its version, where it is glibc.

        Raises:
            LookupError: there is none; says why.
        """
        if not self.wheels:
            return ""
        if machine not in MACHINES:
            raise LookupError(f"no wheel of {self.name} for {machine}; there are some for {' and '.join(MACHINES)}")
        fit = [row for row in self.wheels if row.first <= tuple(python[:2]) <= row.last]
        if not fit:
            ends = min(row.first for row in self.wheels), max(row.last for row in self.wheels)
            words = " to ".join(map(_dotted, ends))
            raise LookupError(f"no wheel of {self.name} for Python {_dotted(python[:2])}; there are some for {words}")
        runs = [row for row in fit if not libc or (row.musl if glibc is None else row.glibc <= glibc)]
        if not runs:
            least = _dotted(min(row.glibc for row in fit))
            raise LookupError(f"no wheel of {self.name} for {libc}; there are some for glibc {least} and newer")
        return runs[0].version


NUMPY = Distribution(
    "numpy",
    (
        Wheels("2.4.6", (3, 11), (3, 14), (2, 27), musl=True),
        Wheels("2.2.6", (3, 10), (3, 13), (2, 17), musl=True),
        Wheels("2.0.2", (3, 9), (3, 12), (2, 17), musl=True),
    ),
)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
