from dataclasses import replace

import pytest
from compiled import avx2, rules, run

from ofa_edge.export.tvm import compile as tvm
from ofa_edge.export.tvm.schedules.chunks import Chunk, chosen
from ofa_edge.export.tvm.schedules.isa import Isa
from ofa_edge.export.tvm.schedules.knobs import Knobs, default_knobs
from ofa_edge.export.tvm.schedules.tiles import Tile

AVX512 = Isa("avx512", 64, 32, memory_operands=True)
NEON = Isa("neon", 16, 32, lane_operands=True)
SMALL = Knobs(resident_kib=1, chunk_kib=16, vectors=2)  # chunks where a test's network would have none


@pytest.fixture
def taken(monkeypatch):
    """The chunks that rules took."""
    from ofa_edge.export.tvm.schedules import chunks

    seen, schedule = [], chunks.schedule_chunks

    def watched(*arguments):
        seen.append(next(each for each in arguments if isinstance(each, Chunk)))
        return schedule(*arguments)

    monkeypatch.setattr(chunks, "schedule_chunks", watched)
    return seen


def conv(kernel, stride=1, end="logits = Relu(y)"):
    half = kernel // 2
    return f"y = Conv<strides=[{stride},{stride}], pads=[{half},{half},{half},{half}]>(input, w, b) {end}"


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    ("kernel", "stride", "size", "inputs", "outputs"),
    [
        (3, 1, 7, 40, 96),
        (3, 2, 14, 24, 96),
        (5, 1, 9, 8, 128),
        (3, 1, 4, 27, 90),
        (1, 1, 7, 192, 96),
        (1, 2, 8, 320, 100),
    ],
)
def test_answers_are_those_of_onnx_runtime(taken, threads, kernel, stride, size, inputs, outputs):
    weights = {"w": (outputs, inputs, kernel, kernel), "b": (outputs,)}
    facts = run(conv(kernel, stride), (1, inputs, size, size), tvm.host_target(cores=threads), knobs=SMALL, **weights)
    assert rules(facts) == {"pointwise" if kernel == 1 else "dense": 1}
    assert taken


def test_with_a_residual_and_a_gate(taken):
    ends = "s = Sigmoid(y) z = Mul(y, s) logits = Add(z, input)"
    facts = run(conv(3, end=ends), (1, 64, 7, 7), knobs=SMALL, w=(64, 64, 3, 3), b=(64,))
    assert rules(facts) == {"dense": 1}
    assert taken


@pytest.mark.parametrize(("shape", "window"), [((32,), (9,)), ((4, 6, 8), (3, 3, 3))])
def test_lines_and_volumes(taken, shape, window):
    pads = [size // 2 for size in window] * 2
    text = f"y = Conv<pads={pads}>(input, w, b) logits = Relu(y)"
    facts = run(text, (1, 24, *shape), knobs=SMALL, w=(64, 24, *window), b=(64,))
    assert rules(facts) == {"dense": 1}
    assert taken


def test_avx2(taken):
    facts = run(conv(3), (1, 48, 7, 7), avx2(), knobs=SMALL, w=(64, 48, 3, 3), b=(64,))
    assert rules(facts) == {"dense": 1}
    assert taken


def test_defaults_take_chunks_where_weights_are_many():
    run_of = {"taps": 9, "isa": AVX512, "knobs": default_knobs(AVX512), "bits": 32}
    assert chosen(7, 512, inputs=512, **run_of) == Chunk(Tile(7, 4, 16), 16)
    assert chosen(56, 64, inputs=64, **run_of) is None  # 147 KB stay in a level 2 cache
    assert chosen(1, 512, inputs=512, **run_of) is None  # a map of one pixel reads each weight once


def test_chunks_fit_into_the_room_for_them():
    for isa in (AVX512, NEON):
        knobs = replace(default_knobs(isa), resident_kib=1)
        for inputs in (96, 320, 512, 2048):
            chunk = chosen(7, 512, 9, inputs, isa, knobs, 32)
            assert chunk is not None
            assert 9 * chunk.inputs * chunk.panel * 4 <= 1024 * knobs.chunk_kib
            assert inputs % chunk.inputs == 0


def test_no_thread_goes_without_a_panel():
    four = replace(AVX512, threads=4)
    assert chosen(7, 128, 9, 1024, AVX512, default_knobs(AVX512), 32) is not None
    assert chosen(7, 128, 9, 1024, four, default_knobs(four), 32) is None


def test_an_arm_core_has_none_by_itself():
    assert chosen(7, 512, 9, 512, NEON, default_knobs(NEON), 32) is None


def test_a_wide_tile_takes_no_memory_from_the_heap(tmp_path):
    """Sums of 28 vectors of AVX-512 are 1,792 bytes, which TVM by itself would take from the heap."""
    import tvm as compiler
    from onnx_text import save_model

    from ofa_edge.export.tvm.relax import import_onnx
    from ofa_edge.export.tvm.schedules import cpu_module
    from ofa_edge.export.tvm.schedules.stack import tir_pipeline

    path = save_model(tmp_path / "model.onnx", "logits = Conv(input, w)", (1, 32, 14, 14), w=(64, 32, 1, 1))
    target = tvm.make_target(
        {"kind": "llvm", "mtriple": "x86_64-linux-gnu", "mcpu": "skylake-avx512", "num-cores": 1}, "llvm"
    )
    module, facts = cpu_module(import_onnx(path), target)
    assert facts.isa == "avx512"
    assert "TVMBackendAllocWorkspace" in _text(compiler, module, target, "default")
    assert "TVMBackendAllocWorkspace" not in _text(compiler, module, target, tir_pipeline())


def _text(compiler, module, target, steps):
    from tvm import ir, tirx

    functions = {name.name_hint: func for name, func in module.functions_items() if isinstance(func, tirx.PrimFunc)}
    (name,) = [each for each in functions if "conv" in each]
    alone = ir.IRModule({name: functions[name].with_attr("global_symbol", name)})
    return compiler.tirx.build(alone, target=target, pipeline=steps).inspect_source("ll")
