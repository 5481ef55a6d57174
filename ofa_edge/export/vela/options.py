"""What Vela has to know of a system, checked before it runs: accelerator, configuration file, and its sections."""

import configparser
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from ofa_edge.errors import ConfigError, UnknownNameError
from ofa_edge.files import bounded_text, sha256_file
from ofa_edge.target_schema import Npu

PACKAGE = "ethos-u-vela"
MODULE = "ethosu.vela"
# As `vela --accelerator-config` lists them; the number is 8-bit MACs a cycle.
ACCELERATORS = (
    *(f"ethos-u55-{macs}" for macs in (32, 64, 128, 256)),
    *(f"ethos-u65-{macs}" for macs in (256, 512)),
    *(f"ethos-u85-{macs}" for macs in (128, 256, 512, 1024, 2048)),
)
_LARGEST = 1 << 20  # bytes of a configuration file; Vela's own has 8,000


def vela_version() -> str:
    """The installed version: what cycle counts hold for."""
    return metadata.version(PACKAGE)


def check_accelerator(name: str, where: str) -> None:
    """Raise UnknownNameError for one that Vela does not know."""
    if name not in ACCELERATORS:
        raise UnknownNameError.of("accelerator", name, ACCELERATORS, f"correct [npu] accelerator in {where}")


@dataclass(frozen=True)
class VelaSystem:
    """A system as Vela compiles for it: one accelerator, and the memories around it.

    Attributes:
        npu: as a target's file gives it.
        folder: where a configuration file of the target's own would lie.
    """

    npu: Npu
    folder: Path

    @property
    def macs_per_cycle(self) -> int:
        """8-bit multiply-accumulates, at most."""
        return self.npu.macs_per_cycle

    @cached_property
    def config(self) -> Path:
        """The configuration file: beside the target's, or one that comes with Vela.

        Raises:
            ConfigError: there is none.
        """
        spec = find_spec(MODULE)
        own = self.folder / self.npu.config
        if own.is_file():
            return own
        if spec is not None and spec.origin is not None:
            shipped = Path(spec.origin).parents[1] / "config_files" / self.npu.config
            if shipped.is_file():
                return shipped
        raise ConfigError(
            f"no Vela configuration file '{self.npu.config}'",
            f"neither in {self.folder} nor among those of {PACKAGE}",
            'config = "Arm/vela.ini" in [npu] names the one that comes with Vela',
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the configuration file."""
        return sha256_file(self.config)

    def check(self) -> None:
        """Raise, before any work, for what Vela would refuse or misread.

        Raises:
            ConfigError: the configuration file cannot be read, or lacks what it has to say.
            UnknownNameError: it has no such section; gives the nearest.
        """
        check_accelerator(self.npu.accelerator, "the target's file")
        parser = self._parsed()
        for kind, name in (("System_Config", self.npu.system_config), ("Memory_Mode", self.npu.memory_mode)):
            known = [each.partition(".")[2] for each in parser.sections() if each.startswith(f"{kind}.")]
            if name not in known:
                words = f"correct [npu] {kind.lower()}; {self.config.name} has these sections"
                raise UnknownNameError.of(kind.lower().replace("_", " "), name, known, words)
        series = self.npu.accelerator.split("-")[1].upper()
        named = {each for each in ("U55", "U65", "U85") if f"_{each}_" in self.npu.system_config}
        if named and series not in named:  # Vela compiles it without a word
            raise ConfigError(
                f"system configuration {self.npu.system_config} is not of an {self.npu.accelerator}",
                f"its name says Ethos-{named.pop()}",
                f"one of: {', '.join(each.partition('.')[2] for each in parser.sections() if f'_{series}_' in each)}",
            )
        _ = self.clock_hz  # read, so that what is missing is said now

    @property
    def clock_hz(self) -> float:
        """Of the accelerator. Raises ConfigError."""
        section, text = f"System_Config.{self.npu.system_config}", ""
        try:
            text = self._value(section, "core_clock")
            clock = float(text)
        except ValueError:
            clock = 0.0
        except configparser.Error as error:
            raise self._refused(" ".join(str(error).split())) from error
        if not 1e3 <= clock <= 1e11:
            raise self._refused(f"[{section}] core_clock = {text or 'nothing'}")
        return clock

    def _value(self, section: str, key: str) -> str:
        """A key of a section or of those that it inherits from, as Vela resolves it; "" where there is none."""
        parser = self._parsed()
        for _ in parser.sections():  # no more steps than sections: a circle ends
            if not parser.has_section(section) or parser.has_option(section, key):
                break
            section = parser.get(section, "inherit", fallback="")
        return parser.get(section, key, fallback="")

    def facts(self) -> dict[str, object]:
        """What cycles depend on besides the network: for keys of the cache."""
        return {**self.npu.model_dump(exclude={"config", "storage_bytes"}), "config": self.digest}

    def command(self, network: str) -> tuple[str, ...]:
        """The program with its arguments, as anybody would run it on a network's file."""
        return ("vela", *self.arguments(network, self.npu.config))

    def arguments(self, network: str, config: str | None = None) -> tuple[str, ...]:
        """Of the program, but for where it writes to; `config` names the configuration in another way."""
        npu = self.npu
        return (
            *(network, "--accelerator-config", npu.accelerator, "--config", config or str(self.config)),
            *("--system-config", npu.system_config, "--memory-mode", npu.memory_mode),
            *("--arena-cache-size", str(npu.sram_bytes)),
        )

    def _parsed(self) -> configparser.ConfigParser:
        parser = configparser.ConfigParser()
        try:
            parser.read_string(bounded_text(self.config, _LARGEST))
        except (OSError, UnicodeDecodeError, configparser.Error) as error:
            raise self._refused(" ".join(str(error).split())) from error
        return parser

    def _refused(self, why: str) -> ConfigError:
        hint = 'correct it; config = "Arm/vela.ini" in [npu] names the one that comes with Vela'
        return ConfigError(f"cannot use the Vela configuration file {self.config.name}", f"{self.config}: {why}", hint)
