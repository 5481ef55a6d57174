"""The accelerators that a co-design chooses among: a file's, or Arm's series."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from ofa_edge.errors import ConfigError
from ofa_edge.export.vela.options import check_accelerator
from ofa_edge.files import bounded_text, parse_toml
from ofa_edge.names import PlainName
from ofa_edge.schema import Strict, changed, validated
from ofa_edge.target_schema import Npu
from ofa_edge.targets import Target, load_target

_PROTOTYPE = "ethos-u55-128"  # whose runtime compiles for all of them
_EMBEDDED = ("Ethos_U55_High_End_Embedded", "Shared_Sram", 4 << 20)
_CACHED = 384 << 10  # bytes of SRAM in the memory mode of the same name
_SYSTEMS = {
    **{f"u55-{macs}": _EMBEDDED for macs in (32, 64, 128, 256)},
    **{f"u65-{macs}": ("Ethos_U65_High_End", "Dedicated_Sram_384KB", _CACHED) for macs in (256, 512)},
    **{f"u85-{macs}": ("Ethos_U85_SYS_DRAM_Mid", "Dedicated_Sram_384KB", _CACHED) for macs in (128, 256, 512, 1024)},
}


class _File(Strict):
    accelerators: dict[PlainName, Npu] = Field(min_length=1, max_length=64)


@dataclass(frozen=True)
class Accelerator:
    """One that may be chosen: its name, and a target that has it."""

    name: str
    target: Target

    @property
    def npu(self) -> Npu:
        """What its compiler is told."""
        assert self.target.npu is not None
        return self.target.npu

    @property
    def macs_per_cycle(self) -> int:
        """What stands for its cost: multipliers take most of an array's area."""
        return self.npu.macs_per_cycle


def read_accelerators(
    given: str | None, most_macs: int | None = None, most_sram: int | None = None
) -> list[Accelerator]:
    """The accelerators of a file, or all of Arm's, within limits.

    Args:
        given: a TOML file with a table `[accelerators.NAME]` for each, as a target's `[npu]`; None, or the name of the
            runtime that compiles for them: all of Arm's.
        most_macs: a cycle.
        most_sram: bytes.

    Raises:
        ConfigError: the file cannot be read or does not fit its schema, or no accelerator is within the limits.
    """
    base = load_target(_PROTOTYPE)
    if given is None or given == base.runtime.kind:
        found = {
            f"ethos-{name}": Npu(
                accelerator=f"ethos-{name}",
                config="Arm/vela.ini",
                system_config=system,
                memory_mode=mode,
                sram_bytes=sram,
            )
            for name, (system, mode, sram) in _SYSTEMS.items()
        }
    else:
        found = _read(Path(given))
        base = changed(base, path=Path(given).resolve())  # a configuration file lies beside it
    chosen = [
        each
        for each in (Accelerator(name, changed(base, name=name, npu=npu)) for name, npu in found.items())
        if (most_macs is None or each.macs_per_cycle <= most_macs)
        and (most_sram is None or each.npu.sram_bytes <= most_sram)
    ]
    if not chosen:
        least = min(npu.macs_per_cycle for npu in found.values())
        smallest = min(npu.sram_bytes for npu in found.values())
        raise ConfigError(
            "no accelerator is within the limits",
            f"the smallest of {len(found)} have {least} MACs a cycle and {smallest:,} bytes of SRAM",
            "larger --macs or --sram",
        )
    return chosen


def _read(path: Path) -> dict[str, Npu]:
    try:
        raw = parse_toml(bounded_text(path))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"cannot read accelerators from {path.name}",
            f"{path}: {error}",
            "--accelerators with a TOML file; all of Arm's without it",
        ) from error
    hint = "each [accelerators.NAME] has the keys of [npu]: ofa-edge targets show ethos-u55-128"
    found = dict(validated(_File, raw, f"accelerators file {path.name}", path, hint).accelerators)
    for npu in found.values():
        check_accelerator(npu.accelerator, str(path))
    return found
