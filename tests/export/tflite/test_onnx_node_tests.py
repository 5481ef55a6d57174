"""ONNX's own tests of single operators: each converts and gives the expected answer, or stands here with its reason.

The list is exact: what begins to pass has to leave it.
"""

import json
import os
import subprocess
import sys

import pytest
from places import ROOT

from ofa_edge.export.tflite.tf_ops import BUILDERS

NOT_TAKEN = {
    # ONNX Runtime runs none, so no file that is given has it.
    "layout 1": tuple(f"{kind}_batchwise" for kind in ("gru", "lstm", "simple_rnn")),
    # Statistics of a batch, and chance: a network that is exported to be run has neither.
    "it is in training mode": (
        *(f"batchnorm_{form}_training_mode" for form in ("example", "epsilon")),
        *(f"training_dropout{form}" for form in ("", "_default", "_mask", "_default_mask")),
        *(f"training_dropout_zero_ratio{form}" for form in ("", "_mask")),
    ),
    # What is cut out is found by the network itself (a detector's second stage), and how often: no constant tells it.
    "coordinates tf_crop_and_resize": (
        *(f"resize_tf_crop_and_resize{form}" for form in ("", "_extrapolation_value", "_axes_2_3", "_axes_3_2")),
    ),
    # A scale of 0.6 of 4 pixels: the size is 2 to ONNX Runtime, which answers are held against, and 2.4 to this test.
    "off by": tuple(f"resize_downsample_scales_{mode}_align_corners" for mode in ("linear", "cubic")),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """By test: its operator, and what became of it."""
    out = tmp_path_factory.mktemp("nodes") / "found.json"
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
    command = [sys.executable, "-m", "onnx_node_cases", str(out)]
    environment = {**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


def test_each_is_right_or_on_the_list(found):
    wrong = {name: why for name, (_, why) in found.items() if why}
    listed = {f"test_{name}": reason for reason, names in NOT_TAKEN.items() for name in names}
    assert {name: why for name, why in wrong.items() if name not in listed} == {}
    assert listed.keys() - wrong.keys() == set(), "these pass, or are no more: take them off the list"
    assert {name: why for name, why in wrong.items() if listed[name] not in why} == {}, "another reason"


def test_operators_without_a_test_that_passes(found):
    right = {operator for operator, why in found.values() if not why}
    # Casts are none from float to float, Einsum's tests are double; truth values are no floats.
    assert BUILDERS.keys() - right == {"Cast", "Einsum", "Equal", "Where"}
