import numpy as np
import pytest
from compiled import rules, run

from ofa_edge.export.tvm import compile as tvm


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("columns", [64, 19, 8, 5, 1])
def test_softmax_of_rows_of_any_length(columns, threads):
    facts = run("logits = Softmax(input)", (1, 3, 17, columns), tvm.host_target(cores=threads))
    assert rules(facts) == {"rowwise": 1}


@pytest.mark.parametrize("channels", [24, 21, 192])
def test_layer_norm(channels):
    text = "logits = LayerNormalization<axis=-1>(input, a, b)"
    facts = run(text, (1, 17, channels), a=(channels,), b=(channels,))
    assert rules(facts) == {"rowwise": 1}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("channels", [168, 21, 3])
@pytest.mark.parametrize("operator", ["LayerNormalization<axis=-1>(input, a, b)", "Softmax(input)"])
def test_one_row(operator, channels, threads):
    text = f"logits = {operator}"
    weights = {"a": (channels,), "b": (channels,)} if "Layer" in operator else {}
    facts = run(text, (1, 1, 1, channels), tvm.host_target(cores=threads), **weights)
    assert rules(facts) == {"rowwise": 1}


@pytest.mark.parametrize("axes", ["[3]", "[2,3]", "[1,2,3]"])
@pytest.mark.parametrize("keep", [0, 1])
def test_means_of_what_lies_innermost(axes, keep):
    facts = run(f"logits = ReduceMean<axes={axes}, keepdims={keep}>(input)", (1, 6, 4, 10))
    assert rules(facts) == {"rowwise": 1}


def test_what_comes_before_and_after_is_in_the_same_function():
    text = "n = InstanceNormalization(input, a, b) logits = Relu(n)"
    facts = run(text, (1, 8, 7, 7), a=(8,), b=(8,))
    assert rules(facts) == {"rowwise": 2}


def test_large_values_do_not_overflow():
    facts = run("s = Mul(input, k) logits = Softmax(s)", (1, 4, 40), k=np.float32(300))
    assert not facts.fallbacks
