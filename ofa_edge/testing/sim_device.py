"""A device that does not exist: what is true of it, its files, its clock, its heat, and the programs that it has.

Its files are real ones in a temporary folder, so that real programs can work on them where a test wants that. What it
says about itself (`/proc`, `/sys`, `/etc`) is its own: nothing of this machine is shown. Time is simulated: a run of a
minute takes no time here unless `pace` asks for it.
"""

import hashlib
import math
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ofa_edge.device.connections.fingerprint import MARKER
from ofa_edge.testing.noise import NoiseModel, simulate

Answers = Callable[[Path, NDArray[np.float32]], NDArray[np.float32]]
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_THERMAL = "/sys/class/thermal/thermal_zone0/temp"
_CPUFREQ = "/sys/devices/system/cpu/cpufreq/policy0"
_THROTTLED_NOW, _THROTTLED_EVER = 0x4, 0x40000  # of `vcgencmd get_throttled`
_MADE_UP_FEATURES = 256


class Noise(Protocol):
    """How the latency of one session wanders about the truth."""

    def session(self, runs: int, random: np.random.Generator) -> NDArray[np.float64]:
        """Factors [runs] on the true latency of a session's timed runs."""


@dataclass(frozen=True)
class SteadyNoise:
    """Each run a little off, log-normal, with the given standard deviation of the logarithm."""

    spread: float = 0.01

    def session(self, runs: int, random: np.random.Generator) -> NDArray[np.float64]:
        """See `Noise`."""
        return np.asarray(np.exp(random.normal(0.0, self.spread, runs)), np.float64)


class ModelNoise:
    """Sessions that wander as one of the models of `noise` says, night after night; within one, as `SteadyNoise`."""

    def __init__(self, model: NoiseModel, nights: int = 100, sessions: int = 16, seed: int = 0) -> None:
        """Args: model, nights before they begin again, sessions of a night, seed."""
        factors = simulate(model, nights, sessions, seed, runs=1).factors.reshape(-1)
        self._factors = factors[np.isfinite(factors)]  # an invalid session is a fault's affair
        self._next = 0

    def session(self, runs: int, random: np.random.Generator) -> NDArray[np.float64]:
        """See `Noise`."""
        factor = float(self._factors[self._next % len(self._factors)])
        self._next += 1
        return factor * SteadyNoise().session(runs, random)


@dataclass(frozen=True)
class Thermal:
    """Heat of one node: it goes from its temperature to `ambient_c + rise_c` under load, and back at rest.

    Above `limit_c` the device slows down by `slowdown`.
    """

    ambient_c: float = 40.0
    rise_c: float = 20.0
    time_constant_s: float = 60.0
    limit_c: float = 80.0
    slowdown: float = 1.5


@dataclass(frozen=True)
class Truth:
    """What is true of a simulated device.

    Attributes:
        latency_ms: of one inference, by the SHA-256 of the artifact; or the same for every artifact.
        noise: about it.
        load_ms: of loading an artifact.
        memory_bytes: peak of the process that runs it.
        answers: "made-up" logits (the same for the same artifact and images, on every machine), "real" ones (the runner
            really runs the artifact on this machine; only its times are simulated), or a function from the artifact's
            file and images [N, C, H, W] (TVM) or [N, H, W, C] (LiteRT) to float32 logits [N, classes].
        classes: logits of made-up answers.
        thermal: how it heats up.
        disk_bytes: room for files; None for no limit.
        cpu_part: ARM's part number of its cores, as /proc/cpuinfo gives it.
        cores: processors.
        model: the board that the device tree names.
        files: further system files that it has, or that replace these, by absolute path.
        seed: of all that is random about it.
    """

    latency_ms: float | Mapping[str, float] = 5.0
    noise: Noise = field(default_factory=SteadyNoise)
    load_ms: float = 20.0
    memory_bytes: int = 24_000_000
    answers: Literal["made-up", "real"] | Answers = "made-up"
    classes: int = 10
    thermal: Thermal = field(default_factory=Thermal)
    disk_bytes: int | None = None
    cpu_part: int = 0xD08
    cores: int = 4
    model: str = "Raspberry Pi 4 Model B (simulated)"
    files: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True)
class SimSession:
    """What one timed process on the device measured, and in which boot."""

    boot_id: str
    samples_ns: tuple[int, ...]


class SimDevice:
    """A simulated device. It outlives the connections to it, as a board does; `remove` it when done."""

    def __init__(self, truth: Truth | None = None, *, pretend_physical: bool = False) -> None:
        """Args: what is true of it; whether it claims to be hardware.

        A simulated device is "emulated": it can pass no latency gate and fill no latency table. Only a test that calls
        this with `pretend_physical=True` gets one that claims hardware; no file and no command can ask for it, and its
        fingerprint says so (`kind_evidence`).
        """
        self.truth = truth or Truth()
        self.pretend_physical = pretend_physical
        self.random = np.random.default_rng(self.truth.seed)
        self.root = Path(tempfile.mkdtemp(prefix="ofa-sim-"))
        self.folder = self.root / "tmp"
        self.folder.mkdir()
        self.clock_s = 0.0
        self.temperature_c = self.truth.thermal.ambient_c
        self.disk_full = False
        self.sessions: list[SimSession] = []  # all that ever ran, to see that no measurement joins two
        self._boots = 0
        self._slowed = False
        self._throttled = 0
        self._lock = threading.RLock()

    @property
    def boot_id(self) -> str:
        """A new one after each `reboot`."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.truth.seed}/{self._boots}"))

    @property
    def throttled(self) -> int:
        """The bits of `vcgencmd get_throttled`: slowed down now (bit 2), and since it was started (bit 18)."""
        return self._throttled

    def now(self) -> float:
        """Its clock, in seconds since 1970: this machine's, and the simulated time that has passed."""
        return time.time() + self.clock_s

    def reboot(self, keep_files: bool = True) -> None:
        """Start anew: another boot id, cool, no longer throttled; on boards whose /tmp is in memory no files."""
        with self._lock:
            self._boots += 1
            self._slowed, self._throttled = False, 0
            self.temperature_c = self.truth.thermal.ambient_c
            if not keep_files:
                for path in self.folder.iterdir():
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    def throttle(self) -> None:
        """From now on it is too hot: slow, and it says so."""
        with self._lock:
            self._slowed = True
            self._throttled |= _THROTTLED_NOW | _THROTTLED_EVER
            self.temperature_c = max(self.temperature_c, self.truth.thermal.limit_c)

    def recover(self) -> None:
        """Put right what faults did to it: room on its disk, and a restart where it had run hot."""
        self.disk_full = False
        if self._throttled:
            self.reboot()

    def spend(self, seconds: float, load: float = 0.0) -> None:
        """Let simulated time pass, working (1) or at rest (0)."""
        with self._lock:
            heat = self.truth.thermal
            goal = heat.ambient_c + load * heat.rise_c
            self.clock_s += seconds
            self.temperature_c = goal + (self.temperature_c - goal) * math.exp(-seconds / heat.time_constant_s)
            if self.temperature_c > heat.limit_c:
                self._throttled |= _THROTTLED_NOW | _THROTTLED_EVER
            elif not self._slowed:
                self._throttled &= ~_THROTTLED_NOW

    def latency_ms(self, artifact: Path) -> float:
        """The truth about this artifact now: throttling is in it, noise is not."""
        with self._lock:
            given = self.truth.latency_ms
            truth = given if isinstance(given, float | int) else given[_digest(artifact)]
            return truth * (self.truth.thermal.slowdown if self._throttled & _THROTTLED_NOW else 1.0)

    def tick(self, ms: int) -> list[Any]:
        """What a runner's watch sees: its own milliseconds, thousandths of a degree, clocks, their ceilings."""
        clock = 600_000 if self._throttled & _THROTTLED_NOW else 1_500_000
        return [ms, round(self.temperature_c * 1000), [clock], [1_500_000]]

    def session_ns(self, artifact: Path, runs: int) -> list[int]:
        """Nanoseconds of the timed runs of one session."""
        with self._lock:
            factors = self.truth.noise.session(runs, self.random)
            samples = [max(1, round(self.latency_ms(artifact) * 1e6 * float(factor))) for factor in factors]
            self.sessions.append(SimSession(self.boot_id, tuple(samples)))
            return samples

    def answer(self, artifact: Path, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits [N, classes] that are not computed by the artifact."""
        if callable(self.truth.answers):
            return self.truth.answers(artifact, images)
        flat = images.reshape(len(images), -1)
        flat = flat[:, :: max(1, flat.shape[1] // _MADE_UP_FEATURES)]
        seed = int(_digest(artifact)[:16], 16)
        weights = np.random.default_rng(seed).normal(size=(flat.shape[1], self.truth.classes))
        return np.asarray(flat @ weights / math.sqrt(flat.shape[1]), np.float32)

    def system_files(self) -> dict[str, str]:
        """What it says about itself, by absolute path."""
        processor = f"CPU implementer\t: 0x41\nCPU part\t: {self.truth.cpu_part:#x}\n"
        files = {
            "/proc/cpuinfo": "".join(f"processor\t: {core}\n{processor}\n" for core in range(self.truth.cores)),
            _BOOT_ID: f"{self.boot_id}\n",
            "/etc/os-release": 'PRETTY_NAME="Simulated Linux"\n',
            "/proc/device-tree/model": self.truth.model,
            _THERMAL: f"{round(self.temperature_c * 1000)}\n",
            "/sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
            "/proc/uptime": f"{1000 + self.clock_s:.2f} 100.00\n",
            "/proc/loadavg": "0.05 0.04 0.01 1/100 1000\n",
            "/sys/devices/system/cpu/online": f"0-{self.truth.cores - 1}\n",
            "/sys/devices/system/cpu/present": f"0-{self.truth.cores - 1}\n",
            f"{_CPUFREQ}/scaling_governor": "performance\n",
            f"{_CPUFREQ}/scaling_cur_freq": "600000\n" if self._throttled & _THROTTLED_NOW else "1500000\n",
            f"{_CPUFREQ}/scaling_max_freq": "1500000\n",
            f"{_CPUFREQ}/cpuinfo_max_freq": "1500000\n",
        }
        marker = {} if self.pretend_physical else {MARKER: "emulated\n"}
        return {**files, **self.truth.files, **marker}

    def room(self) -> int | None:
        """Bytes that still fit; None for no limit."""
        if self.disk_full:
            return 0
        if self.truth.disk_bytes is None:
            return None
        used = sum(path.stat().st_size for path in self.root.rglob("*") if path.is_file())
        return max(0, self.truth.disk_bytes - used)

    def store(self, path: Path, data: bytes) -> None:
        """Write a file, as far as there is room.

        Raises:
            OSError: the disk is full (a part of it was written), or there is no such folder.
        """
        with self._lock:
            path.unlink(missing_ok=True)
            room = self.room()
            fits = data if room is None else data[:room]
            path.write_bytes(fits)
            if len(fits) < len(data):
                raise OSError(28, "No space left on device", str(path))

    def left_behind(self) -> list[str]:
        """Names in the folder where private folders are made: none, after a run that cleaned up."""
        return sorted(path.name for path in self.folder.iterdir())

    def remove(self) -> None:
        """Take its files off this machine."""
        shutil.rmtree(self.root, ignore_errors=True)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
