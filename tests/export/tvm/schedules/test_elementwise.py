import numpy as np
import pytest
from compiled import run


@pytest.mark.parametrize("channels", [1, 3, 16, 40])
@pytest.mark.parametrize(
    "body", ["logits = HardSwish(input)", "logits = Clip(input, low, high)", "logits = Neg(input)"]
)
def test_alone(body, channels):
    bounds = {"low": np.float32(0), "high": np.float32(6)} if "low" in body else {}
    facts = run(body, (1, channels, 5, 5), **bounds)
    assert set(facts.to_json()["rules"]) == {"elementwise"}


def test_several_results():
    text = "r = Reshape(input, to) a, b = Split<axis=2>(r, sizes) p = MatMul(a, w) q = MatMul(b, w) logits = Add(p, q)"
    constants = {"to": np.array([1, 6, 16]), "sizes": np.array([8, 8]), "w": (8, 8)}
    facts = run(text, (1, 2, 3, 16), **constants)
    assert facts.to_json()["rules"].keys() == {"elementwise", "pointwise"}
