"""A scheduled network in both of TVM's forms, in one library that holds its weights once.

`main` is code: it calls the network's functions one after the other, a third of a microsecond each sooner than the
virtual machine does by its instructions. That is a sixth of the time of a network of 80 microseconds. `main_watched`
is those instructions, of which the virtual machine tells a watcher when each function begins and ends.
"""

from typing import Any

MAIN, WATCHED = "main", "main_watched"


def build_forms(module: Any, target: Any, steps: Any) -> Any:
    """Build a module whose functions are scheduled.

    Args:
        module: of Relax, with one function `main` beside the scheduled ones.
        target: a `tvm.target.Target`.
        steps: TVM's passes for the scheduled functions.

    Returns:
        TVM's executable.
    """
    from tvm import ir, relax
    from tvm.relax import vm_build

    functions = {variable.name_hint: function for variable, function in module.functions.items()}
    main = functions.pop(MAIN)
    watched = ir.IRModule({**functions, WATCHED: main.with_attr("global_symbol", WATCHED)})
    # `relax.build` takes one form or the other; these are its own two steps.
    builder = relax.ExecBuilder()
    vm_build._vmcodegen(builder, watched, "bytecode")
    code = vm_build._vmcodegen(builder, module, "compiled")
    attributes = dict(module.attrs or {})
    params = dict(attributes.get("const_name_to_constant", {}))
    others = attributes.get("external_mods")
    return vm_build._vmlink(builder, target, vm_build._filter_tir(code), steps, others, params)
