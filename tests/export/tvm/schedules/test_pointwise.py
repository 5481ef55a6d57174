import numpy as np
import pytest
from compiled import avx2, rules, run

from ofa_edge.export.tvm import compile as tvm
from ofa_edge.export.tvm.schedules.isa import Isa
from ofa_edge.export.tvm.schedules.knobs import Knobs, default_knobs
from ofa_edge.export.tvm.schedules.packing import pack_array
from ofa_edge.export.tvm.schedules.pointwise import product_tile, rows_outermost

AVX512, AVX2, NEON = Isa("avx512", 64, 32, True), Isa("avx2", 32, 16, True), Isa("neon", 16, 32, lane_operands=True)


@pytest.mark.parametrize(
    ("size", "inputs", "outputs"),
    [(14, 16, 96), (7, 24, 40), (13, 3, 10), (5, 7, 17), (3, 8, 1), (1, 40, 72), (1, 1, 1), (23, 5, 24), (4, 1, 130)],
)
def test_products_of_any_shape(size, inputs, outputs):
    facts = run(
        "y = Conv(input, w, b) logits = HardSwish(y)",
        (1, inputs, size, size),
        w=(outputs, inputs, 1, 1),
        b=(outputs,),
    )
    assert rules(facts) == {"pointwise": 1}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("rows", "outputs"), [(197, 64), (49, 40), (13, 24), (5, 8)])
def test_a_prime_number_of_rows(rows, outputs, threads):
    body = "y = MatMul(input, w) z = Add(y, b) logits = Relu(z)"
    facts = run(body, (1, rows, 48), tvm.host_target(cores=threads), w=(48, outputs), b=(outputs,))
    assert rules(facts) == {"pointwise": 1}


@pytest.mark.parametrize(("rows", "threads"), [(196, 2), (196, 4), (210, 4), (202, 2), (197, 2)])
def test_each_thread_has_a_last_tile_of_fewer_rows(rows, threads):
    body = "y = MatMul(input, w) z = Add(y, b) logits = Relu(z)"
    knobs = Knobs(rows=9, parallel_work=1)
    facts = run(body, (1, rows, 16), tvm.host_target(cores=threads), knobs=knobs, w=(16, 48), b=(48,))
    assert rules(facts) == {"pointwise": 1}


@pytest.mark.parametrize(("heads", "rows", "depth", "outputs"), [((3,), 19, 16, 24), ((2, 3), 8, 5, 40)])
def test_products_of_many_pairs(heads, rows, depth, outputs):
    facts = run("logits = MatMul(input, w)", (1, *heads, rows, depth), w=(1, *heads, depth, outputs))
    assert rules(facts) == {"batched": 1}


def test_a_last_tile_of_fewer_rows_is_taken_where_the_others_gain():
    knobs = default_knobs(AVX2)
    assert product_tile(197, 64, AVX2, knobs, 32, ragged=True).rows > 1
    assert product_tile(197, 64, AVX2, knobs, 32).rows == 1
    assert product_tile(196, 64, AVX2, knobs, 32, ragged=True) == product_tile(196, 64, AVX2, knobs, 32)


def test_bias_residual_and_activation_are_one_function():
    facts = run("y = Conv(input, w, b) z = Add(y, input) logits = Relu(z)", (1, 48, 9, 9), w=(48, 48, 1, 1), b=(48,))
    assert rules(facts) == {"pointwise": 1}
    assert facts.to_json()["rules"]["elementwise"] == 2  # the transposes at both ends


def test_stride_without_padding():
    assert rules(run("logits = Conv<strides=[2, 2]>(input, w)", (1, 8, 9, 9), w=(24, 8, 1, 1))) == {"pointwise": 1}


@pytest.mark.parametrize("classes", [10, 37, 1000])
def test_fully_connected(classes):
    body = "x = Conv(input, v) p = GlobalAveragePool(x) f = Flatten(p) logits = Gemm<transB=1>(f, w, b)"
    facts = run(body, (1, 4, 3, 3), v=(40, 4, 1, 1), w=(classes, 40), b=(classes,))
    assert rules(facts) == {"pooling": 1, "pointwise": 2}


@pytest.mark.parametrize("size", [1, 7, 14])
def test_squeeze_and_excite(size):
    body = """
        x = Conv(input, v) p = GlobalAveragePool(x) r = Conv(p, w0, b0) a = Relu(r) e = Conv(a, w1, b1)
        g = HardSigmoid<alpha=0.16666667, beta=0.5>(e) logits = Mul(x, g)
    """
    facts = run(body, (1, 8, size, size), v=(72, 8, 1, 1), w0=(24, 72, 1, 1), b0=(24,), w1=(72, 24, 1, 1), b1=(72,))
    assert not facts.fallbacks
    assert rules(facts)["pointwise"] == 3


def test_avx2_where_avx512_is_switched_off():
    facts = run("logits = Conv(input, w, b)", (1, 24, 14, 14), avx2(), w=(88, 24, 1, 1), b=(88,))
    assert facts.isa != "avx512"
    assert rules(facts) == {"pointwise": 1}


@pytest.mark.parametrize("isa", [AVX512, AVX2, NEON])
@pytest.mark.parametrize("channels", [1, 8, 10, 24, 40, 72, 112, 960, 1000])
@pytest.mark.parametrize("rows", [1, 49, 169, 3136])
def test_tiles_divide_and_fit(isa, channels, rows):
    tile = product_tile(rows, channels, isa, default_knobs(isa), 32)
    assert rows % tile.rows == 0
    assert channels % (tile.vectors * tile.lanes) == 0
    assert tile.lanes <= isa.lanes()
    assert (tile.rows + 1) * tile.vectors < isa.registers


def test_tiles_are_large_where_shapes_allow():
    for isa in (AVX512, AVX2, NEON):
        tile = product_tile(196, 960, isa, default_knobs(isa), 32)
        assert tile.rows * tile.vectors >= 8
        assert tile.lanes == isa.lanes()


def test_order_reads_the_smaller_side_again():
    assert rows_outermost(3136, 64, Knobs())
    assert not rows_outermost(49, 960, Knobs())
    assert rows_outermost(49, 960, Knobs(order="rows"))


def test_packed_weights_are_panels_in_order():
    weights = np.arange(24.0).reshape(1, 2, 12)
    packed = pack_array(weights, 4)
    assert packed.shape == (3, 1, 2, 4)
    np.testing.assert_array_equal(packed[1, 0, 1], weights[0, 1, 4:8])
    assert packed.flags.c_contiguous
