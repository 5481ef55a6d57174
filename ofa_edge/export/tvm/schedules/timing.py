"""How long each function of a library takes on this machine: where time goes is measured, not guessed."""

import time
from pathlib import Path

import numpy as np

from ofa_edge.export.tvm.forms import WATCHED

_RUNS = 5


def time_functions(library: Path, onnx_path: Path) -> dict[str, float]:
    """Run a library for this machine on noise.

    Args:
        library: of `compile.compile_cpu`.
        onnx_path: the model that it was compiled from, which tells its inputs' shapes.

    Returns:
        Seconds of one inference by function, the fastest of a few runs each. Builtins of the virtual machine are left
        out: they are the same whatever the schedules.
    """
    import onnx
    import tvm
    from tvm import relax

    graph = onnx.load(onnx_path).graph
    constants = {tensor.name for tensor in graph.initializer}
    values = [value for value in graph.input if value.name not in constants]
    shapes = [[axis.dim_value for axis in value.type.tensor_type.shape.dim] for value in values]
    random = np.random.default_rng(0)  # below 1: places that an input counts are the first
    inputs = [tvm.runtime.tensor(np.asarray(random.random(shape), np.float32)) for shape in shapes]
    machine = relax.VirtualMachine(tvm.runtime.load_module(str(library.resolve())), tvm.cpu())
    watched = machine[WATCHED]
    watched(*inputs)
    runs: list[dict[str, float]] = []
    started: dict[str, float] = {}

    def instrument(function: object, name: str, before: bool, result: object, *arguments: object) -> None:
        del function, result, arguments
        if before:
            started[name] = time.perf_counter()
        else:
            runs[-1][name] = runs[-1].get(name, 0.0) + time.perf_counter() - started[name]

    machine.set_instrument(instrument)
    for _ in range(_RUNS):
        runs.append({})
        watched(*inputs)
    return {name: min(run[name] for run in runs) for name in runs[0] if not name.startswith("vm.")}
