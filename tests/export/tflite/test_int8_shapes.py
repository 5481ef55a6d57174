"""Integers of what is taken apart on the way to TensorFlow: each step of it needs a range of its own."""

import numpy as np
import pytest
from map_cases import CASES
from onnx_text import save_model

from ofa_edge.export.onnx.run import open_session
from ofa_edge.export.tflite.convert import convert, run_tflite
from ofa_edge.metrics import power, snr_db

_OPSETS = {"average pool, dilated, rounded up": 19}


@pytest.mark.parametrize(
    "case",
    [
        "max pool, dilated",
        "average pool, dilated, rounded up",
        "a volume, transposed, with gaps",
        "recurrent, lstm, peeping both ways, from a state",
    ],
)
def test_int8_is_near(tmp_path, case):
    body, shape, weights = CASES[case]
    path = save_model(tmp_path / "model.onnx", body, shape, opset=_OPSETS.get(case, 17), **weights)
    given = np.random.default_rng(1).normal(size=(64, *shape[1:])).astype(np.float32)
    convert(path, tmp_path / "model.tflite", "int8", given)
    session = open_session(path)
    name = session.get_inputs()[0].name
    wanted = np.concatenate([session.run(None, {name: row[np.newaxis]})[0].reshape(1, -1) for row in given])
    found = run_tflite(tmp_path / "model.tflite", given).reshape(wanted.shape)
    assert snr_db(power(wanted), power(wanted - found)) > 25
