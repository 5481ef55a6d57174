"""Several outputs of an int8 file: of all of them the worst decides, however small its numbers are."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_text import save_model

from ofa_edge.export.tflite.choosing import choose
from ofa_edge.export.tflite.convert import convert
from ofa_edge.export.tflite.int8_blame import blame, pair_of
from ofa_edge.export.tflite.loss import Exact
from ofa_edge.export.tflite.running import answers_of
from ofa_edge.metrics import power, snr_db
from ofa_edge.vocabulary import Allowed

BODY = """
a = Conv<pads=[1,1,1,1]>(input, w0) b = Relu(a)
c = Conv<pads=[1,1,1,1]>(b, w1) d = Relu(c)
e = Conv(d, w2)
logits = GlobalAveragePool(e)
small = Conv<strides=[2,2]>(b, w3)
"""
RANDOM = np.random.default_rng(5)
IMAGES = RANDOM.standard_normal((40, 3, 8, 8), np.float32)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The int8 file and its twin: logits in hundreds, and a map in thousandths."""
    folder = tmp_path_factory.mktemp("two")
    tiny = (1e-3 * RANDOM.standard_normal((2, 8, 1, 1))).astype(np.float32)
    tiny[0, 0] = 0.2  # one weight that is far larger: the others get few steps
    path = save_model(
        folder / "two.onnx", BODY, (1, 3, 8, 8), w0=(8, 3, 3, 3), w1=(8, 8, 3, 3), w2=(5, 8, 1, 1), w3=tiny
    )
    model = onnx.load(path)
    model.graph.output.append(helper.make_tensor_value_info("small", TensorProto.FLOAT, None))
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    convert(path, folder / "two.tflite", "int8", IMAGES)
    return pair_of(folder / "two.tflite", path)


@pytest.fixture(scope="module")
def by_output(two):
    """Signal to noise of each output."""
    exact = Exact.of(two, IMAGES)
    assert [part.stop - part.start for part in exact.parts] == [5, 2 * 4 * 4]
    apart = answers_of(two.packed(), IMAGES) - exact.answers
    return [snr_db(power(exact.answers[:, part]), power(apart[:, part])) for part in exact.parts]


def test_the_worst_output_is_what_is_said(two, by_output):
    found = blame(two, IMAGES)
    assert found.snr_db == pytest.approx(min(by_output))
    assert found.added_db == pytest.approx(found.snr_db, abs=4)


def test_what_makes_the_small_output_alone_has_its_share(two):
    shares = {each.layer: each.share for each in blame(two, IMAGES).layers}
    assert shares["Conv_6"] > 0.02
    assert shares["Conv_0"] > 0.02


def test_each_output_keeps_what_is_asked_for(two, by_output):
    wanted = min(by_output) + 1.5  # the logits have it, and of all values together they are nearly all power
    assert max(by_output) > wanted
    content, record = choose(two, IMAGES, None, Allowed(snr_db=wanted))
    exact = Exact.of(two, IMAGES)
    apart = answers_of(content, IMAGES) - exact.answers
    kept = [snr_db(power(exact.answers[:, part]), power(apart[:, part])) for part in exact.parts]
    assert record.reached
    assert min(kept) == pytest.approx(record.snr_db)
    assert min(kept) >= wanted
