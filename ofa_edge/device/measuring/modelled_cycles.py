"""Cycles that a model of a core gives one inference under emulation: a signal to compare builds by, never a time.

The counting plugin says how often each block of code ran and how many lines of memory the caches missed
(`_qemu/insncount.c`). LLVM's scheduling model of the core says what a block takes when all it loads is in the nearest
cache (`llvm-mca`; a block is taken as a loop of itself). A missed line adds what it takes on boards.

`MISSED_LINE` was fitted to published times of 75 networks on a Raspberry Pi 4, by `benchmarks/modelled_cycles.py`;
docs/benchmarks/modelled_cycles.md says how well it ranks networks of a family that was held out. What hits the second
cache got no weight there. No published times of other cores tell whether it holds for them: they have no model.
"""

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ofa_edge.device.protocol import ModelledCycles
from ofa_edge.errors import DeviceRunError, ToolMissingError

CORES = ("cortex-a72",)
MISSED_LINE = 141  # cycles
_COVERED = 0.99  # of the instructions: the rest takes as long a piece
_PASSES = 100  # of each block
_TIMEOUT_S = 300.0
_TRIPLE = "aarch64-linux-gnu"
_EVERYTHING = "-mattr=+all"
_DIGITS = 8  # hexadecimal ones, an instruction


@dataclass(frozen=True)
class BlockCounts:
    """What one inference ran and missed, without what the marks around it cost.

    Attributes:
        blocks: how often each block ran, by its code: 8 hexadecimal digits an instruction.
        l1_misses: lines of 64 bytes that were not in the first cache.
        l2_misses: those of them that were not in the second either.
    """

    blocks: Mapping[str, int]
    l1_misses: int
    l2_misses: int

    @property
    def instructions(self) -> int:
        """All that ran."""
        return sum(count * _length(code) for code, count in self.blocks.items())

    def hot(self) -> dict[str, int]:
        """The fewest blocks that make up 99 % of the instructions."""
        left, found = _COVERED * self.instructions, {}
        for code, count in sorted(self.blocks.items(), key=lambda item: (-item[1] * len(item[0]), item[0])):
            if left <= 0:
                break
            found[code] = count
            left -= count * _length(code)
        return found


def _length(code: str) -> int:
    return len(code) // _DIGITS


def read_blocks(text: str) -> BlockCounts:
    """The plugin's lines.

    Raises:
        DeviceRunError: they are not whole.
    """
    misses = re.findall(r"^MISSES ([0-9]{1,18}) ([0-9]{1,18}) ([0-9]{1,18}) ([0-9]{1,18})$", text, re.MULTILINE)
    if len(misses) != 1:
        raise DeviceRunError("no blocks were counted", "the plugin did not end", "run the same command again")
    l1, l2, l1_marks, l2_marks = map(int, misses[0])
    counts: Counter[str] = Counter()
    for run, marks, code in re.findall(r"^BLOCK ([0-9]{1,18}) ([0-9]{1,18}) ([0-9a-f]+)$", text, re.MULTILINE):
        counts[code] += int(run) - int(marks)
    return BlockCounts({code: n for code, n in counts.items() if n > 0}, max(0, l1 - l1_marks), max(0, l2 - l2_marks))


@dataclass(frozen=True)
class CoreModel:
    """LLVM's model of one core."""

    mca: Path
    mc: Path
    core: str
    version: str

    @property
    def name(self) -> str:
        """What has to be the same for two figures to be compared."""
        return f"{self.version}, {self.core}, {MISSED_LINE} cycles a missed line"

    def cycles(self, counts: BlockCounts) -> ModelledCycles:
        """The cycles of one inference.

        Raises:
            DeviceRunError: LLVM does not know an instruction, or fails.
        """
        hot = counts.hot()
        if not hot:
            raise DeviceRunError("no cycles were modelled", "no block ran", "run the same command again")
        covered = sum(count * _length(code) for code, count in hot.items())
        each = self.block_cycles(list(hot))
        core = sum(count * each[code] for code, count in hot.items()) * counts.instructions / covered
        total = round(core + MISSED_LINE * counts.l2_misses)
        return ModelledCycles(total, round(core), counts.l2_misses, self.name)

    def block_cycles(self, codes: Sequence[str]) -> dict[str, float]:
        """Cycles of one pass of each block, when passes follow each other and every load hits the first cache.

        Raises:
            DeviceRunError: see `cycles`.
        """
        lines = self._disassembled(codes)
        regions = []
        for code in codes:
            regions += ["# LLVM-MCA-BEGIN", *lines[: _length(code)], "# LLVM-MCA-END"]
            del lines[: _length(code)]
        options = [f"-mtriple={_TRIPLE}", f"-mcpu={self.core}", _EVERYTHING, f"-iterations={_PASSES}", "-json"]
        try:
            summaries = [
                region["SummaryView"] for region in json.loads(_said([str(self.mca), *options], regions))["CodeRegions"]
            ]
            taken = [float(each["TotalCycles"]) / _PASSES for each in summaries]
        except (ValueError, KeyError, TypeError) as error:
            raise _no_cycles(f"{self.mca.name} of {self.version} answers otherwise than that of LLVM 14") from error
        if len(taken) != len(codes):
            raise _no_cycles(f"{len(codes)} blocks, {len(taken)} answers")
        return dict(zip(codes, taken, strict=True))

    def _disassembled(self, codes: Sequence[str]) -> list[str]:
        """One line of assembly for each instruction of all blocks."""
        words = re.findall(f".{{{_DIGITS}}}", "".join(codes))
        as_bytes = [" ".join(f"0x{word[at : at + 2]}" for at in (6, 4, 2, 0)) for word in words]
        said = _said([str(self.mc), "--disassemble", f"-triple={_TRIPLE}", _EVERYTHING], as_bytes).splitlines()
        lines = [line for line in (each.partition("//")[0].strip() for each in said) if line and line[0] != "."]
        if len(lines) != len(words):
            raise _no_cycles(f"{self.version} does not know {len(words) - len(lines)} of {len(words)} instructions")
        return lines


def _said(argv: list[str], lines: Sequence[str]) -> str:
    text = "\n".join(lines) + "\n"
    try:
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _no_cycles(str(error)) from error
    if done.returncode != 0:
        raise _no_cycles(done.stderr.strip()[-300:])
    return done.stdout


def _no_cycles(why: str) -> DeviceRunError:
    return DeviceRunError("no cycles were modelled", why, "nothing else depends on them; LLVM 14 is the tested one")


def find_core_model(core: str) -> CoreModel:
    """LLVM's model of a core, with the tools on this machine's PATH.

    Raises:
        ToolMissingError: they are not there, or the core is none of `CORES`.
    """
    if core not in CORES:
        why = f"published times are at hand for {', '.join(CORES)} alone"
        raise ToolMissingError(f"no model of a {core}'s cycles", why, "compare by instructions")
    mca, mc = shutil.which("llvm-mca"), shutil.which("llvm-mc")
    if mca is None or mc is None:
        raise ToolMissingError("no llvm-mca", "LLVM's model of the core gives the cycles", "apt install llvm")
    found = re.search(r"LLVM version ([0-9.]+)", _said([mca, "--version"], []))
    return CoreModel(Path(mca), Path(mc), core, f"LLVM {found[1] if found else '?'}")
