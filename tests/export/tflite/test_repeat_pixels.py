"""Nearest neighbours of whole factors, and slices in steps: copies that XNNPACK makes, in float and in int8."""

import itertools

import numpy as np
import pytest
from converted import convert_together
from onnx_text import save_model

from ofa_edge.export.inspect import inspect_model
from ofa_edge.export.onnx.run import run_onnx
from ofa_edge.export.tflite.convert import operators, run_tflite
from ofa_edge.export.tflite.flatbuffer import unpack
from ofa_edge.export.tflite.int8_blame import blame, pair_of
from ofa_edge.export.tflite.mixed import mixed
from ofa_edge.export.tflite.pair import scale_of
from ofa_edge.export.tflite.rewrites.open_strides import open_strides
from ofa_edge.export.tflite.rewrites.repeat_pixels import repeat_pixels
from ofa_edge.export.tflite.running import answers_of

SHAPE = (1, 3, 5, 4)
NEAREST = "RESIZE_NEAREST_NEIGHBOR"
PLAIN = 'coordinate_transformation_mode="asymmetric", nearest_mode="floor"'


def resized(where, rounding, shape, *factors):
    """A resizing between two operators that XNNPACK runs, so that one that it does not run cuts the graph."""
    attributes = f'mode="nearest", coordinate_transformation_mode="{where}", nearest_mode="{rounding}"'
    body = f"a = Abs(input) b = Resize<{attributes}>(a, , by) c = Neg(b) logits = Abs(c)"
    return body, shape, {"by": np.array([1, 1, *factors], np.float32)}, 19


def of_opset(opset, resizing, by):
    """Likewise, in the form of an opset."""
    by = by if isinstance(by, np.ndarray) else np.float32(by)
    return f"a = Abs(input) b = {resizing} c = Neg(b) logits = Abs(c)", SHAPE, {"by": by}, opset


REPEATED = {
    **{
        f"{where} {rounding} {factor}": resized(where, rounding, SHAPE, factor, factor)
        for (where, rounding), factor in itertools.product(
            (
                ("asymmetric", "floor"),
                ("half_pixel", "round_prefer_floor"),
                ("pytorch_half_pixel", "round_prefer_ceil"),
            ),
            (2, 3, 4),
        )
    },
    "rows alone": resized("asymmetric", "floor", SHAPE, 2, 1),
    "columns alone": resized("asymmetric", "floor", SHAPE, 1, 2),
    "each its own": resized("asymmetric", "floor", SHAPE, 3, 8),
    "large": resized("asymmetric", "floor", SHAPE, 6, 25),
    "a prime": resized("asymmetric", "floor", SHAPE, 7, 2),
    "one pixel": resized("asymmetric", "floor", (1, 6, 1, 1), 5, 7),
    "one channel": resized("half_pixel", "round_prefer_floor", (1, 1, 6, 5), 2, 2),
    "upsample": of_opset(9, "Upsample(a, by)", [1, 1, 2, 2]),
    "opset 10": of_opset(10, "Resize(a, by)", [1, 1, 3, 2]),
    "by sizes": of_opset(13, f"Resize<{PLAIN}>(a, , , by)", np.array([1, 3, 10, 12])),
}


def sliced(shape, axes, steps, starts, ends=None):
    """A slice in steps, likewise between two operators."""
    weights = {"starts": starts, "ends": ends or [shape[axis] for axis in axes], "axes": axes, "steps": steps}
    body = "a = Abs(input) b = Slice(a, starts, ends, axes, steps) c = Neg(b) logits = Abs(c)"
    return body, shape, {name: np.array(value) for name, value in weights.items()}, 13


OPENED = {
    "smaller": resized("asymmetric", "floor", (1, 3, 6, 4), 0.5, 0.25),
    "columns smaller": resized("asymmetric", "floor", (1, 3, 5, 4), 1, 0.5),
    "rows and columns": sliced((1, 3, 6, 4), [2, 3], [2, 2], [1, 0]),
    "of channels": sliced((1, 6, 5, 4), [1], [3], [2]),
    "not from the beginning": sliced((1, 3, 12, 4), [2], [3], [4], [12]),
    "not to the end": sliced((1, 3, 12, 4), [2, 3], [2, 4], [-9, -1], [9, 4]),
}
LEFT = {
    "not whole": resized("asymmetric", "floor", (1, 3, 6, 4), 1.5, 2),
    "smaller one way": resized("asymmetric", "floor", (1, 3, 6, 4), 0.5, 2),
    "a step that does not divide": sliced((1, 3, 7, 4), [2], [2], [0]),
    "backwards": sliced((1, 3, 6, 4), [2], [-1], [-1], [-7]),
    "other pixels": resized("asymmetric", "round_prefer_floor", SHAPE, 3, 3),
    "corners": resized("align_corners", "round_prefer_floor", SHAPE, 3, 3),
}
# A neck: what is coarse grows and is added to the fine; what came of it grows and is put beside the input.
NECK = """
    a = Conv<strides=[2, 2], pads=[1, 1, 1, 1]>(input, wa) b = Relu(a)
    c = Conv<strides=[2, 2], pads=[1, 1, 1, 1]>(b, wc) d = Resize<coordinate_transformation_mode="asymmetric",
    nearest_mode="floor">(c, , by) e = Add(b, d) f = Conv(e, wf) g = Resize(f, , by) h = Concat<axis=1>(g, input)
    i = Resize(h, , big) j = Slice(i, none, ends, axes, two) logits = Conv(j, wi)
"""
SIZES = {"wa": (8, 3, 3, 3), "wc": (8, 8, 3, 3), "wf": (4, 8, 1, 1), "wi": (2, 7, 1, 1)}
FACTORS = {"by": np.float32([1, 1, 2, 2]), "big": np.float32([1, 1, 7, 1])}
FACTORS |= {"none": np.array([0, 1]), "ends": np.array([84, 8]), "axes": np.array([2, 3]), "two": np.array([2, 2])}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """By case: the ONNX file and the fp32 file."""
    folder = tmp_path_factory.mktemp("nearest")
    found = {}
    for at, (case, (body, shape, weights, opset)) in enumerate({**REPEATED, **OPENED, **LEFT}.items()):
        path = save_model(folder / f"{at}.onnx", body, shape, opset=opset, **weights)
        found[case] = path, path.with_suffix(".tflite")
    convert_together((path, out, {"precision": "fp32"}) for path, out in found.values())
    return found


@pytest.mark.parametrize("case", [*REPEATED, *OPENED, *LEFT])
def test_answers_are_onnx_runtimes_to_the_bit(made, case):
    path, out = made[case]
    shape = (REPEATED | OPENED | LEFT)[case][1]
    x = np.random.default_rng(0).normal(size=(3, *shape[1:])).astype(np.float32)
    assert np.array_equal(run_tflite(out, x), run_onnx(path, x))


@pytest.mark.parametrize("case", [*REPEATED, *OPENED])
def test_whole_factors_are_delegated_in_one_partition(made, case):
    _, out = made[case]
    assert not {NEAREST, "STRIDED_SLICE"} & set(operators(out))
    found = inspect_model(out)
    assert not {each.code for each in found.findings} & {"undelegated-operator", "several-partitions"}
    assert next(words for name, words in found.facts.items() if "LiteRT" in name).startswith("1 XNNPACK partition,")


@pytest.mark.parametrize("case", LEFT)
def test_others_are_left(made, case):
    content = made[case][1].read_bytes()
    assert open_strides(repeat_pixels(content, bytes), bytes) == content
    assert not {"CONCATENATION", "SLICE"} & set(operators(made[case][1]))


def test_zero_keeps_its_sign_and_what_is_no_number_stays(made, tmp_path):
    path = save_model(tmp_path / "a.onnx", "logits = Resize(input, , by)", SHAPE, by=np.float32([1, 1, 2, 7]))
    convert_together([(path, tmp_path / "a.tflite", {"precision": "fp32"})])
    x = np.random.default_rng(0).choice(np.float32([-0.0, 0.0, np.inf, -np.inf, np.nan]), SHAPE)
    found, wanted = run_tflite(tmp_path / "a.tflite", x), run_onnx(path, x)
    assert np.array_equal(found, wanted, equal_nan=True)
    assert np.array_equal(np.signbit(found)[found == 0], np.signbit(wanted)[found == 0])


@pytest.fixture(scope="module")
def necks(tmp_path_factory):
    """The neck in each precision, in int8 also with TFLite's own operator; and its images."""
    folder = tmp_path_factory.mktemp("neck")
    path = save_model(folder / "neck.onnx", NECK, (1, 3, 12, 8), **SIZES, **FACTORS)
    images = np.random.default_rng(0).normal(size=(24, 3, 12, 8)).astype(np.float32)
    np.save(folder / "images.npy", images)
    eight = {"precision": "int8", "images": str(folder / "images.npy")}
    settings = {name: {"precision": name} for name in ("fp32", "fp16", "dynamic")}
    settings |= {"int8": eight, "native": {**eight, "skip": ["repeat_pixels", "open_strides"]}}
    files = {name: folder / f"{name}.tflite" for name in settings}
    convert_together((path, files[name], settings[name]) for name in settings)
    return path, files, images


@pytest.mark.parametrize("precision", ["fp32", "fp16", "dynamic", "int8"])
def test_a_neck_is_one_partition(necks, precision):
    _, files, _ = necks
    assert not [each for each in inspect_model(files[precision]).findings if each.severity == "fault"]


def test_int8_gives_the_integers_of_the_native_operator(necks):
    _, files, images = necks
    assert operators(files["native"]).count(NEAREST) == 3
    assert np.array_equal(run_tflite(files["int8"], images), run_tflite(files["native"], images))


def test_int8_copies_have_one_scale(necks):
    model = unpack(necks[1]["int8"].read_bytes())
    names, graph = operators(necks[1]["int8"]), model.subgraphs[0]
    copies = 0
    for name, op in zip(names, graph.operators, strict=True):
        if name == "CONCATENATION" and len(set(map(int, op.inputs))) == 1:
            copies += 1
            assert scale_of(graph.tensors[op.inputs[0]]) == scale_of(graph.tensors[op.outputs[0]])
    assert copies == 4


def test_operators_are_known_by_their_nodes(necks):
    """The int8 file has a twin, copies cost nothing, and any part of it can be left in fp32."""
    path, files, images = necks
    pair = pair_of(files["int8"], path)
    resizes = {name: places for name, places in pair.layers.items() if name.startswith("Resize")}
    assert len(resizes) == 3
    assert all({"RESHAPE"} < {pair.names[place] for place in places} for places in resizes.values())
    shares = {each.layer: each.share for each in blame(pair, images[:4]).layers}
    assert max(shares[name] for name in resizes) < 0.01
    some = {place for places in resizes.values() for place in places}
    assert np.array_equal(answers_of(mixed(pair, some), images), answers_of(pair.packed(), images))


def test_each_operator_can_be_timed(necks):
    assert len(inspect_model(necks[1]["fp32"], profile=True).profile) == len(operators(necks[1]["fp32"]))
