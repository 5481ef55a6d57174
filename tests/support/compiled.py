"""One operator, from ONNX text to numbers: compiled with the rules for this machine, and by ONNX Runtime."""

import tempfile
from pathlib import Path

import numpy as np
from onnx_text import save_model

from ofa_edge.export.onnx.run import run_onnx
from ofa_edge.export.tvm import compile as tvm
from ofa_edge.export.tvm.relax import import_onnx
from ofa_edge.export.tvm.schedules import Knobs, ScheduleFacts
from ofa_edge.export.tvm.schedules.apply import fuse, schedule_module
from ofa_edge.export.tvm.schedules.isa import isa_of

A72 = {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": "cortex-a72", "num-cores": 1}


def avx2() -> dict[str, object]:
    """This machine without AVX-512."""
    host = tvm.host_target()
    return {**host, "mattr": [*host.get("mattr", []), "-avx512f"]}


def run(
    body: str,
    shape: tuple[int, ...],
    target: dict[str, object] | None = None,
    *,
    knobs: Knobs | None = None,
    **weights,
) -> ScheduleFacts:
    """Compile `body`, compare its answer with ONNX Runtime's (1e-4 relative), and return what the rules did."""
    with tempfile.TemporaryDirectory() as folder:
        path = save_model(Path(folder) / "model.onnx", body, shape, **weights)
        library = tvm.compile_cpu(path, Path(folder) / "model.so", target or tvm.host_target(), chooser=lambda _: knobs)
        image = np.random.default_rng(7).normal(size=shape).astype(np.float32)
        wanted, found = run_onnx(path, image), tvm.load_module(library.file.path)(image)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max()
    return library.schedules


def plan(path: Path, target: dict[str, object]) -> ScheduleFacts:
    """Schedule a model's functions, and compile nothing."""
    made = tvm.make_target(target, "llvm")
    fused, layout = fuse(import_onnx(path), made)
    _, functions = schedule_module(fused, made)
    isa = isa_of(made)
    return ScheduleFacts(isa.name, isa.threads, functions, layout)


def rules(facts: ScheduleFacts) -> dict[str, int]:
    """Functions by rule, without the transposes around the operator."""
    return {rule: number for rule, number in facts.to_json()["rules"].items() if rule != "elementwise"}
