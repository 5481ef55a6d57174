"""How each scheduled function is launched, read from its loops: grid, block, and the share of threads with work."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Launch:
    """One kernel's launch.

    Attributes:
        grid: blocks along x, y, z.
        block: threads along x, y, z.
        useful: share of the threads' turns in a loop that compute something wanted, 0..1: of the loop over the sum and
            of the one that writes the result, the smaller. The rest overhang the map's or the sum's end.
    """

    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    useful: float


@dataclass
class _Kernel:
    """What is known of a kernel while its loops are walked."""

    threads: dict[str, int] = field(default_factory=dict)
    shares: list[float] = field(default_factory=list)

    def launch(self) -> Launch:
        return Launch(self._size("blockIdx"), self._size("threadIdx"), min(self.shares, default=1.0))

    def _size(self, kind: str) -> tuple[int, int, int]:
        x, y, z = (self.threads.get(f"{kind}.{axis}", 1) for axis in "xyz")
        return x, y, z


def read_launches(function: Any) -> list[Launch]:
    """The kernels of a scheduled PrimFunc in order; TVM splits it at the outermost loops that are bound to threads."""
    kernels: list[_Kernel] = []
    _walk(function.body, [], None, kernels)
    return [kernel.launch() for kernel in kernels]


def _walk(node: Any, loops: list[Any], kernel: _Kernel | None, kernels: list[_Kernel]) -> None:
    kind = type(node).__name__
    if kind == "For":
        binding = node.thread_binding
        if binding is not None:
            if kernel is None:
                kernel = _Kernel()
                kernels.append(kernel)
            tag, extent = str(binding.thread_tag), int(node.extent)
            kernel.threads[tag] = max(extent, kernel.threads.get(tag, 1))  # one launch serves all loops of a kernel
        _walk(node.body, [*loops, node], kernel, kernels)
    elif kind == "SBlockRealize":
        block = node.block
        if kernel is not None and (_sums(block) or _writes_result(block)):
            kernel.shares.append(_share(node, loops))
        _walk(block.body, loops, kernel, kernels)
    else:
        for child in _children(node):
            _walk(child, loops, kernel, kernels)


def _children(node: Any) -> Iterator[Any]:
    """Statements inside one that is neither a loop nor a block."""
    yield from getattr(node, "seq", None) or ()
    for name in ("body", "then_case", "else_case"):
        child = getattr(node, name, None)
        if child is not None:
            yield child


def _sums(block: Any) -> bool:
    return any(axis.iter_type == 2 for axis in block.iter_vars)


def _writes_result(block: Any) -> bool:
    return bool(block.iter_vars) and any(write.source.scope() == "global" for write in block.writes)


def _share(realize: Any, loops: list[Any]) -> float:
    """Wanted turns of a block's loops over all turns; a loop that no index depends on only repeats: not counted."""
    from tvm.tirx.analysis import undefined_vars

    used = {variable for value in realize.iter_values for variable in undefined_vars(value)}
    turns = math.prod(int(loop.extent) for loop in loops if loop.loop_var in used)
    return math.prod(int(axis.dom.extent) for axis in realize.block.iter_vars) / turns if turns else 1.0
