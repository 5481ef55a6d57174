"""A connection to a simulated device: real transfers and work folders, faults, noise and heat, no hardware.

    device = SimDevice(Truth(latency_ms=4.0))
    connection = SimConnection(device, faults=[Fault("disconnect", on="run *litert_runner.py*--latency*", nth=2)])
    measure(connection, request)

See docs/sim.md. `recording` wraps real connections and answers from what they said.
"""

import shlex
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from ofa_edge.device.connections.process import ProcessConnection, run_error
from ofa_edge.device.protocol import Completed, Fingerprint
from ofa_edge.errors import ConfigError, DeviceLostError, DeviceRunError, DeviceTimeoutError
from ofa_edge.testing.faults import FAULT_KINDS, FOR_GOOD, Fault, FaultKind, FaultSchedule
from ofa_edge.testing.sim_device import ModelNoise, Noise, SimDevice, SimSession, SteadyNoise, Thermal, Truth
from ofa_edge.testing.sim_programs import HOST_PROGRAMS, SIM_PYTHON, Answer, run_program, runner_of

__all__ = [
    "FAULT_KINDS",
    "FOR_GOOD",
    "Fault",
    "FaultKind",
    "FaultSchedule",
    "ModelNoise",
    "Noise",
    "SimConnection",
    "SimDevice",
    "SimSession",
    "SteadyNoise",
    "Thermal",
    "Truth",
    "connect",
]

_TRANSFER_TIMEOUT_S = 300.0
_GARBAGE = b"\x1b[31m\x00\xff~@{]\xf0 ... "
_KILLED = -9


class SimConnection(ProcessConnection):
    """The way to a `SimDevice`. Several connections may lead to one device."""

    kind = "sim"

    def __init__(self, device: SimDevice, name: str = "sim", faults: Sequence[Fault] = (), pace: float = 0.0) -> None:
        """Args: device, the name it goes by, what goes wrong, real seconds that a simulated one takes.

        At a pace of 0 nothing waits: a call that hangs ends at once, with its limit over.
        """
        super().__init__(name, python=(SIM_PYTHON,), folder=str(device.folder))
        self.device = device
        self.faults = FaultSchedule(faults)
        self._pace = pace
        self._aborted = threading.Event()

    def fingerprint(self) -> Fingerprint:
        """See `Connection.fingerprint`. A device that pretends to be hardware is found out by its evidence."""
        found = super().fingerprint()
        if found.device_kind == "physical":
            return replace(found, kind_evidence="simulated: it pretends to be hardware because a test asked for that")
        return found

    def _command(
        self, argv: Sequence[str], env: Mapping[str, str], timeout_s: float
    ) -> tuple[list[str], dict[str, str]]:
        del timeout_s
        return list(argv), dict(env)

    def _execute(
        self, command: Sequence[str], environment: Mapping[str, str], timeout_s: float, argv: tuple[str, ...]
    ) -> Completed:
        """Run a program on the simulated device."""

        def act() -> Answer:
            return self._answer(command, environment, timeout_s)

        fault = self._meet(f"run {shlex.join(argv)}", timeout_s, act)
        kind = None if fault is None else fault.kind
        answer = act() if fault is None or kind != "exit" or fault.late else Answer()
        if kind == "exit":
            answer = Answer(1, stderr="simulated: the program failed")
        elif kind == "garbage":
            answer = replace(answer, stdout=(_GARBAGE * 8).decode(errors="replace"))
        elif kind == "truncate":
            answer = replace(answer, stdout=answer.stdout[: len(answer.stdout) // 2])
        if answer.seconds > timeout_s:
            raise self._outlasted(argv[0], timeout_s)
        if self._wait(answer.seconds):
            answer = Answer(_KILLED, stderr="aborted")
        return Completed(argv, answer.code, answer.stdout, answer.stderr, answer.seconds)

    def _answer(self, command: Sequence[str], environment: Mapping[str, str], timeout_s: float) -> Answer:
        name = PurePosixPath(command[0]).name
        runner = runner_of(command)
        if runner is not None and self.device.truth.answers == "real":
            return self._real(command, environment, timeout_s)
        if name in HOST_PROGRAMS or (name == SIM_PYTHON and runner is None):
            return self._host(command, environment, timeout_s)
        return run_program(self.device, command)

    def _real(self, command: Sequence[str], environment: Mapping[str, str], timeout_s: float) -> Answer:
        """The runner really runs here, for its answers; times are the simulated ones."""
        timed = "--latency" in command
        done = self._host(command[: command.index("--latency")] if timed else command, environment, timeout_s)
        if done.code != 0:
            return done
        outputs = Path(command[4 if command[0] == SIM_PYTHON else 3])
        logits = outputs.read_bytes()
        simulated = run_program(self.device, command)
        self.device.store(outputs, logits)
        return simulated if timed else replace(done, seconds=simulated.seconds)

    def _host(self, command: Sequence[str], environment: Mapping[str, str], timeout_s: float) -> Answer:
        """A program of this machine, with nothing of this machine's environment but its search path."""
        program = sys.executable if command[0] == SIM_PYTHON else command[0]
        base = {"PATH": "/usr/bin:/bin", "HOME": str(self.device.root), "LC_ALL": "C.UTF-8"}
        done = super()._execute([program, *command[1:]], {**base, **environment}, timeout_s, tuple(command))
        return Answer(done.returncode, done.stdout, done.stderr, 0.0)

    def _send(self, local: Path, remote: PurePosixPath) -> None:
        self._copy(f"send {remote.name}", Path(remote), lambda: self.device.store(Path(remote), local.read_bytes()))

    def _fetch(self, remote: PurePosixPath, local: Path) -> None:
        self._copy(f"fetch {remote.name}", local, lambda: local.write_bytes(Path(remote).read_bytes()))

    def _copy(self, text: str, copied: Path, act: Callable[[], object]) -> None:
        """Make the file `copied`, or let it go wrong."""

        def copy() -> None:
            try:
                act()
            except OSError as error:
                raise self._copy_failed(f"{copied}: {error.strerror}") from error

        fault = self._meet(text, _TRANSFER_TIMEOUT_S, copy)
        if fault is not None and fault.kind == "exit" and not fault.late:
            raise self._copy_failed("simulated: the copy failed")
        copy()
        if fault is None:
            return
        if fault.kind == "exit":
            raise self._copy_failed("simulated: the copy failed")
        damaged = _GARBAGE if fault.kind == "garbage" else copied.read_bytes()[: copied.stat().st_size // 2]
        copied.write_bytes(damaged)

    def _copy_failed(self, why: str) -> DeviceRunError:
        return run_error(self.name, Completed(("scp",), 1, "", f"scp: {why}", 0.0))

    def _meet(self, text: str, timeout_s: float, act: Callable[[], object]) -> Fault | None:
        """Let strike what strikes the call `text`. Raises where no answer comes, else says what spoils the answer."""
        spoiling: Fault | None = None
        for fault, begins in self.faults.strike(text):
            if fault.kind == "disk-full":
                self.device.disk_full = True
            elif fault.kind == "throttle":
                self.device.throttle()
            elif fault.kind in ("hang", "disconnect", "reboot"):
                self._break_off(fault, begins, text, timeout_s, act)
            else:
                spoiling = spoiling or fault
        return spoiling

    def _break_off(
        self, fault: Fault, begins: bool, text: str, timeout_s: float, act: Callable[[], object]
    ) -> NoReturn:
        """The answer never comes."""
        if fault.late and begins:
            act()
        if fault.kind == "hang":
            self.device.spend(timeout_s)
            self._wait(timeout_s)
            raise self._outlasted(text, timeout_s)
        if fault.kind == "reboot" and begins:
            self.device.reboot()
        raise DeviceLostError(f"no connection to {self.name}", f"simulated: {fault.kind}", "run the same command again")

    def _outlasted(self, what: str, timeout_s: float) -> DeviceTimeoutError:
        return DeviceTimeoutError(
            f"{what} on {self.name} ran past its time limit",
            f"stopped on the device after {timeout_s:g} s",
            "is the device busy? run the same command again",
        )

    def _wait(self, seconds: float) -> bool:
        """Let real time pass at the device's pace; whether `abort` ended it."""
        return self._pace > 0 and self._aborted.wait(seconds * self._pace)

    def abort(self) -> None:
        """See `Connection.abort`."""
        super().abort()
        self._aborted.set()


class OwnSimConnection(SimConnection):
    """A connection to a device that lives as long as it does."""

    def close(self) -> None:
        """Close the connection and remove the device."""
        super().close()
        self.device.remove()


def connect(name: str, options: Mapping[str, Any]) -> OwnSimConnection:
    """A device of `kind = "sim"` in the devices file. Keys: `latency_ms`, `answers`, `classes`, `seed` (see `Truth`).

    It is always "emulated", whatever the table says: nothing in a file makes a simulated device into hardware.

    Raises:
        ConfigError: an unknown key, or a value of another type.
    """
    kinds: dict[str, Any] = {"latency_ms": (int, float), "answers": str, "classes": int, "seed": int}
    wrong = [key for key, value in options.items() if key not in kinds or not isinstance(value, kinds[key])]
    answers = options.get("answers", "made-up")
    if wrong or answers not in ("made-up", "real"):
        raise ConfigError(
            f"simulated device '{name}' does not fit",
            f"devices.{name}.{(wrong or ['answers'])[0]}",
            f"keys: {', '.join(kinds)}; answers is made-up or real",
        )
    return OwnSimConnection(SimDevice(Truth(**options)), name)
