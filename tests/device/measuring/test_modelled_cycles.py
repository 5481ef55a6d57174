"""Modelled cycles: the plugin's counts and LLVM's model, each against a count by hand."""

import shutil
import subprocess

import pytest

from ofa_edge.device.measuring.counting import count_instructions
from ofa_edge.device.measuring.modelled_cycles import MISSED_LINE, BlockCounts, find_core_model, read_blocks
from ofa_edge.errors import DeviceRunError, ToolMissingError

# add x0, x0, #1 three times; subs x1, x1, #1; b.ne to the first
ADDS = "91000400" * 3 + "f1000421" + "54ffff81"
MULTIPLY = "1b017c00" + "f1000421" + "54ffffc1"  # mul w0, w0, w1; subs; b.ne

needs_llvm = pytest.mark.skipif(shutil.which("llvm-mca") is None, reason="llvm is not installed")


def test_what_the_marks_run_and_miss_is_taken_off():
    text = f"MISSES 50 30 5 2\nBLOCK 100 1 {ADDS}\nBLOCK 7 1 {ADDS}\nBLOCK 3 3 {MULTIPLY}\n"
    found = read_blocks(text)
    assert found == BlockCounts({ADDS: 105}, 45, 28)
    assert found.instructions == 525


@pytest.mark.parametrize("text", ["", f"BLOCK 1 0 {ADDS}\n", "MISSES 1 2 3\n", "MISSES 1 2 3 4\nMISSES 1 2 3 4\n"])
def test_counts_that_are_not_whole_are_refused(text):
    with pytest.raises(DeviceRunError, match="no blocks"):
        read_blocks(text)


def test_the_fewest_blocks_that_make_up_nearly_all_are_looked_at():
    counts = BlockCounts({MULTIPLY: 1, ADDS: 1000}, 0, 0)
    assert counts.hot() == {ADDS: 1000}


@needs_llvm
def test_a_loop_takes_what_its_chain_takes():
    """Arm's Cortex-A72 software optimisation guide: an addition takes one cycle, a 32-bit multiplication three."""
    model = find_core_model("cortex-a72")
    each = model.block_cycles([ADDS, MULTIPLY])
    assert each[ADDS] == pytest.approx(3, rel=0.05)
    assert each[MULTIPLY] == pytest.approx(3, rel=0.05)
    found = model.cycles(BlockCounts({ADDS: 1_000_000}, 500, 100))
    assert found.core == pytest.approx(3_000_000, rel=0.05)
    assert found.per_inference - found.core == 100 * MISSED_LINE
    assert found.missed_lines == 100
    assert "cortex-a72" in found.model


@needs_llvm
@pytest.mark.parametrize("counts", [BlockCounts({}, 0, 0), BlockCounts({"00000000" * 4: 9}, 0, 0)])
def test_nothing_and_no_code_have_no_cycles(counts):
    with pytest.raises(DeviceRunError, match="no cycles"):
        find_core_model("cortex-a72").cycles(counts)


def test_what_is_missing_is_named(monkeypatch, tmp_path):
    with pytest.raises(ToolMissingError, match="cortex-a76"):
        find_core_model("cortex-a76")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissingError, match="llvm"):
        find_core_model("cortex-a72")


_PROGRAM = r"""
#include <stdio.h>
#include <sys/resource.h>
static volatile char memory[SIZE];
static void inference(void) {
  long n = 100000, sum = 0;
  __asm__ volatile("1: add %0, %0, #1\n add %0, %0, #1\n add %0, %0, #1\n subs %1, %1, #1\n b.ne 1b"
                   : "+r"(sum), "+r"(n));
  for (long i = 0; i < SIZE; i += 64) memory[i];
}
int main(void) {
  for (int run = 0; run < 4; run++) {
    getpriority(PRIO_PROCESS, 0x0FAE0000 + 2 * run);
    if (run < 2) inference();
    getpriority(PRIO_PROCESS, 0x0FAE0000 + 2 * run + 1);
  }
  puts("done");
}
"""


@pytest.mark.skipif(shutil.which("aarch64-linux-gnu-gcc") is None, reason="gcc-aarch64-linux-gnu is not installed")
@pytest.mark.parametrize(
    ("size", "l1", "l2"),
    [
        (16 << 10, 0, 0),  # the first cache holds it
        (256 << 10, 4096, 0),  # the second does
        (4 << 20, 65536, 65536),  # neither: each line is gone when it is read again
    ],
)
def test_lines_and_passes_are_those_counted_by_hand(emulated, tmp_path, size, l1, l2):
    program = tmp_path / "program"
    argv = ["aarch64-linux-gnu-gcc", "-O1", "-static", f"-DSIZE={size}", "-x", "c", "-o", str(program), "-"]
    subprocess.run(argv, input=_PROGRAM, text=True, check=True)
    counted, blocks = count_instructions(emulated, [str(program)], {}, 60, str, blocks=True)
    assert blocks.blocks[ADDS] == pytest.approx(100_000, abs=1)
    assert blocks.l1_misses == pytest.approx(l1, abs=40)
    assert blocks.l2_misses == pytest.approx(l2, abs=40)
    assert blocks.instructions == pytest.approx(counted.per_inference, abs=20)
    assert counted.per_inference == pytest.approx(5 * 100_000 + 4 * size / 64, rel=0.3)
