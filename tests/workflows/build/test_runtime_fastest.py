"""`--runtime fastest`: all runtimes in turn, by order and statistics; the fastest that is right is kept."""

import math
import re
import shutil
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from plain_onnx import PlainOnnx

from ofa_edge.builds import Build
from ofa_edge.cli import main
from ofa_edge.cli.build import summary
from ofa_edge.cli.build_plan import describe
from ofa_edge.errors import ConfigError, DeviceBusyError, UnsupportedError
from ofa_edge.records.build import subnet_of
from ofa_edge.runtimes import HostAnswers, RunHere, registry
from ofa_edge.targets import load_target
from ofa_edge.workflows.build import fastest
from ofa_edge.workflows.build.contenders import contenders_for
from ofa_edge.workflows.build.fleet import plan_fleet
from ofa_edge.workflows.build.plan import make_plan

HOST = {"target": "host", "runtime": "fastest", "device": "local", "latency_ms": 1e3}


class Liar(PlainOnnx):
    """Answers with the classes in reverse order."""

    name = "liar"

    def run_here(self, stages, export, converted, images):
        (right,) = super().run_here(stages, export, converted, images).answers
        return RunHere((HostAnswers(right.name, right.logits[:, ::-1].copy(), itself=True),))


class Unable(PlainOnnx):
    """Takes no network."""

    name = "unable"

    def convert(self, stages, export):
        raise UnsupportedError("no Conv here", "node 3", "another runtime")


class Crooked(PlainOnnx):
    """Answers one class too few."""

    name = "crooked"

    def run_here(self, stages, export, converted, images):
        (right,) = super().run_here(stages, export, converted, images).answers
        return RunHere((HostAnswers(right.name, right.logits[:, 1:].copy(), itself=True),))


class Raising(PlainOnnx):
    """Knows no errors of ours."""

    name = "raising"

    def convert(self, stages, export):
        raise KeyError("weights")


def plug(patch, *points):
    """As `pip install` of packages with these entry points does."""
    found = [EntryPoint(name, value, registry.ENTRY_POINTS) for name, value in points]
    patch.setattr(registry, "entry_points", lambda group: found)
    registry.registry.cache_clear()


@pytest.fixture
def plugins():
    with pytest.MonkeyPatch.context() as patch:
        yield lambda *points: plug(patch, *points)
    registry.registry.cache_clear()


@pytest.fixture(scope="module")
def built(workshop, tmp_path_factory):
    """For this machine without TVM, which takes long to compile; with plug-ins that lie, refuse, and are not there."""
    folder = tmp_path_factory.mktemp("fastest")
    here, out = load_target("host").path, folder / "out"
    text = re.sub(r"\n\[runtime\.tvm.*?\n(?=\[defaults)", "\n", here.read_text(), flags=re.DOTALL)
    (folder / "small.toml").write_text(text.replace('"tvm", ', ""))
    shutil.copy(here.with_name("host.latency.json"), folder)
    with pytest.MonkeyPatch.context() as patch:
        plug(
            patch,
            *((each, f"test_runtime_fastest:{each}") for each in ("Liar", "Crooked", "Unable", "Raising", "Missing")),
        )
        patch.setattr(fastest, "SESSION", fastest.LatencyPlan(1, 20, 0.05, warmup_seconds=0.05))
        measured = fastest.measure_in_rounds

        def liar_first(once):
            times = measured(once)
            count = len(times["liar"])
            return {**times, "liar": np.full(count, 1e-3), "crooked": np.full(count, 2e-3)}

        patch.setattr(fastest, "measure_in_rounds", liar_first)
        manifest, _ = workshop.build(out, **{**HOST, "target": str(folder / "small.toml")})
    registry.registry.cache_clear()
    return out, manifest


def test_the_fastest_that_is_right_is_kept(built) -> None:
    out, manifest = built
    race = manifest.race
    first, second, *others = race.contenders
    assert first.runtime == "liar"
    assert first.rejected is not None
    assert first.rejected.startswith("parity: ")
    assert second.runtime == "crooked"
    assert second.rejected == "runtime crooked answered in another shape: [50, 2] from run_here, not [50, 3]"
    assert {each.runtime for each in others} == {"tflite", "onnxruntime"}
    assert others[0].runtime == manifest.target.runtime == Build.open(out).runtime.name
    assert others[0].rejected is None
    assert race.searched_for == "tflite"
    assert [each.p50_ms for each in others] == sorted(each.p50_ms for each in others)
    for each in others:
        assert each.low95 <= each.p50_ms <= each.high95
        assert each.beside.p < 0.05  # nothing is as fast as the liar's made-up microsecond
    assert race.left_out["unable"] == "no Conv here: node 3"
    assert race.left_out["raising"] == "KeyError: 'weights'"
    assert "Missing" in race.left_out
    assert {verdict.gate: verdict.outcome for verdict in manifest.verdicts}["parity"] == "pass"


def test_the_prediction_is_of_the_runtime_that_was_kept(built, workshop, tmp_path) -> None:
    _, manifest = built
    plan = make_plan(workshop.options(tmp_path / "out", **{**HOST, "runtime": manifest.target.runtime}))
    assert manifest.prediction.ms == pytest.approx(float(plan.search.latency.predict(subnet_of(manifest.subnet)).ms))


def test_it_is_told_in_the_terminal_and_in_the_report(built) -> None:
    out, manifest = built
    page, text = (out / "report.html").read_text(), summary(manifest, out)
    assert "Runtimes in turn" in page
    for name in ("liar", "tflite", "onnxruntime"):
        assert f"<td>{name}</td>" in page
    assert "unable left out: no Conv here: node 3" in text
    assert "rejected: parity: " in text
    assert "searched for tflite" in text


def test_rounds_go_forwards_and_backwards() -> None:
    order = []

    def once(name):
        def run():
            order.append(name)
            return 1.0

        return run

    fastest.measure_in_rounds({name: once(name) for name in "abc"})
    assert "".join(order) == "abccba" * (fastest.ROUNDS // 2)


def test_rounds_in_which_one_was_slowed_count_for_none() -> None:
    values = iter([math.nan, math.nan, *[2.0] * 6])
    times = fastest.measure_in_rounds({"a": lambda: 1.0, "b": lambda: next(values)})
    assert {name: len(each) for name, each in times.items()} == {"a": 6, "b": 6}
    with pytest.raises(DeviceBusyError, match="could not be compared"):
        fastest.measure_in_rounds({"a": lambda: 1.0, "b": lambda: math.nan})


def test_a_plan_names_all(workshop, tmp_path, plugins) -> None:
    plugins(("Missing", "test_runtime_fastest:Missing"))
    text = describe(make_plan(workshop.options(tmp_path / "out", **HOST)))
    assert "the fastest of tflite, tvm, onnxruntime; fp32" in text
    assert "Missing left out: " in text


@pytest.mark.parametrize("device", ["emulated", "none"])
def test_without_hardware_it_offers_predictions(workshop, tmp_path, device) -> None:
    options = {"target": "raspberry-pi-4", "runtime": "fastest", "device": device}
    with pytest.raises(UnsupportedError, match=r"predicted for the largest subnet.* tflite [0-9.]+ ms .* tvm ") as told:
        make_plan(workshop.options(tmp_path / "out", **options))
    assert "--runtime fastest" in told.value.hint


@pytest.mark.parametrize("own", [{"tune": "5s"}, {"refine": 2}])
def test_what_works_on_one_runtime_is_refused(workshop, tmp_path, own) -> None:
    with pytest.raises(UnsupportedError, match="with --runtime fastest"):
        make_plan(workshop.options(tmp_path / "out", **HOST, **own))


def test_a_fleet_is_refused(workshop, tmp_path) -> None:
    with pytest.raises(UnsupportedError, match="fastest with --fleet"):
        plan_fleet(workshop.options(tmp_path / "out", **{**HOST, "latency_ms": None}), "host=1ms,pixel-4=2ms")


def test_where_one_runtime_alone_can_build_there_is_nothing_to_compare() -> None:
    with pytest.raises(UnsupportedError, match="nothing to compare for host in dynamic") as told:
        contenders_for(load_target("host"), "dynamic")
    assert "only tflite can be built" in told.value.why


def test_commands_that_measure_nothing_refuse_it(capsys) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["explain", "--target", "host", "--runtime", "fastest"])
    assert "--runtime fastest names no runtime" in capsys.readouterr().err


def test_no_plugin_takes_its_name(plugins, monkeypatch) -> None:
    monkeypatch.setattr(Liar, "name", "fastest")
    plugins(("liar", "test_runtime_fastest:Liar"))
    with pytest.raises(ConfigError, match="no runtime can be named 'fastest'"):
        registry.runtime_named("liar")
