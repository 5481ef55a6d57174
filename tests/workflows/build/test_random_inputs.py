"""Random images of several kinds, and what a build says where a network answers with rounding noise alone."""

import json
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from builds import Stages
from onnx import TensorProto, helper, numpy_helper

from ofa_edge.builds import Build
from ofa_edge.cache import StageCache
from ofa_edge.errors import UnsupportedError
from ofa_edge.workflows.build.base import BuildOptions, ModelOptions
from ofa_edge.workflows.build.random_inputs import KINDS, varied_images
from ofa_edge.workflows.build.run import plan_build, run_build
from ofa_edge.workflows.build.steady_inputs import steady_kinds
from ofa_edge.workflows.verify import images_of

SIDE = 64


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(64, 64), (48, 320), (1, 1), (7, 100)])
def test_four_kinds_in_turn_the_same_at_every_call(shape, channels):
    images = varied_images(8, shape, channels, seed=3)
    assert images.pixels.shape == (8, *shape, channels)
    assert images.pixels.dtype == np.uint8
    np.testing.assert_array_equal(images.pixels, varied_images(8, shape, channels, seed=3).pixels)
    if min(shape) > 40:
        assert (images.pixels != varied_images(8, shape, channels, seed=4).pixels).any(axis=(1, 2, 3)).all()


def test_each_kind_is_what_it_is_called():
    smooth, noise, blocks, writing = varied_images(4, (128, 128), 1, seed=0).pixels[..., 0].astype(int)
    steps = [np.abs(np.diff(each, axis=1)) for each in (smooth, noise, blocks, writing)]
    assert np.median(steps[0]) < 0.2 * np.median(steps[1])
    assert (steps[2] > 0).mean() < 0.05 < (steps[1] > 0).mean()
    assert (writing < 100).mean() > 0.02  # ink
    assert (writing > 150).mean() > 0.4  # paper


def detector_of_edges(path, threshold=45.0, gain=60.0):
    """[1, 3, 64, 64] -> [1, 1, 64, 64]: 1 at edges of ink, some 1e-20 elsewhere, as detectors of text are."""
    corner = np.zeros((1, 3, 3, 3), np.float32)
    corner[0, :, 1, 1], corner[0, :, 1, 2] = 1.0, -1.0
    weights = {"w": corner, "gain": np.float32([gain]), "threshold": np.float32([threshold])}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["step"], "step", pads=[1, 1, 1, 1]),
        helper.make_node("Abs", ["step"], ["size"], "size"),
        helper.make_node("Mul", ["size", "gain"], ["much"], "much"),
        helper.make_node("Sub", ["much", "threshold"], ["over"], "over"),
        helper.make_node("Sigmoid", ["over"], ["y"], "edge"),
    ]
    return save(path, nodes, weights, [1, 1, SIDE, SIDE])


def save(path, nodes, weights, out):
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def built(path, out):
    options = BuildOptions(
        target="raspberry-pi-4",
        device="none",
        out=out,
        model=ModelOptions(path, task="features", mean=(0.0,) * 3, std=(255.0,) * 3),
    )
    return run_build(plan_build(options), StageCache(out.with_name("cache")), ["test"], Stages())


def parity(manifest):
    return next((each.outcome, each.code) for each in manifest.verdicts if each.gate == "parity")


def test_a_detector_that_is_dark_on_smooth_images_is_held_to_what_it_sees(tmp_path):
    manifest = built(detector_of_edges(tmp_path / "edges.onnx"), tmp_path / "out")
    assert parity(manifest) == ("pass", "all-rungs-within-tolerance")
    assert manifest.ladder[0].own_db > 80
    assert "computed in another way" in manifest.ladder[0].note


@pytest.mark.parametrize("threshold", [16.0, 45.0])  # ONNX Runtime's sigmoid is noise there, and 0
def test_answers_that_are_rounding_noise_prove_nothing_and_it_is_said(tmp_path, threshold):
    network = detector_of_edges(tmp_path / "dark.onnx", threshold, gain=1e-3)
    manifest = built(network, tmp_path / "out")
    assert parity(manifest) == ("unverified", "own-noise")
    verdict = next(each for each in manifest.verdicts if each.gate == "parity")
    assert "these inputs cannot tell" in verdict.reason
    assert "give --data" in verdict.reason
    written = json.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert written["ladder"][0]["own_db"] == manifest.ladder[0].own_db < 70


def test_answers_that_change_their_size_are_refused_before_anything_is_made(tmp_path):
    nodes = [
        helper.make_node("Sub", ["x", "middle"], ["signed"], "signed"),
        helper.make_node("Relu", ["signed"], ["light"], "light"),
        helper.make_node("NonZero", ["light"], ["places"], "places"),
        helper.make_node("Cast", ["places"], ["y"], "floats", to=TensorProto.FLOAT),
    ]
    path = save(tmp_path / "chosen.onnx", nodes, {"middle": np.float32([0.5])}, [4, "count"])
    with pytest.raises(UnsupportedError, match="have no fixed size") as caught:
        built(path, tmp_path / "out")
    assert "numbers to one input and" in caught.value.why
    assert not (tmp_path / "out").exists()


class Answering:
    """A network whose answers to a kind of image change by so much when its sums are made in another order."""

    def __init__(self, loud, changes):
        rows = np.arange(2 * len(KINDS)) % len(KINDS)
        spread = np.random.default_rng(0).standard_normal((len(rows), 50)).astype(np.float32)
        self.said = spread * np.float32(loud)[rows, None]
        self.again = self.said + spread[:, ::-1] * np.float32(changes)[rows, None]

    def answers(self, _):
        return self.said

    def in_another_order(self, _):
        return self.again


@pytest.mark.parametrize(
    ("loud", "changes", "kinds"),
    [
        ([1, 1, 1, 1], [1e-7, 1e-7, 1e-7, 1e-7], KINDS),
        ([1, 1e4, 1, 1], [1e-7, 1, 1e-7, 1e-7], ("smooth", "blocks", "writing")),  # blown up until it is noise
        ([1, 1e4, 1, 10], [1e-7, 1, 1e-7, 1e-2], ("smooth", "blocks")),
        ([1, 1, 1, 1], [1e-3, 1e-3, 1e-4, 1e-3], ("blocks",)),  # none is steady: the steadiest
        ([0, 0, 0, 1], [0, 0, 0, 1e-3], KINDS),  # all others are dark, and prove nothing
    ],
)
def test_kinds_that_a_network_answers_unsteadily_are_left_out(loud, changes, kinds):
    shown = SimpleNamespace(preprocessing=SimpleNamespace(shape=(8, 8), channels=1))
    interface = SimpleNamespace(inputs=(shown,), apply=lambda images: images.pixels)
    assert steady_kinds(Answering(loud, changes), interface) == kinds


def test_what_was_left_out_is_recorded_and_verified_with(tmp_path, monkeypatch):
    monkeypatch.setattr("ofa_edge.workflows.build.model_plan.steady_kinds", lambda *_: ("writing", "noise"))
    manifest = built(detector_of_edges(tmp_path / "edges.onnx"), tmp_path / "out")
    assert manifest.network.pictures == ("writing", "noise")
    images = images_of(Build.open(tmp_path / "out"), None)
    wanted = varied_images(16, (SIDE, SIDE), 3, 1, ("writing", "noise"))
    np.testing.assert_array_equal(images.test.pixels, wanted.pixels)
