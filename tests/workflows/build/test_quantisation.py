"""`--max-drop`: how it is said, and what refuses it before any work."""

from pathlib import Path

import numpy as np
import pytest

from ofa_edge.data.dataset import Images
from ofa_edge.errors import ConfigError, UnsupportedError
from ofa_edge.runtimes import runtime_named
from ofa_edge.vocabulary import Allowed
from ofa_edge.workflows.build.base import BuildOptions
from ofa_edge.workflows.build.images import BuildData
from ofa_edge.workflows.build.plan import make_plan
from ofa_edge.workflows.build.quantisation import limit_of, parse_allowed, require_mixable


@pytest.mark.parametrize(
    ("text", "allowed", "words"),
    [
        ("0.5", Allowed(drop=0.005), "0.5 points of top-1"),
        ("0", Allowed(drop=0.0), "0 points of top-1"),
        (" 25 dB", Allowed(snr_db=25.0), "25 dB"),
        ("30.5db", Allowed(snr_db=30.5), "30.5 dB"),
    ],
)
def test_points_or_decibels(text, allowed, words):
    found = parse_allowed(text)
    assert found == allowed
    assert found.words == words


@pytest.mark.parametrize("text", ["", "-1", "half", "5 %", "1e400", "nan"])
def test_anything_else_is_refused(text):
    with pytest.raises(ConfigError, match="bad --max-drop"):
        parse_allowed(text)


def test_what_is_kept():
    assert Allowed(drop=0.01).keeps(5.0, 0.01)
    assert not Allowed(drop=0.01).keeps(99.0, 0.011)
    assert not Allowed(drop=0.01).keeps(99.0, None)
    assert Allowed(snr_db=20.0).keeps(20.0, None)
    assert not Allowed(snr_db=20.0).keeps(19.9, 0.0)


@pytest.mark.parametrize(("runtime", "precision"), [("tflite", "fp32"), ("tvm", "fp32"), ("onnxruntime", "int8")])
def test_only_integers_that_can_be_mixed(runtime, precision):
    require_mixable(None, runtime_named(runtime), precision)
    with pytest.raises(UnsupportedError, match="--max-drop does nothing"):
        require_mixable("1", runtime_named(runtime), precision)


def test_points_need_labels():
    images = Images(np.zeros((4, 2, 2, 1), np.uint8), np.zeros(4, np.int64))
    unlabelled = BuildData(images, images, images, "4 images", labelled=False)
    assert limit_of(None, unlabelled) is None
    assert limit_of("20dB", unlabelled).allowed == Allowed(snr_db=20.0)
    with pytest.raises(ConfigError, match="top-1 means nothing"):
        limit_of("0.5", unlabelled)


def test_a_plan_is_refused_before_any_work(tmp_path: Path):
    options = BuildOptions(target="host", precision="fp32", max_drop="1", device="none", out=tmp_path / "out")
    with pytest.raises(UnsupportedError):
        make_plan(options)
    assert not (tmp_path / "out").exists()
