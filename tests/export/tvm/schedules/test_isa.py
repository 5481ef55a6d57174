import pytest

from ofa_edge.export.tvm.compile import make_target
from ofa_edge.export.tvm.schedules.isa import isa_of

X86 = {"kind": "llvm", "mtriple": "x86_64-linux-gnu"}
ARM = {"kind": "llvm", "mtriple": "aarch64-linux-gnu"}


@pytest.mark.parametrize(
    ("spec", "name", "lanes", "registers", "half"),
    [
        ({**X86, "mcpu": "znver5"}, "avx512", 16, 32, False),
        ({**X86, "mcpu": "znver5", "mattr": ["-avx512f"]}, "avx2", 8, 16, False),
        ({**X86, "mcpu": "haswell"}, "avx2", 8, 16, False),
        ({**X86, "mcpu": "haswell", "mattr": ["+avx512f"]}, "avx512", 16, 32, False),
        ({**X86, "mcpu": "x86-64"}, "generic", 4, 16, False),
        ({**ARM, "mcpu": "cortex-a72"}, "neon", 4, 32, False),
        ({**ARM, "mcpu": "cortex-a76"}, "neon", 4, 32, True),
        ({"kind": "llvm", "mtriple": "armv7l-linux-gnueabihf", "mcpu": "cortex-a7"}, "neon", 4, 16, False),
    ],
)
def test_features_decide(spec, name, lanes, registers, half):
    isa = isa_of(make_target(spec, "llvm"))
    assert (isa.name, isa.lanes(), isa.registers, isa.half, isa.threads) == (name, lanes, registers, half, 1)
    assert isa.lanes(16) == 2 * lanes


def test_threads_are_the_targets_cores():
    assert isa_of(make_target({**ARM, "mcpu": "cortex-a72", "num-cores": 4}, "llvm")).threads == 4
