"""Every rewrite over random shapes, strides, resolutions and kernels: in ONNX Runtime, and as LiteRT runs the file."""

import random

import numpy as np
import pytest
from converted import convert_together
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from onnx_text import save_graph, save_model

from ofa_edge.export.onnx.graph import read_graph
from ofa_edge.export.onnx.run import run_onnx
from ofa_edge.export.tflite.convert import run_tflite
from ofa_edge.export.tflite.rewrites import rewrites_for
from ofa_edge.export.tflite.rewrites.split_depthwise import MAX_TAPS
from ofa_edge.verify.parity import compare

CHECKS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
ODD = st.integers(0, 8).map(lambda half: 2 * half + 1)
SIZE = st.integers(1, 24)


@st.composite
def networks(draw):
    """One block: a gated depthwise convolution, maybe of two branches, activations, a shortcut where it fits."""
    return {
        "kernel": (draw(ODD), draw(ODD)),
        "size": (draw(SIZE), draw(SIZE)),
        "strides": (draw(st.integers(1, 2)), draw(st.integers(1, 2))),
        "channels": draw(st.integers(1, 5)),
        "before": draw(st.sampled_from(["HardSwish", "Relu", "Identity"])),
        "after": draw(st.sampled_from(["HardSwish", "Relu", "Identity"])),
        "gate": draw(st.booleans()),
        "branch": draw(st.booleans()),
    }


def save_network(path, kernel, size, strides, channels, before, after, gate, branch):
    """Write such a network, and 3 images for it beside it."""
    (kh, kw), (h, w), (sh, sw) = kernel, size, strides
    pads = f"{kh // 2}, {kw // 2}, {kh // 2}, {kw // 2}"
    depthwise = f"Conv<group={channels}, strides=[{sh}, {sw}], kernel_shape=[{kh}, {kw}], pads=[{pads}]>(a, k, kb)"
    body = f"e = Conv(input, w1, b1) a = {before}(e) l = {depthwise} "
    body += f"o = Conv<group={channels}, strides=[{sh}, {sw}]>(a, k1) d = Add(o, l) " if branch else "d = Identity(l) "
    body += f"c = {after}(d) "
    if gate:
        body += "q = GlobalAveragePool(c) q1 = Conv(q, w2, b2) g = HardSigmoid<alpha=0.16666667>(q1) m = Mul(c, g) "
    body += f"p = Conv({'m' if gate else 'c'}, w3, b3) "
    shortcut = (sh, sw) == (1, 1)
    body += "s = Add(a, p) " if shortcut else ""
    body += f"z = GlobalAveragePool({'s' if shortcut else 'p'}) f = Flatten(z) logits = Gemm<transB=1>(f, v, vb)"
    square, row = (channels, channels, 1, 1), (channels,)
    weights = {"w1": square, "b1": row, "k": (channels, 1, kh, kw), "kb": row, "w3": square, "b3": row}
    weights |= {"v": (4, channels), "vb": (4,)} | ({"w2": square, "b2": row} if gate else {})
    weights |= {"k1": (channels, 1, 1, 1)} if branch else {}
    shape = (1, channels, h, w)
    save_model(path, body, shape, seed=kh * 31 + kw, **weights)
    np.save(path.with_suffix(".npy"), np.random.default_rng(h * 31 + w).normal(size=(3, *shape[1:])).astype(np.float32))
    return path


WIDE = {"channels": 3, "before": "HardSwish", "after": "HardSwish", "gate": True, "branch": True}


@CHECKS
@given(networks())
@example({**WIDE, "kernel": (1, 27), "size": (5, 40), "strides": (1, 2)})
@example({**WIDE, "kernel": (29, 1), "size": (40, 3), "strides": (2, 1)})
@example({**WIDE, "kernel": (31, 31), "size": (33, 34), "strides": (1, 1)})
@example({**WIDE, "kernel": (13, 27), "size": (16, 30), "strides": (2, 2)})
def test_each_rewrite_keeps_the_answers(tmp_path, network):
    path = save_network(tmp_path / "before.onnx", **network)
    x = np.load(path.with_suffix(".npy"))
    before = run_onnx(path, x)
    graph = read_graph(path)
    for each in rewrites_for("int8"):  # every precision's rewrites are among int8's
        graph = each(graph)
        after = run_onnx(save_graph(tmp_path / "after.onnx", graph), x)
        assert compare(before, after).snr_db > 100, each.__name__
    for node in graph.nodes:
        if node.op == "Conv" and node.attributes.get("group", 1) == network["channels"] > 1:
            assert np.prod(graph.constants[node.inputs[1]].shape[2:]) <= MAX_TAPS


def drawn(seed):
    """A network by a seeded generator: hypothesis' own draws are for one test function at a time."""
    pick = random.Random(seed)
    kernel = pick.choice([(7, 7), (9, 9), (11, 11), (7, 3), (3, 9), (5, 7), (1, 27), (13, 13), (15, 5), (5, 5)])
    return {
        "kernel": kernel,
        "size": (pick.randrange(4, 20), pick.randrange(4, 20)),
        "strides": pick.choice([(1, 1), (2, 2)]),
        "channels": pick.randrange(2, 9),
        "before": pick.choice(["HardSwish", "Relu"]),
        "after": pick.choice(["HardSwish", "Relu"]),
        "gate": pick.random() < 0.5,
        "branch": pick.random() < 0.5,
    }


@pytest.fixture(scope="module")
def through_litert(tmp_path_factory):
    """For 24 networks, by seed: dB of the rewritten file, as LiteRT runs it, against ONNX Runtime."""
    folder = tmp_path_factory.mktemp("many")
    models = [save_network(folder / f"{seed:02}.onnx", **drawn(seed)) for seed in range(24)]
    convert_together((path, path.with_suffix(".tflite"), {"precision": "fp32"}) for path in models)
    answers = []
    for path in models:
        x = np.load(path.with_suffix(".npy"))
        answers.append(compare(run_onnx(path, x), run_tflite(path.with_suffix(".tflite"), x)).snr_db)
    return answers


def test_litert_answers_as_onnx_runtime_does(through_litert):
    assert len(through_litert) == 24
    for seed, decibels in enumerate(through_litert):
        assert decibels > 100, drawn(seed)
