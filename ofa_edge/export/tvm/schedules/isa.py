"""What a CPU's vector unit offers, read from LLVM's own list of the target's features."""

from dataclasses import dataclass
from typing import Any

_X86_AVX512, _X86_AVX2, _ARM_NEON, _ARM_HALF = "avx512f", "avx2", "neon", "fullfp16"


@dataclass(frozen=True)
class Isa:
    """A vector unit.

    Attributes:
        name: "avx512", "avx2", "neon" or "generic".
        vector_bytes: width of a register.
        registers: vector registers.
        memory_operands: whether multiply-add takes an operand from memory, so that a value used once needs no register.
        lane_operands: whether multiply-add takes one lane of a register, so that one load serves several steps.
        half: whether it computes in float16.
        threads: of one inference, as the target's num-cores says.
    """

    name: str
    vector_bytes: int
    registers: int
    memory_operands: bool = False
    lane_operands: bool = False
    half: bool = False
    threads: int = 1

    def lanes(self, bits: int = 32) -> int:
        """Values of so many bits in one register."""
        return 8 * self.vector_bytes // bits


def isa_of(target: Any) -> Isa:
    """The vector unit of an LLVM target.

    Its features decide, not its name: LLVM derives them from mcpu and applies mattr, so that "-avx512f" (a virtual
    machine that hides AVX-512) gives AVX2.
    """
    from tvm.target import codegen

    features = {str(name) for name in codegen.llvm_get_cpu_features(target)}
    threads = max(1, int(target.attrs.get("num-cores", 1)))
    triple = str(target.attrs.get("mtriple", ""))
    if _X86_AVX512 in features:
        return Isa("avx512", 64, 32, memory_operands=True, threads=threads)
    if _X86_AVX2 in features:
        return Isa("avx2", 32, 16, memory_operands=True, threads=threads)
    if _ARM_NEON in features:
        wide = triple.startswith(("aarch64", "arm64"))
        half = _ARM_HALF in features
        return Isa("neon", 16, 32 if wide else 16, lane_operands=wide, half=half, threads=threads)
    return Isa("generic", 16, 16, threads=threads)
