"""Several schedules of one function as one library, each under a symbol of its own."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ofa_edge.errors import ConversionError
from ofa_edge.export.tvm.compile import find_linker
from ofa_edge.export.tvm.relax import said
from ofa_edge.export.tvm.schedules.stack import tir_pipeline
from ofa_edge.export.tvm.tuning.knob_variants import Variant
from ofa_edge.export.tvm.tuning.turns import Turn, arguments_of
from ofa_edge.files import atomic_path


def compile_variants(variants: Sequence[Variant], target: Any, out: Path) -> list[Turn | None]:
    """Compile variants into a library.

    Args:
        variants: whose functions are scheduled.
        target: a `tvm.target.Target` of a CPU.
        out: the library to write.

    Returns:
        The turn of each; None for one that TVM or LLVM cannot compile.

    Raises:
        ToolMissingError: no linker for the target.
        ConversionError: not one of them compiles, or they do not link.
    """
    linker = find_linker(str(target.attrs["mtriple"]))
    functions = {f"variant{index}": each.scheduled.func for index, each in enumerate(variants)}
    executable, names = _compile_most(functions, target)
    with atomic_path(out) as part:
        executable.export_library(str(part), fcompile=linker)
    return [Turn(out, name, arguments_of(func)) if name in names else None for name, func in functions.items()]


def _compile_most(functions: Mapping[str, Any], target: Any) -> tuple[Any, frozenset[str]]:
    """Compile all at once, or those that compile by themselves."""
    try:
        return _compile(functions, functions, target), frozenset(functions)
    except Exception as error:  # TVM raises many types
        names = frozenset(name for name in functions if _compiles(functions, name, target))
        if not names:
            raise ConversionError(
                "TVM cannot compile any schedule of a function", said(error), "build without --tune"
            ) from error
    return _compile(functions, sorted(names), target), names


def _compiles(functions: Mapping[str, Any], name: str, target: Any) -> bool:
    try:
        _compile(functions, [name], target)
    except Exception:  # TVM raises many types
        return False
    return True


def _compile(functions: Mapping[str, Any], names: Iterable[str], target: Any) -> Any:
    import tvm
    from tvm import ir

    module = ir.IRModule({name: functions[name].with_attr("global_symbol", name) for name in names})
    return tvm.compile(module, target=target, tir_pipeline=tir_pipeline())
