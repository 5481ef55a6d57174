"""`--refine`: on a board that is not there, whose times are known to the test."""

import contextlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from builds import Stages

from ofa_edge.cache import StageCache
from ofa_edge.cost import macs, params
from ofa_edge.device import access
from ofa_edge.device.protocol import Fingerprint, Latency, Measurement
from ofa_edge.errors import ConfigError, DeviceError, DeviceLostError, ThrottledError, UnsupportedError
from ofa_edge.latency.load import load_latency_model
from ofa_edge.network import Interface, Network, Origin
from ofa_edge.records.manifest import read_manifest
from ofa_edge.report import render_report
from ofa_edge.runtimes import Artifact
from ofa_edge.space import Subnet
from ofa_edge.targets import load_target
from ofa_edge.workflows.build import finish, on_device
from ofa_edge.workflows.build import refine as refining
from ofa_edge.workflows.build.on_device import Trial
from ofa_edge.workflows.build.plan import make_plan
from ofa_edge.workflows.build.search import run_search
from ofa_edge.workflows.build.stages import StageRunner

PI = Fingerprint("physical", "", "aarch64", "cortex-a72", "Raspberry Pi 4 Model B", "Debian 12", "6.1", "boot 1", 4)


class Board:
    """A board that takes a time for each MAC; `fails` are errors by the number of the measurement."""

    name, kind = "board", "ssh"

    def __init__(self) -> None:
        self.seen, self.fails, self.timed = PI, {}, 0

    def fingerprint(self) -> Fingerprint:
        return self.seen

    def close(self) -> None:
        pass

    @staticmethod
    def ms(macs: int) -> float:
        return 0.5 + macs / 2e5

    def measure(self, to, request) -> Measurement:
        assert to is self
        self.timed += 1
        if error := self.fails.get(self.timed):
            raise error
        ms = self.ms(request.macs)
        latency = Latency(ms, ms, None, ms, 0.0, ms * 0.99, ms * 1.01, 500, 5, 1.0, 1.0, 4, True, ())
        return Measurement("board", self.seen, self.answers(request), {}, latency, None, None)

    def answers(self, request):
        from ofa_edge.export.tflite.convert import run_tflite

        whole = request.artifact.name == "model.tflite"
        return run_tflite(request.artifact, request.inputs) if whole else np.zeros((1, request.classes), np.float32)


@pytest.fixture
def board(monkeypatch):
    device = Board()
    monkeypatch.setattr(access, "open_connection", lambda name, target: device)
    monkeypatch.setattr(on_device, "measure", device.measure)
    for module in (on_device, refining):  # it has no programs to ask
        monkeypatch.setattr(module, "held", lambda connection, target: contextlib.nullcontext())
    monkeypatch.setattr(access, "load_devices", lambda: {"board": None})
    monkeypatch.setattr(finish, "require_ready", lambda *_: None)
    return device


@pytest.fixture
def refined(own_cache, tmp_path, board, monkeypatch):
    """Runs the loop alone; conversion is left out: a candidate's file is its name."""

    def trial(loop, subnet) -> Trial:
        path, plan = tmp_path / f"{subnet.id}.bin", loop.plan
        path.write_text(subnet.id)
        package = plan.package
        network = Network(
            path,
            "",
            Interface.of_classifier(package.preprocessing(subnet.resolution), package.labels),
            Origin("subnet", "tiny", True, subnet, package.space.hash),
            macs(package.space, subnet),
            params(package.space, subnet),
        )
        return Trial(Artifact(path, plan.export.runtime, "fp32"), network, plan.target, plan.data.test)

    monkeypatch.setattr(refining._Loop, "_trial", trial)

    def run(count: int, stages: Stages | None = None) -> refining.Refined:
        plan = make_plan(own_cache.options(tmp_path / "out", device="board", refine=count))
        runner = StageRunner(StageCache(own_cache.cache), stages or Stages())
        return refining.refine(runner, plan, run_search(runner, plan.search)[0])

    return run


def test_measured_candidates_correct_the_model_and_the_choice(refined, board):
    stages = Stages()
    found = refined(4, stages)
    record = found.record
    assert 4 <= len(record.candidates) <= 8
    assert record.rounds == max(each.round for each in record.candidates)
    assert record.candidates[0].subnet == record.first
    assert abs(record.before.bias) > 0.3
    assert record.after.mape < record.before.mape / 3
    assert {"time", "candidates", "search"} <= stages.made
    prediction = found.plan.search.latency.predict(found.subnet)
    assert prediction.ms == pytest.approx(board.ms(macs(found.plan.package.space, found.subnet)), rel=0.15)
    assert found.plan.search.latency.provenance.kind == "measured"
    assert found.plan.search.latency.key.device == "Raspberry Pi 4 Model B"
    assert found.plan.search.budget_ms == found.search.budget_ms
    assert prediction.ms <= found.plan.search.budget_ms


def test_a_build_goes_on_with_the_refined_model(own_cache, tmp_path, board, monkeypatch):
    """From end to end, in one round. The next build takes the model from where this one left it."""
    monkeypatch.setattr(refining, "ROUNDS", 1)
    manifest, _ = own_cache.build(tmp_path / "out", device="board", refine=1)
    (candidate,) = manifest.refinement.candidates
    assert candidate.after is None
    assert manifest.refinement.after is None  # there was no other candidate to learn from
    assert (manifest.prediction.kind, manifest.prediction.provenance) == ("fitted", "measured")
    assert [record.name for record in manifest.stages].count("refine") == 1
    assert read_manifest(tmp_path / "out") == manifest
    assert "Latency, predicted against measured" in render_report(manifest)
    roles = {record.path: record.role for record in manifest.outputs}
    assert roles[manifest.refinement.latency_file] == "latency model"

    target = load_target(str(tmp_path / "out" / manifest.refinement.target_file))
    assert target.description.startswith(manifest.target.description)
    assert not target.at_hand
    plan = make_plan(own_cache.options(tmp_path / "plan", target=str(target.path)))
    model = load_latency_model(target, plan.package.space, "tflite", "fp32")
    subnet = Subnet(manifest.subnet.stages, manifest.subnet.resolution, manifest.subnet.widths)
    assert model.predict(subnet).ms == pytest.approx(manifest.prediction.ms, rel=1e-6)


def test_an_interrupted_refinement_goes_on_with_what_it_measured(refined, board):
    board.fails = {3: DeviceLostError("lost", "the cable", "plug it in")}
    with pytest.raises(DeviceLostError):
        refined(3)
    board.fails, board.timed = {}, 0
    found = refined(3)
    assert found.record.resumed == 2
    assert board.timed == len(found.record.candidates) - 2


def test_another_boot_is_measured_anew(refined, board):
    refined(2)
    board.seen = replace(PI, boot_id="boot 2")
    assert refined(2).record.resumed == 0


def test_a_hot_board_costs_a_candidate_its_place(refined, board):
    board.fails = {2: ThrottledError("too hot", "85 C", "cool it")}
    found = refined(2)
    assert any("was left out: too hot" in note for note in found.record.notes)


def test_nothing_measured_is_an_error(refined, board):
    board.fails = {1: ThrottledError("too hot", "85 C", "cool it")}
    with pytest.raises(DeviceError, match="not one candidate"):
        refined(1)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (replace(PI, device_kind="emulated", kind_evidence="QEMU in /proc/cpuinfo"), "gives no times"),
        (replace(PI, cpu="cortex-a53"), "with cortex-a53: its times say nothing of"),
        (replace(PI, model="Another board"), "it is Another board with cortex-a72"),
    ],
)
def test_a_device_that_is_not_the_target_is_found_out_before_any_work(own_cache, tmp_path, board, seen, words):
    board.seen = seen
    stages = Stages()
    with pytest.raises(UnsupportedError) as caught:
        own_cache.build(tmp_path / "out", stages, device="board", refine=2)
    assert words in caught.value.why
    assert stages.hits == {}


def test_the_gap_of_known_figures():
    interval = refining.IntervalRecord(ms=10, low50=9, high50=11, low90=8, high90=12)
    gap = refining._gap([(interval, 10.5), (interval, 11.5), (interval, 20.0)])
    assert gap.mape == pytest.approx(np.mean([0.5 / 10.5, 1.5 / 11.5, 0.5]))
    assert gap.bias == pytest.approx(np.log(1.15))
    assert (gap.inside50, gap.inside90) == (pytest.approx(1 / 3), pytest.approx(2 / 3))


def unnamed(plan):
    """Under the same model, as if it were the target's own."""
    return replace(plan, search=replace(plan.search, refined=""))


def test_a_table_is_no_prior(own_cache, tmp_path, board):
    plan = make_plan(own_cache.options(tmp_path / "out", device="board", refine=2))
    with pytest.raises(ConfigError, match="table of latencies cannot be fitted"):
        refining.check_refinable(replace(plan, search=replace(plan.search, latency=object())))


def test_what_a_model_was_fitted_to_before_is_kept(refined, board, own_cache, tmp_path):
    found = refined(2)
    again = refining._Loop(
        StageRunner(StageCache(own_cache.cache)), replace(found.plan, search=replace(found.plan.search, refined=""))
    )
    again.device = PI
    fitted = again._fit([])
    assert [sample.ms for sample in fitted.networks] == [sample.ms for sample in found.plan.search.latency.networks]
    assert fitted.predict(found.subnet).ms == pytest.approx(found.plan.search.latency.predict(found.subnet).ms)


def test_a_prediction_after_refining_has_not_seen_its_own_network(refined, board, own_cache):
    """A target that was refined before knows some candidates already."""
    found = refined(2)
    loop = refining._Loop(
        StageRunner(StageCache(own_cache.cache)), replace(found.plan, search=replace(found.plan.search, refined=""))
    )
    loop.device = PI
    known = found.plan.search.latency.networks[0].subnet
    assert known not in {each.subnet for each in loop._fit([], known).networks}
    assert len(loop._fit([], known).networks) == len(loop._fit([]).networks) - 1
    loop.samples = [SimpleNamespace(subnet=known)]
    assert known.id in loop._known()[0]
    loop.samples = [SimpleNamespace(subnet=found.plan.package.space.smallest())]
    assert loop._known() == ()
