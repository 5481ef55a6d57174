"""Loops whose last turn is peeled off count in 32 bits: TVM 0.27 does not peel loops that count in 64."""

from typing import Any

PEELED = "pragma_loop_partition_hint"


def narrowed(func: Any) -> Any:
    """A function with indices of 32 bits; itself where none of its loops asks for its last turn to be peeled off."""
    import tvm_ffi
    from tvm import ir, tirx

    found: list[bool] = []

    def look(loop: Any) -> Any:
        found.append(PEELED in loop.annotations)
        return loop

    tvm_ffi.structural_map(func.body, (tirx.For, look))
    if not any(found):
        return func
    module = ir.IRModule({"main": func.with_attr("global_symbol", "main")})
    made = tirx.transform.ForceNarrowIndexToInt32()(module)["main"]
    return made if func.attrs and "global_symbol" in func.attrs else made.without_attr("global_symbol")
