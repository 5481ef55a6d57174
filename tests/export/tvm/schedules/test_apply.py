import numpy as np
import pytest
from compiled import A72, plan, run
from onnx_text import save_model

from ofa_edge.export.onnx.run import run_onnx
from ofa_edge.export.tvm import compile as tvm
from ofa_edge.export.tvm.schedules import Knobs, apply, rules, workload_key
from ofa_edge.export.tvm.schedules.apply import fuse

POINTWISE = "y = Conv(input, w, b) logits = Relu(y)"


def test_a_rule_that_raises_falls_back_and_is_named(monkeypatch):
    def fail(*_):
        raise ValueError("no such tile\nin C++")

    monkeypatch.setattr(rules.pointwise, "schedule_pointwise", fail)
    (fallback,) = run(POINTWISE, (1, 8, 5, 5), w=(16, 8, 1, 1), b=(16,)).fallbacks
    assert fallback.why == "ValueError: no such tile"


def test_a_schedule_that_does_not_compile_falls_back_and_is_named(monkeypatch):
    whole = rules.pointwise.schedule_pointwise

    def broken(nest, *rest):
        panel = whole(nest, *rest)
        nest.schedule.annotate(nest.schedule.get_loops(nest.epilogue)[0], "pragma_import_llvm", "no such language")
        return panel

    monkeypatch.setattr(rules.pointwise, "schedule_pointwise", broken)
    facts = run(POINTWISE, (1, 8, 14, 14), w=(16, 8, 1, 1), b=(16,))
    (fallback,) = facts.fallbacks
    assert "does not compile" in fallback.why
    assert facts.share_kind == "measured"
    assert facts.share(fallback) > 0.2


def test_one_function_called_twice_gets_both_weights(tmp_path):
    body = "a = Conv(input, v) b = Relu(a) c = Conv(b, w) logits = Relu(c)"
    path = save_model(tmp_path / "m.onnx", body, (1, 128, 6, 6), v=(128, 128, 1, 1), w=(128, 128, 1, 1))
    library = tvm.compile_cpu(path, tmp_path / "m.so", tvm.host_target())
    (function,) = (each for each in library.schedules.functions if each.rule == "pointwise")
    assert (function.calls, function.name.endswith("_packed")) == (2, True)
    image = np.random.default_rng(1).normal(size=(1, 128, 6, 6)).astype(np.float32)
    np.testing.assert_allclose(tvm.load_module(library.file.path)(image), run_onnx(path, image), rtol=1e-4, atol=1e-2)


def test_only_two_transposes_stay(tmp_path):
    body = """
        x = Conv<pads=[1,1,1,1]>(input, w) h = HardSwish(x) y = Conv<pads=[1,1,1,1]>(h, v) c = Clip(y, low, high)
        logits = Conv<pads=[1,1,1,1]>(c, v)
    """
    bounds = {"low": np.float32(0), "high": np.float32(6)}
    path = save_model(tmp_path / "m.onnx", body, (1, 3, 8, 8), w=(8, 3, 3, 3), v=(8, 8, 3, 3), **bounds)
    names = [each.name for each in plan(path, A72).functions]
    assert sum("transpose" in name for name in names) == 2
    assert len(names) == 5


def test_a_network_that_cannot_be_turned_is_compiled_as_it_is(tmp_path, monkeypatch):
    def fail(module, isa):
        raise ValueError("cannot turn")

    monkeypatch.setattr(apply, "prepare", fail)
    facts = run(POINTWISE, (1, 8, 5, 5), w=(16, 8, 1, 1), b=(16,))
    assert facts.layout == "as given: ValueError: cannot turn"
    assert [each.why for each in facts.fallbacks]


def test_knobs_are_chosen_by_what_a_function_computes(tmp_path):
    path = save_model(tmp_path / "m.onnx", POINTWISE, (1, 64, 8, 8), w=(64, 64, 1, 1), b=(64,))
    plain = plan(path, A72)
    (function,) = (each for each in plain.functions if each.rule == "pointwise")
    asked = []

    def chooser(key):
        asked.append(key)
        return Knobs(pack=False) if key == function.key else None

    target = tvm.make_target(A72, "llvm")
    _, functions = apply.schedule_module(fuse(tvm.import_onnx(path), target)[0], target, chooser)
    assert sorted(asked) == sorted(each.key for each in plain.functions)
    (tuned,) = (each for each in functions if each.rule == "pointwise")
    assert function.name == tuned.name + "_packed"


def test_key_is_of_the_computation(tmp_path):
    def key(channels, seed):
        path = save_model(tmp_path / "m.onnx", POINTWISE, (1, 8, 5, 5), seed, w=(channels, 8, 1, 1), b=(channels,))
        return next(each.key for each in plan(path, A72).functions if each.rule == "pointwise")

    assert key(16, 0) == key(16, 1)
    assert key(16, 0) != key(24, 0)


@pytest.mark.parametrize("threads", [2, 4])
def test_several_threads_give_the_same_numbers(threads):
    body = """
        x = Conv<strides=[2,2], pads=[1,1,1,1]>(input, w0) h = HardSwish(x) y = Conv(h, w1) z = Relu(y)
        d = Conv<group=96, pads=[2,2,2,2]>(z, w2) p = GlobalAveragePool(d) q = Conv(p, w3) g = HardSigmoid(q)
        m = Mul(d, g) n = Conv(m, w4) logits = Add(n, h)
    """
    weights = {
        "w0": (16, 3, 3, 3),
        "w1": (96, 16, 1, 1),
        "w2": (96, 1, 5, 5),
        "w3": (96, 96, 1, 1),
        "w4": (16, 96, 1, 1),
    }
    facts = run(body, (1, 3, 64, 64), tvm.host_target(cores=threads), **weights)
    assert (facts.threads, facts.fallbacks) == (threads, ())


def test_workload_key_ignores_the_symbol(tmp_path):
    path = save_model(tmp_path / "m.onnx", POINTWISE, (1, 8, 5, 5), w=(16, 8, 1, 1), b=(16,))
    target = tvm.make_target(A72, "llvm")
    module, _ = fuse(tvm.import_onnx(path), target)
    func = next(func for variable, func in module.functions_items() if "conv2d" in variable.name_hint)
    assert workload_key(func) == workload_key(func.with_attr("global_symbol", "main"))
