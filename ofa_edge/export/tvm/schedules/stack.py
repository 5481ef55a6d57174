"""TVM's steps from a scheduled function to code, with one more: a tile's sums stay on the stack.

TVM takes every buffer of 1 KiB or more from the heap, from which LLVM lifts nothing into registers. A tile of 28
vectors of AVX-512 has 1,792 bytes.
"""

import math
from typing import Any

PIPELINE = "ofa_edge"
STACK_BYTES = 4096  # twice what 32 registers of 64 bytes hold
_TVM_STACK_BYTES = 1024  # tvm::runtime::kMaxStackAlloca: what is smaller stays anyway
_KEPT = "disable_lower_builtin"  # tvm::tirx::transform::kDisableLowerTVMBuiltin


def tir_pipeline() -> str:
    """The name under which TVM finds these steps; they are registered where they are not yet."""
    from tvm.tirx import compilation_pipeline

    compilation_pipeline.register_tir_pipeline(PIPELINE, _pipeline)
    return PIPELINE


def _pipeline() -> tuple[Any, Any, Any]:
    from tvm import ir, tirx

    lower, *finalize = tirx.get_tir_pipeline("s_tir")
    keep = tirx.transform.prim_func_pass(_keep, opt_level=0, name="ofa_edge.KeepOnStack")
    return ir.transform.Sequential([lower, keep]), *finalize


def _keep(func: Any, module: Any, context: Any) -> Any:
    del module, context
    import tvm_ffi
    from tvm import tirx

    def kept(allocation: Any) -> Any:
        if not _fits(allocation.buffer):
            return allocation
        return tirx.AllocBuffer(allocation.buffer, {**allocation.annotations, _KEPT: tirx.IntImm("bool", 1)})

    return func.with_body(tvm_ffi.structural_map(func.body, (tirx.AllocBuffer, kept)))


def _fits(buffer: Any) -> bool:
    """Whether it holds a tile's sums, as its scope says, and TVM would take it from the heap."""
    from tvm.runtime import DataType

    kind = buffer.ty
    value = DataType(str(kind.dtype))
    size = math.prod(int(axis) for axis in kind.shape) * value.lanes * value.bits // 8
    return bool(kind.storage_scope == "local" and _TVM_STACK_BYTES <= size <= STACK_BYTES)
