"""What an architecture allows of a kernel, and whether each kernel of a library keeps to it.

Source: NVIDIA, CUDA C++ Programming Guide 12.6, section "Compute Capabilities", table "Technical Specifications".
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from ofa_edge.errors import ConversionError
from ofa_edge.export.cuda.launches import Launch
from ofa_edge.export.cuda.resources import Resources
from ofa_edge.export.cuda.schedules.apply import FALLBACK

_MAX_GRID = (2**31 - 1, 65535, 65535)
_MAX_BLOCK = (1024, 1024, 64)
_MAX_THREADS = 1024  # a block
_MAX_REGISTERS = 255  # a thread
_MAX_SHARED = 49152  # bytes a block, without asking the driver for more
_WARP, _REGISTER_UNIT = 32, 256  # registers are given to warps in such units
# 32-bit registers that one block can have; more architectures than targets, so that a target of one's own is checked.
_BLOCK_REGISTERS: Mapping[str, int] = MappingProxyType(
    {"sm_50": 65536, "sm_52": 65536, "sm_53": 32768, "sm_60": 65536, "sm_61": 65536, "sm_62": 32768, "sm_70": 65536}
    | {"sm_72": 65536, "sm_75": 65536, "sm_80": 65536, "sm_86": 65536, "sm_87": 65536, "sm_89": 65536, "sm_90": 65536}
)


@dataclass(frozen=True)
class Kernel:
    """A kernel: how it is launched, what it takes, and which rule made it."""

    name: str
    rule: str
    launch: Launch
    resources: Resources

    @property
    def threads(self) -> int:
        """Threads a block."""
        x, y, z = self.launch.block
        return x * y * z

    def to_json(self) -> dict[str, Any]:
        """The manifest's entry."""
        facts = {"name": self.name, "rule": self.rule, "own_rule": self.own_rule, "useful": self.launch.useful}
        sizes = {"grid": list(self.launch.grid), "block": list(self.launch.block)}
        return {**facts, **sizes, **asdict(self.resources)}

    @property
    def own_rule(self) -> bool:
        """Whether a rule of ours made it, not TVM's default."""
        return self.rule != FALLBACK

    @classmethod
    def of_json(cls, facts: Mapping[str, Any], resources: Resources) -> "Kernel":
        """From what the compiler's process tells, and what the cubin does."""
        launch = Launch(tuple(facts["grid"]), tuple(facts["block"]), float(facts["useful"]))
        return cls(facts["name"], facts["rule"], launch, resources)


def check(kernel: Kernel, arch: str) -> None:
    """Hold a kernel against the limits of an architecture.

    Raises:
        ConversionError: names the kernel, the limit and the figure.
    """
    launch, taken = kernel.launch, kernel.resources
    warps = -(-kernel.threads // _WARP)
    registers = warps * -(-taken.registers * _WARP // _REGISTER_UNIT) * _REGISTER_UNIT
    block_registers = _BLOCK_REGISTERS.get(arch, min(_BLOCK_REGISTERS.values()))
    axes = [("grid", launch.grid, _MAX_GRID), ("block", launch.block, _MAX_BLOCK)]
    figures = [(f"{name} {'xyz'[i]}", size[i], limit[i]) for name, size, limit in axes for i in range(3)]
    figures += [
        ("threads a block", kernel.threads, _MAX_THREADS),
        ("registers a thread", taken.registers, _MAX_REGISTERS),
        ("registers a block", registers, block_registers),
        ("bytes of shared memory", taken.shared, _MAX_SHARED),
    ]
    for what, value, limit in figures:
        if not 0 <= value <= limit or (value == 0 and what.startswith(("grid", "block"))):
            raise ConversionError(
                f"kernel {kernel.name} cannot run on {arch}",
                f"{what}: {value}, allowed: {limit} (rule: {kernel.rule})",
                "report it with the model; --runtime tvm --target host builds for a CPU",
            )
