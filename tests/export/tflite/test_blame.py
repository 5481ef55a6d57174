"""What does not convert, or answers otherwise, is named: the node, and its part as a file of its own.

The map is sound, so the process is given one that is not: all cases in one, since TensorFlow takes seconds to start.
"""

import json
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx_text import save_model
from places import ROOT

from ofa_edge.errors import ConversionError
from ofa_edge.export.onnx.part import exact_answer, run_values, save_part
from ofa_edge.export.onnx.run import run_onnx
from ofa_edge.export.tflite.blame import quiet_db
from ofa_edge.export.tflite.convert import convert, run_tflite

SHAPE = (1, 3, 5, 4)
CHAIN = "a = Conv(input, w) b = Tanh(a) c = Abs(b) p = GlobalAveragePool(c) logits = Flatten(p)"
WEIGHTS = {"w": (4, 3, 3, 3)}
BELOW = np.full(3, -16, np.float32)

RUN = """
import contextlib, dataclasses, io, json, sys
import numpy as np
from ofa_edge.export.tflite import rewrites, tf_ops, worker

sound = tf_ops.BUILDERS
def other(**builders):
    tf_ops.BUILDERS = {**sound, **builders}
def tell(case):
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = worker.main([sys.argv[1], sys.argv[2], json.dumps({"precision": "fp32"})])
    print(json.dumps([case, code, json.loads(said.getvalue() or "{}")]))

other(Abs=lambda site: site.like(site.x.tensor))
tell("another answer")
other(Abs=lambda site: site.like(site.tf.reduce_max(site.x.tensor, [1], keepdims=True)))
tell("another shape inside")
other(Tanh=lambda site: site.like(site.tf.math.bessel_i0e(site.x.tensor)))
tell("refused by the converter")
other(Tanh=lambda site: site.like(site.tf.reshape(site.x.tensor, [1, 2])))
tell("not built")
tf_ops.BUILDERS = sound
def twice(graph):
    return dataclasses.replace(graph, constants={name: 2 * each for name, each in graph.constants.items()})
plain = rewrites.rewrites_for
rewrites.rewrites_for = lambda precision: (*plain(precision), twice)
tell("a rewrite")
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """By case: exit code, and what was said."""
    folder = tmp_path_factory.mktemp("blame")
    path = save_model(folder / "model.onnx", CHAIN, SHAPE, **WEIGHTS)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, "-c", RUN, str(path), str(folder / "out.tflite")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {case: (code, said) for case, code, said in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize(
    ("case", "words", "outputs"),
    [
        ("another answer", "the first node whose result differs is 'Abs_2' (Abs): ", ["c"]),
        ("another shape inside", "is 'Abs_2' (Abs): [1, 4, 1, 2] for [1, 4, 3, 2]", ["c"]),
        ("refused by the converter", "node 'Tanh_1' (Tanh)", ["b"]),
        ("not built", "node 'Tanh_1', operator Tanh", ["b"]),
        ("a rewrite", "no node does by itself, and without the rewrite twice the answer is right", []),
    ],
)
def test_the_node_is_named(told, case, words, outputs):
    code, said = told[case]
    assert code == 1
    assert words in f"{said['what']} {said['why']}"
    assert said["outputs"] == outputs


def test_a_small_sigmoid_is_no_fault_of_ours(tmp_path):
    """ONNX Runtime is 30 dB off there, and LiteRT is right."""
    body = "a = Conv(input, w, b) logits = Sigmoid(a)"
    path = save_model(tmp_path / "m.onnx", body, SHAPE, w=np.eye(3, dtype=np.float32)[..., None, None], b=BELOW)
    image = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    exact = exact_answer(path, image)
    right = 1 / (1 + np.exp(-(image.astype(np.float64) - 16)))
    np.testing.assert_allclose(exact, right.reshape(1, -1), rtol=1e-5)
    assert quiet_db(exact, run_onnx(path, image)) < 70, "else this shows nothing"
    convert(path, tmp_path / "m.tflite", "fp32")
    assert quiet_db(exact, run_tflite(tmp_path / "m.tflite", image)) > 90


# -- the part as a file of its own --


def test_a_part_is_a_sound_model_with_its_weights(tmp_path):
    path = save_model(tmp_path / "m.onnx", CHAIN, SHAPE, **WEIGHTS)
    image = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    between = run_values(path, ["a", "b"], image)
    assert save_part(path, ["a"], tmp_path / "parts" / "conv.onnx")
    np.testing.assert_array_equal(run_onnx(tmp_path / "parts" / "conv.onnx", image), between["a"].reshape(1, -1))
    assert save_part(path, ["b/opened", "c"], tmp_path / "two.onnx"), "a rewrite's names stand for the file's"
    model = onnx.load(tmp_path / "two.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Tanh", "Abs"]
    assert ([each.name for each in model.graph.input], [each.name for each in model.graph.output]) == (["a"], ["c"])
    np.testing.assert_array_equal(run_onnx(tmp_path / "two.onnx", between["a"]), np.abs(between["b"]).reshape(1, -1))


def test_a_part_keeps_constants_of_nodes(tmp_path):
    body = "two = Constant<value_float = 2.0>() a = Relu(input) logits = Mul(a, two)"
    path = save_model(tmp_path / "m.onnx", body, SHAPE)
    assert save_part(path, ["logits"], tmp_path / "part.onnx")
    ones = np.ones(SHAPE, np.float32)
    np.testing.assert_array_equal(run_onnx(tmp_path / "part.onnx", ones), 2 * ones.reshape(1, -1))


def test_what_no_node_gives_is_not_written(tmp_path):
    path = save_model(tmp_path / "m.onnx", "logits = Relu(input)", SHAPE)
    assert not save_part(path, ["elsewhere"], tmp_path / "part.onnx")
    assert not (tmp_path / "part.onnx").exists()


BODIES = {
    "outside the map": ("a = Relu(input) b = Sin(a) logits = Abs(b)", "Sin"),
    "an output that is not taken": (
        "m, i = MaxPool<kernel_shape=[2,2]>(input) c = Cast<to=1>(i) logits = Add(m, c)",
        "MaxPool",
    ),
}


@pytest.mark.parametrize("case", BODIES)
def test_the_part_that_fails_is_kept_where_asked(tmp_path, case):
    body, op = BODIES[case]
    path, place = save_model(tmp_path / "m.onnx", body, SHAPE), tmp_path / "kept" / "part.onnx"
    with pytest.raises(ConversionError, match=f"operator {op}") as caught:
        convert(path, tmp_path / "m.tflite", "fp32", keep_failure=place)
    assert str(place) in caught.value.hint
    assert [node.op_type for node in onnx.load(place).graph.node] == [op]
    with pytest.raises(ConversionError) as again:
        convert(path, tmp_path / "m.tflite", "fp32")
    assert (again.value.what, again.value.why) == (caught.value.what, caught.value.why)
    assert str(place) not in again.value.hint
    assert sorted(each.name for each in tmp_path.iterdir()) == ["kept", "m.onnx"]
