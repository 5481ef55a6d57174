"""Which nodes would not convert: asked of the map itself, all files in one process."""

import numpy as np
import onnx
import pytest
from onnx_text import save_model

from ofa_edge.export.tflite.trial import try_nodes

MAP = (1, 4, 9, 9)
CASES = {
    "sound": ("c = Conv<group=4>(input, w) r = Relu(c) logits = Flatten(r)", MAP, {"w": (4, 1, 3, 3)}),
    "a free batch": ("logits = Relu(input)", ("batch", 4, 9, 9), {}),
    "of three dimensions": (
        'c = Resize<mode="nearest">(input, , by) logits = Resize<mode="nearest">(c, , by)',
        (1, 4, 5, 5, 5),
        {"by": np.array([1, 1, 2, 2, 2], np.float32)},
    ),
    "outside the map": ("a = Sin(input) b = Sin(a) logits = Relu(b)", MAP, {}),
    "another form": (
        'm = Pad<mode="edge">(input, by) logits = Conv(m, w)',
        MAP,
        {"by": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "w": (4, 4, 1, 1)},
    ),
    "two outputs": ("m, i = MaxPool<kernel_shape=[2,2]>(input) c = Cast<to=1>(i) logits = Add(m, c)", MAP, {}),
    "weights of half size": ("logits = Conv(input, w)", MAP, {"w": np.ones((4, 4, 1, 1), np.float16)}),
    "free sizes": ("logits = Relu(input)", (1, 4, None, 9), {}),
}
EXPECTED = {
    "sound": ([], []),
    "a free batch": ([], []),
    "of three dimensions": (["Resize_0", "Resize_1"], []),
    "outside the map": (["Sin_0", "Sin_1"], []),
    "another form": (["Pad_0"], []),
    "two outputs": (["MaxPool_0"], ["Cast_1"]),
    "weights of half size": (["Conv_0"], []),
    "free sizes": ([], ["Relu_0"]),
}


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    """By case, what became of its nodes."""
    folder = tmp_path_factory.mktemp("trial")
    paths = [
        save_model(folder / f"{number}.onnx", body, shape, **weights)
        for number, (body, shape, weights) in enumerate(CASES.values())
    ]
    return dict(zip(CASES, try_nodes(paths), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_which_nodes_are_named(trials, case):
    found = trials[case]
    assert found.tried
    assert ([each.node for each in found.refused], list(found.untried)) == EXPECTED[case]


def test_reasons_are_the_converters(trials):
    (resize, _), (pad,) = trials["of three dimensions"].refused, trials["another form"].refused
    assert (resize.op, resize.why) == ("Resize", "its input has 5 dimensions")
    assert "mode edge" in pad.why
    assert "float16" in trials["weights of half size"].refused[0].why, "TensorFlow's own words"


def test_weights_in_a_data_file_are_not_read(tmp_path):
    body = "r = Reshape(input, to) logits = Conv(r, w)"
    path = save_model(tmp_path / "m.onnx", body, MAP, to=np.array([1, 4, 3, 27]), w=(64, 4, 3, 3))
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    data = tmp_path / "w.bin"
    data.write_bytes(data.read_bytes()[:32] + bytes(data.stat().st_size - 32))  # the sizes, then zeros
    (trial,) = try_nodes([path])
    assert (trial.refused, trial.untried) == ((), ())
