"""Calibration by a compiler's cycles: no device, the same files, and cycles that are asked for once."""

import json
import time

import numpy as np
import pytest

from ofa_edge.cache import StageCache
from ofa_edge.cost import Operator, macs, operators
from ofa_edge.errors import UnsupportedError
from ofa_edge.export.vela.compile import compile_int8
from ofa_edge.export.vela.drawn import drawn
from ofa_edge.export.vela.options import VelaSystem
from ofa_edge.latency.load import load_latency_model
from ofa_edge.runtimes import runtime_named
from ofa_edge.supernet import zoo
from ofa_edge.targets import load_target, read_target
from ofa_edge.workflows.calibrate.compiled import calibrate_compiled
from ofa_edge.workflows.calibrate.plan import CalibrationOptions, make_calibration_plan
from ofa_edge.workflows.calibrate.unit_models import Making, Piece, export_pieces

pytest.importorskip("ethosu.vela", reason="the extra ethos-u is not installed")
TARGET = load_target("ethos-u55-128")


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compiled")
    options = CalibrationOptions("ethos-u55-128", budget="18s", networks=10, held_out=4, out=folder / "targets")
    plan, cache = make_calibration_plan(options), StageCache(folder / "cache")
    start = time.perf_counter()
    result = calibrate_compiled(plan, cache, ["ofa-edge", "calibrate"], lambda words: None)
    assert 0 < result.export_s + result.device_s <= time.perf_counter() - start  # parts of what it took
    return plan, cache, result


def test_networks_that_the_fit_has_not_seen_are_predicted(calibrated):
    _, _, result = calibrated
    assert result.checks.mape < 0.05
    assert result.model.provenance.kind == "estimated"
    assert "Vela" in result.model.key.version


def test_the_target_that_comes_out_is_whole(calibrated):
    plan, _, result = calibrated
    target = read_target(result.target)
    assert target.npu == TARGET.npu
    subnet = plan.space.largest()
    found = load_latency_model(target, plan.space, "ethos-u", "int8").predict(subnet)
    assert found.ms == pytest.approx(1.774 * result.model.predict(subnet).ms, rel=1e-3)  # as silicon takes it
    report = json.loads((result.target.parent / f"{plan.name}.calibration.json").read_text())
    assert report["plan"]["account"]["compiler"].startswith("Vela ")


def test_cycles_are_asked_for_once_and_again_for_another_configuration(calibrated):
    plan, cache, _ = calibrated
    before = len(list((cache.root / "cycles").iterdir()))
    item = plan.role("held-out")[0]
    (path,) = export_pieces(plan.space, [Piece(item.subnet, "whole")], Making(plan.runtime, "int8", TARGET), cache)
    assert plan.account.told([path], cache)[0].cycles > 0
    assert len(list((cache.root / "cycles").iterdir())) == before
    other = runtime_named("ethos-u").cycle_account(load_target("ethos-u85-256"))
    assert other.told([path], cache)[0].cycles < plan.account.told([path], cache)[0].cycles
    assert len(list((cache.root / "cycles").iterdir())) == before + 1


def test_a_device_is_not_wanted():
    with pytest.raises(UnsupportedError, match="not timed"):
        make_calibration_plan(CalibrationOptions("ethos-u55-128", "local"))


def test_what_is_drawn_has_the_macs_of_the_network(tmp_path):
    space = zoo.open_space(zoo.DEFAULT)
    subnet = space.subnet(space.sample(np.random.default_rng(5), 1)[0])
    path = tmp_path / "drawn.tflite"
    path.write_bytes(drawn(operators(space, subnet)))
    found = compile_int8(path, VelaSystem(TARGET.npu, TARGET.path.parent))
    pools = sum(layer.macs for layer in found.layers if layer.op == "Mean")  # Vela counts them, we do not
    assert found.macs - pools == macs(space, subnet)


def test_what_cannot_be_drawn_is_left_to_the_converter():
    grouped = Operator("conv", 8, 8, 4, 4, 3, groups=2)
    pooled = Operator("pool", 8, 8, 8, 4, 3, 2)
    assert drawn([grouped]) is None
    assert drawn([pooled]) is None
