import math

import numpy as np
import pytest

from ofa_edge.export.tvm.schedules.curves import with_curves

EXACT = {
    "exp": np.exp,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "erf": np.vectorize(math.erf),
}
RELATIVE = {"exp": 2.4e-7, "sigmoid": 2.4e-7, "tanh": 4e-7, "erf": 4e-7}


def computed(name: str, values: np.ndarray) -> np.ndarray:
    """A curve over float32 values, written out and compiled for this machine."""
    import tvm
    from tvm import te, tirx

    x = te.placeholder(values.shape, "float32", "x")
    func = te.create_prim_func([x, te.compute(values.shape, lambda i: getattr(tirx, name)(x[i]), "y")])
    written = with_curves(func)
    assert not written.same_as(func)
    compiled = tvm.compile(written, target="llvm")
    out = tvm.runtime.tensor(np.zeros_like(values))
    compiled(tvm.runtime.tensor(values), out)
    return out.numpy()


@pytest.mark.parametrize("name", sorted(EXACT))
def test_near_the_exact_value_over_the_whole_range(name):
    values = np.concatenate([np.linspace(-86, 86, 40001), np.linspace(-1e-3, 1e-3, 2001)]).astype(np.float32)
    wanted = EXACT[name](values.astype(np.float64))
    assert (np.abs(computed(name, values) - wanted) <= RELATIVE[name] * np.abs(wanted) + 1e-37).all()


@pytest.mark.parametrize(
    ("name", "ends"), [("exp", (0, 2.4e38)), ("sigmoid", (0, 1)), ("tanh", (-1, 1)), ("erf", (-1, 1))]
)
def test_beyond_the_range(name, ends):
    values = np.array([-np.inf, -200, 200, np.inf, np.nan], np.float32)
    found = computed(name, values)
    np.testing.assert_allclose(found[:2], ends[0], atol=1e-36)
    np.testing.assert_allclose(found[2:4], ends[1], rtol=0.02)
    assert np.isnan(found[4])


def test_a_function_without_curves_is_itself():
    from tvm import te

    x = te.placeholder((4,), "float32", "x")
    func = te.create_prim_func([x, te.compute((4,), lambda i: x[i] + 1, "y")])
    assert with_curves(func).same_as(func)
