"""Compile an int8 TFLite file with Vela, and read what it says of the outcome.

Vela runs as the program that anybody can run, so that the same command by hand gives the same cycles.
"""

import csv
import io
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ofa_edge.errors import ConversionError
from ofa_edge.export.process import run_module, what_to_try
from ofa_edge.export.vela.options import MODULE, PACKAGE, VelaSystem, vela_version
from ofa_edge.files import copy_file

# Columns of Vela's summary: what they count, and in manifests.
_MEMORIES = {"sram": "SRAM", "dram": "DRAM", "on_chip_flash": "on-chip flash", "off_chip_flash": "off-chip flash"}
_OFF_CHIP = ("DRAM AC", "OnFlash AC", "OffFlash AC")  # access cycles of a layer
_WORDS = 400  # letters of what Vela said last


@dataclass(frozen=True)
class Layer:
    """One operator of the file, in the order in which they run; see `records.npu.NpuLayer`."""

    name: str
    op: str
    cycles: int
    macs: int
    memory_bytes: int
    on_npu: bool
    offchip_cycles: int = 0  # for which it keeps what is not SRAM busy


@dataclass(frozen=True)
class Compiled:
    """What Vela says of one network on one system.

    Attributes:
        cycles: of one inference; `cycles_by`: of the accelerator and of each memory, which overlap.
        macs: multiply-accumulates.
        clock_hz: that the cycles are of.
        read, written, moved: bytes by memory.
        offchip_gbps: 1e9 bytes a second of the memory behind SRAM, at most.
        sram_bytes, storage_bytes: taken: SRAM; flash and DRAM.
        layers: all operators, those on the CPU too.
    """

    cycles: int
    cycles_by: Mapping[str, int]
    macs: int
    clock_hz: float
    read: Mapping[str, int]
    written: Mapping[str, int]
    moved: Mapping[str, int]
    offchip_gbps: float
    sram_bytes: int
    storage_bytes: int
    layers: tuple[Layer, ...]

    @property
    def ms(self) -> float:
        """Milliseconds of the cycles, as if nothing else took time."""
        return 1e3 * self.cycles / self.clock_hz

    @property
    def offchip_bytes(self) -> int:
        """Bytes of one inference to and from what is not SRAM."""
        return sum(moved for memory, moved in self.moved.items() if memory != "SRAM")

    def utilisation(self, macs_per_cycle: int) -> float:
        """MACs as a share of what the accelerator could do in these cycles."""
        return min(1.0, self.macs / (self.cycles * macs_per_cycle))


def compile_int8(network: Path, system: VelaSystem, out: Path | None = None) -> Compiled:
    """Compile an int8 TFLite file.

    Args:
        network: the file.
        system: what for; `check` has passed.
        out: where the compiled file goes, whole or not at all; None: its account alone is wanted.

    Raises:
        ConversionError: Vela refused the file or the configuration; says its words.
    """
    with tempfile.TemporaryDirectory(prefix="ofa-edge-vela-") as folder:
        arguments = [*system.arguments(str(network)), "--output-dir", folder, "--verbose-performance"]
        done = run_module(MODULE, arguments)
        summary = next(Path(folder).glob("*_summary_*.csv"), None)
        compiled = Path(folder) / f"{network.stem}_vela.tflite"
        if done.returncode or summary is None or not compiled.is_file():
            lines = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
            said = next((place for place, line in enumerate(lines) if "Error" in line), len(lines) - 1)
            raise ConversionError(
                f"Vela {vela_version()} did not compile {network.name} for {system.npu.accelerator}",
                " ".join(" ".join(lines[said:]).split())[:_WORDS],
                what_to_try(done, f"check [npu] in the target's file; other versions: pip install '{PACKAGE}'"),
            )
        layers = Path(folder) / f"{network.stem}_per-layer.csv"
        found = read_account(summary.read_text(), layers.read_text() if layers.is_file() else "", system)
        if out is not None:
            copy_file(compiled, out)
    return found


def read_account(summary: str, layers: str, system: VelaSystem) -> Compiled:
    """What Vela wrote of a network.

    Args:
        summary: its table of the whole.
        layers: its table by operator; "" where it wrote none.
        system: that it compiled for.

    Raises:
        ConversionError: they are of another version, or nothing of the network runs on the accelerator.
    """
    try:
        found = _read(summary, layers)
    except (LookupError, ValueError, TypeError, OverflowError, csv.Error) as error:
        raise ConversionError(
            f"what Vela {vela_version()} says of its work cannot be read",
            f"{type(error).__name__}: {error}",
            f"another version of {PACKAGE}: constraints.txt has the one that is tested",
        ) from error
    if found.cycles < 1 or found.clock_hz <= 0:
        what = f"nothing of this network runs on {system.npu.accelerator}"
        raise ConversionError(what, f"Vela counts {found.cycles} cycles", "--target with a CPU")
    return found


def _read(summary: str, layers: str) -> Compiled:
    (row,) = csv.DictReader(io.StringIO(summary))

    def count(column: str) -> int:
        return _count(row[column])

    def kib(column: str) -> int:
        return _count(row[column], 1024)

    used = {each for each in _MEMORIES if count(f"{each}_total_bytes")}

    def moved(how: str) -> dict[str, int]:
        kinds = ("feature_map", "weight")
        return {_MEMORIES[each]: sum(count(f"{each}_{kind}_{how}_bytes") for kind in kinds) for each in sorted(used)}

    return Compiled(
        cycles=count("cycles_total"),
        cycles_by={
            "MAC array": count("cycles_npu"),
            **{_MEMORIES[each]: count(f"cycles_{each}_access") for each in sorted(used)},
        },
        macs=count("nn_macs"),
        clock_hz=float(_count(row["core_clock"])),
        read=moved("read"),
        written=moved("write"),
        moved={_MEMORIES[each]: count(f"{each}_total_bytes") for each in sorted(used)},
        offchip_gbps=max((float(row[f"{each}_bandwidth"]) for each in used - {"sram"}), default=0.0) * 2**30 / 1e9,
        sram_bytes=kib("sram_memory_used"),
        storage_bytes=sum(kib(f"{each}_memory_used") for each in _MEMORIES if each != "sram"),
        layers=tuple(_layers(layers)),
    )


def _count(text: str, unit: int = 1) -> int:
    """A figure of Vela's tables, in ones. Raises ValueError or OverflowError for one that counts nothing."""
    found = round(unit * float(text))
    if found < 0:
        raise ValueError(f"{text} is below 0")
    return found


def _layers(text: str) -> Iterator[Layer]:
    lines = text.splitlines()
    if not lines:
        return
    columns = next(csv.reader(lines[:1]))
    last = len(columns) - 1  # the name, which may hold commas: Vela writes it without quotes
    for line in lines[1:]:
        row = dict(zip(columns, line.split(",", last), strict=True))
        yield Layer(
            name=row["Name"],
            op=row["Original Operator"],
            cycles=_count(row["Op Cycles"]),
            macs=_count(row["MAC Count"]),
            memory_bytes=_count(row["Staging Usage"]),
            on_npu=row["Target"] == "NPU",
            offchip_cycles=round(sum(float(row[column]) for column in _OFF_CHIP)),
        )
