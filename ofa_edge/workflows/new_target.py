"""A target for another board, made from the nearest that there is."""

import json
from pathlib import Path

from ofa_edge.errors import ConfigError, UnsupportedError
from ofa_edge.files import write_bytes
from ofa_edge.latency.carried import Board, Figures, carried_over, hardware_of
from ofa_edge.latency.target_file import RunsAs, check_name, write_target
from ofa_edge.schema import changed
from ofa_edge.target_schema import Emulation, Hardware, Identity
from ofa_edge.targets import Target, load_target
from ofa_edge.vocabulary import numbers

# Multiply-accumulates of a core in a cycle, in fp32: lanes of its FMLA pipes (Arm's software optimization guides).
_A_CYCLE = {
    **dict.fromkeys(
        ("cortex-a35", "cortex-a53", "cortex-a55", "cortex-a57", "cortex-a72", "cortex-a73", "cortex-a75"), 4
    ),
    **dict.fromkeys(("cortex-a76", "cortex-a77", "cortex-a78", "cortex-a78ae", "cortex-a78c", "neoverse-n1"), 8),
    "cortex-x1": 16,
}
_EMULATED = ("cortex-a53", "cortex-a55", "cortex-a57", "cortex-a72", "cortex-a76", "neoverse-n1")  # that qemu has


def known_figures(
    cpu: str | None = None,
    cores: int | None = None,
    clock_ghz: float | None = None,
    peak_gmacs: float | None = None,
    memory_gbps: float | None = None,
) -> Figures:
    """What is known of a board; the peak from cores and clock, where it is not given and the core is a known one."""
    if peak_gmacs is None and cores and clock_ghz and cpu in _A_CYCLE:
        peak_gmacs = cores * clock_ghz * _A_CYCLE[cpu]
    return Figures(cpu, cores, peak_gmacs, memory_gbps)


def new_target(name: str, like: str, figures: Figures, folder: Path, description: str | None = None) -> Path:
    """Write `folder/NAME.toml` and `NAME.latency.json`; return the target file.

    What says how boards of the other target are known stays behind, and so does what it cannot do.

    Args:
        name: of the new target.
        like: the nearest one.
        figures: what is known of the new board.
        folder: made where it is missing.
        description: of the board, in words.

    Raises:
        ConfigError: a bad name, one that is taken in the folder, or figures that no board has.
        UnsupportedError: the other target computes on a GPU, or its latency model is of measurements.
    """
    check_name(name)
    base = load_target(like)
    if base.hardware.gpu is not None or base.at_hand:
        raise UnsupportedError(
            f"{base.name} is no board to start from",
            f"{base.path}: " + ("what it computes on is a GPU" if base.hardware.gpu else "it is the machine at hand"),
            "--like raspberry-pi-4, or copy its files and change them",
        )
    path, latency = folder / f"{name}.toml", f"{name}.latency.json"
    if path.exists():
        raise ConfigError(f"{path} is there already", "a target is not overwritten", "another NAME, or remove it")
    hardware = hardware_of(figures, base.hardware)
    threads = min(base.runtime.threads, hardware.cores)
    words = description or f"{name}, {figures.cores or 'unknown'} cores, {figures.cpu or 'of an unknown kind'}"
    file = carried_over(base, Board(words, hardware, threads), figures)
    folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps(file.model_dump(mode="json", by_alias=True), indent=1)
    write_bytes(folder / latency, (content + "\n").encode())
    first, *others = _precisions(base, half_sums=hardware.peak_gmacs_fp16 is not None)
    runs = RunsAs(base.runtime.kind, first, threads, further=tuple(others))
    write_target(path, _moved(base, hardware, figures.cpu, words), words, runs, latency)
    return path


def _precisions(base: Target, *, half_sums: bool) -> list[str]:
    """The default first; without sums in half precision where the core is not known to have them."""
    able = [each for each in base.runtime.precisions if half_sums or not numbers(each).half_sums]
    return sorted(able, key=lambda each: each != base.defaults.precision)


def _moved(base: Target, hardware: Hardware, cpu: str | None, words: str) -> Target:
    same = cpu in (None, base.hardware.cpu)
    emulation = base.emulation if same else Emulation(cpu=str(cpu)) if cpu in _EMULATED else None
    identity = Identity(cpus=(cpu,)) if cpu is not None else Identity(models=(words,))  # no board of the other's
    return changed(base, hardware=hardware, emulation=emulation, identity=identity, sustained=None)
