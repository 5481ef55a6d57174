"""Operators of two networks side by side."""

from ofa_edge.report.aligned import Operator, aligned


def network(*whats: str) -> list[Operator]:
    return [Operator(f"n{place}", what, "1x8x4x4") for place, what in enumerate(whats)]


def kinds(before: list[Operator], after: list[Operator]) -> list[str]:
    return [item.kind for item in aligned(before, after)]


def test_a_network_is_the_same_as_itself():
    one = network("Conv 3x3", "Relu", "Conv 1x1", "Gemm")
    assert kinds(one, one) == ["same"] * 4


def test_an_operator_that_was_put_in_or_taken_out_moves_no_other():
    short, long = network("Conv 3x3", "Relu", "Gemm"), network("Conv 3x3", "Relu", "Sigmoid", "Mul", "Gemm")
    assert kinds(short, long) == ["same", "same", "added", "added", "same"]
    assert kinds(long, short) == ["same", "same", "removed", "removed", "same"]


def test_another_kernel_in_its_place_is_one_change():
    before, after = network("Conv 3x3", "Relu", "Gemm"), network("Conv 5x5", "Relu", "Gemm")
    first, *others = aligned(before, after)
    assert (first.kind, first.before, first.after) == ("changed", before[0], after[0])
    assert [item.kind for item in others] == ["same", "same"]


def test_another_shape_is_a_change_and_another_name_is_none():
    before = [Operator("a", "Relu", "1x8x4x4")]
    assert kinds(before, [Operator("b", "Relu", "1x8x4x4")]) == ["same"]
    assert kinds(before, [Operator("a", "Relu", "1x16x4x4")]) == ["changed"]


def test_every_operator_is_told_once():
    before = network("Conv 3x3", "Relu", "Conv 5x5", "Add", "Gemm")
    after = network("Conv 3x3", "Conv 1x1", "Relu", "Mul", "Conv 7x7", "Gemm", "Softmax")
    found = aligned(before, after)
    assert [item.before for item in found if item.before] == before
    assert [item.after for item in found if item.after] == after
