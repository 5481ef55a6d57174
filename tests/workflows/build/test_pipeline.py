"""Whole builds of a tiny supernet: fp32 twice, the other precisions once."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import builds
import numpy as np
import pytest
from builds import Stages, Workshop, cached_file, content
from tiny_package import copied_package

from ofa_edge import __version__, cost
from ofa_edge.cli import main
from ofa_edge.errors import BudgetError, OutputError, ToolMissingError
from ofa_edge.export.onnx.described import described
from ofa_edge.files import sha256_file
from ofa_edge.output import MARKER
from ofa_edge.records.interface import INTERFACE, InterfaceRecord
from ofa_edge.records.manifest import Manifest, read_manifest
from ofa_edge.space import Space, Subnet
from ofa_edge.supernet import zoo
from ofa_edge.supernet.zoo import load_images, open_supernet, save_images
from ofa_edge.targets import builtin_folder
from ofa_edge.workflows.build import finish
from ofa_edge.workflows.build.plan import make_plan

STAGES = ["search", "extract", "onnx", "run-torch", "run-folded", "statistics", "tflite-bare", "tflite", "inspect"]
STAGES += ["run-onnx", "run-tflite"]
RUNS = {"run-torch", "run-folded", "run-onnx", "run-tflite", "statistics"}


def subnet_of(manifest: Manifest) -> Subnet:
    return Subnet(manifest.subnet.stages, manifest.subnet.resolution)


def test_the_first_build_makes_every_stage(first):
    out, manifest = first
    assert [(record.name, record.cached) for record in manifest.stages] == [(name, False) for name in STAGES]
    assert all(record.seconds > 0 and record.key and record.produced_seconds for record in manifest.stages)
    assert read_manifest(out) == manifest


def test_every_output_is_there_and_is_the_manifests(first):
    out, manifest = first
    roles = {record.path: record.role for record in manifest.outputs}
    assert {path: role for path, role in roles.items() if "/" not in path} == {
        "README.md": "readme",
        "model.tflite": "artifact",
        "model.onnx": "onnx",
        "labels.txt": "labels",
        "model.interface.json": "interface",
        "report.html": "report",
    }
    folders = {(path.split("/")[0], role) for path, role in roles.items() if "/" in path}
    assert folders == {("example", "example"), ("golden", "golden")}
    for record in manifest.outputs:
        assert sha256_file(out / record.path) == record.sha256
        assert (out / record.path).stat().st_size == record.size
    assert set(content(out)) == {record.path for record in manifest.outputs} | {"manifest.json", MARKER}
    assert (out / "labels.txt").read_text().split() == ["above", "below", "middle"]
    assert manifest.subnet.id in (out / "report.html").read_text()
    assert not list(out.parent.glob(".*.part"))  # no staging folder is left


def test_the_interface_stands_beside_the_artifact_in_the_manifest_and_in_the_onnx_file(first):
    out, manifest = first
    assert InterfaceRecord.model_validate_json((out / INTERFACE).read_bytes()) == manifest.interface
    inside = described(out / "model.onnx")
    assert (inside.file, inside.inputs[0].layout) == ("model.onnx", "NCHW")
    assert (manifest.interface.file, manifest.interface.inputs[0].layout) == ("model.tflite", "NHWC")
    assert inside.picture == manifest.interface.picture
    assert inside.labels == manifest.interface.labels == ("above", "below", "middle")


def test_its_own_example_runs_and_its_readme_has_the_figures(first):
    out, manifest = first
    program = [sys.executable, out / "example/python/classify.py", "--check"]
    environment = {**os.environ, "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(program, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.startswith("ok: 8 images")
    said = (out / "README.md").read_text()
    assert f"{100 * manifest.ladder[-1].top1:.1f} %" in said
    assert f"{manifest.prediction.ms:.3g} ms | predicted, {manifest.prediction.provenance}" in said
    assert all(f"- {each.gate}: **{each.outcome}**" in said for each in manifest.verdicts)
    named = set(re.findall(r"`((?:example|golden)/[\w./]+[\w])`", said))
    assert {"example/python/classify.py", "example/cpp/ofa_classifier.h"} <= named
    assert all((out / name).exists() for name in named)


def test_every_input_is_the_manifests(first, workshop):
    _, manifest = first
    found = {record.path: record for record in manifest.inputs}
    folders = {"targets": builtin_folder(), "supernet": workshop.package}
    assert set(found) == {
        "targets/raspberry-pi-4.toml",
        "targets/raspberry-pi-4.latency.json",
        "supernet/supernet.safetensors",
        "supernet/predictor.safetensors",
        "supernet/images.npz",
    }
    for name, record in found.items():
        folder, _, file = name.partition("/")
        assert sha256_file(folders[folder] / file) == record.sha256
        assert (folders[folder] / file).stat().st_size == record.size


def test_the_manifest_says_what_was_built_from_what(first, workshop):
    out, manifest = first
    package = open_supernet(str(workshop.package))
    assert manifest.version == __version__
    assert manifest.seed == 0
    assert manifest.command == ("ofa-edge", "build")
    for name in ("torch", "onnx", "onnxruntime", "ai-edge-litert", "numpy"):
        assert manifest.versions[name] == metadata.version(name)
    assert {"python", "ofa-edge"} <= set(manifest.versions)
    target = manifest.target
    assert (target.name, target.runtime, target.precision, target.threads) == ("raspberry-pi-4", "tflite", "fp32", 4)
    assert Space.from_json(manifest.supernet.space) == package.space
    assert manifest.supernet.space_hash == package.space.hash
    assert manifest.network.trained
    assert manifest.network.dataset == "bands: 50 test images"
    assert manifest.labels == ()
    assert (manifest.subnet.macs, manifest.subnet.params) == (
        cost.macs(package.space, subnet_of(manifest)),
        cost.params(package.space, subnet_of(manifest)),
    )
    assert str(out) not in (out / "manifest.json").read_text()
    for name in ("model.tflite", "model.onnx"):  # nor does an artifact say where it was built
        assert str(workshop.package.parent).encode() not in (out / name).read_bytes()


def test_the_subnet_is_the_best_measured_candidate_within_the_budget(first, workshop, tmp_path):
    _, manifest = first
    search = manifest.search
    plan = make_plan(workshop.options(tmp_path / "out"))
    assert search.objective == "top1"
    assert (search.budget_source, search.relative_budget) == ("relative", 0.6)
    assert search.budget_ms == pytest.approx(0.6 * search.largest_ms)
    assert search.measured_images == 60
    assert 1 <= len(search.candidates) <= plan.search.measure
    best = max(candidate.expected_top1 for candidate in search.candidates)
    (chosen,) = [candidate for candidate in search.candidates if candidate.subnet == manifest.subnet.id]
    assert chosen.expected_top1 == best
    assert search.correction is not None
    assert search.correction.measurements == len(search.candidates)
    assert all(candidate.latency_ms <= search.budget_ms for candidate in search.candidates)
    latencies = [point.latency_ms for point in search.front]
    assert latencies == sorted(latencies)
    assert search.fastest_ms <= min(latencies)
    prediction = manifest.prediction
    assert prediction.ms == pytest.approx(chosen.latency_ms)
    assert prediction.low90 < prediction.low50 < prediction.ms < prediction.high50 < prediction.high90
    assert prediction.source == plan.search.latency.provenance.fitted_to


def test_the_ladder_stands_on_the_same_images(first):
    out, manifest = first
    names = [rung.name for rung in manifest.ladder]
    assert names == ["supernet slice", "BN folded", "onnx", "tflite fp32"]
    assert {rung.images for rung in manifest.ladder} == {50}
    assert {rung.reference for rung in manifest.ladder[1:]} == {"supernet slice"}
    assert all(rung.outcome == "pass" for rung in manifest.ladder)
    assert all(rung.snr_db > 80 for rung in manifest.ladder[1:])
    sizes = {rung.file: rung.size for rung in manifest.ladder if rung.file}
    assert sizes == {name: (out / name).stat().st_size for name in ("model.onnx", "model.tflite")}


def test_the_verdicts_claim_no_more_than_was_seen(first):
    _, manifest = first
    assert [(item.gate, item.outcome, item.code) for item in manifest.verdicts] == [
        ("statistics", "pass", "as-other-calibrations"),
        ("parity", "pass", "all-rungs-within-tolerance"),
        ("accuracy", "unverified", "too-few-images"),  # not one of 50 images is lost, which proves nothing
        ("delegation", "pass", "all-delegated"),
        ("latency", "unverified", "no-device"),
    ]
    assert manifest.outcome == "unverified"
    assert manifest.measurements == ()
    assert manifest.skipped == ("run on a device: --device none",)


def litert_answers(model: Path, pixels, mean: float, std: float) -> np.ndarray:
    """A few lines of LiteRT's own, that share nothing with the product."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(model), num_threads=1)
    interpreter.allocate_tensors()
    source, sink = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    answers = []
    for image in pixels:
        values = (image[None].astype(np.float32) - mean) / std
        if source["dtype"] == np.int8:
            scale, zero = source["quantization"]
            values = np.clip(np.round(values / scale) + zero, -128, 127).astype(np.int8)
        interpreter.set_tensor(source["index"], values)
        interpreter.invoke()
        answers.append(interpreter.get_tensor(sink["index"])[0].argmax())
    return np.array(answers)


def at_size(package, size: int):
    test = package.images("test")
    return test if size == 16 else test.resized(size)


def check_top1(out: Path, manifest: Manifest, package_folder: Path) -> float:
    package = open_supernet(str(package_folder))
    test = at_size(package, manifest.subnet.resolution)
    answers = litert_answers(out / "model.tflite", test.pixels, package.mean[0], package.std[0])
    found = float(np.mean(answers == test.labels))
    assert found == pytest.approx(manifest.ladder[3].top1)
    pairs = list(zip(test.labels.tolist(), answers.tolist(), strict=True))
    size = range(len(package.labels))
    assert manifest.classes.matrix == tuple(tuple(pairs.count((row, column)) for column in size) for row in size)
    return found


def test_litert_on_its_own_finds_the_manifests_top1(first, workshop):
    out, manifest = first
    assert check_top1(out, manifest, workshop.package) > 0.45  # of three classes: it did learn


def test_every_set_is_counted_by_class(first, workshop):
    _, manifest = first
    package, found = open_supernet(str(workshop.package)), manifest.classes
    assert tuple(item.name for item in found.classes) == package.labels
    for split in ("calibration", "validation", "test"):
        counted = [getattr(item, split) for item in found.classes]
        assert counted == [int((package.images(split).labels == number).sum()) for number in range(3)]
    assert (found.start, found.artifact) == ("supernet slice", "tflite fp32")
    assert manifest.ladder[3].balanced == pytest.approx(np.mean([item.right / item.test for item in found.classes]))


# -- the cache --


def test_a_second_build_is_served_from_the_cache(first, workshop, tmp_path):
    out, manifest = first
    second, stages = workshop.build(tmp_path / "out")
    assert stages.made == set()
    assert list(stages.hits) == STAGES
    assert all(record.cached for record in second.stages)
    for name in ("model.onnx", "model.tflite", "labels.txt"):
        assert (tmp_path / "out" / name).read_bytes() == (out / name).read_bytes()
    same = ("subnet", "prediction", "search", "ladder", "verdicts", "inputs", "versions", "seed")
    assert all(getattr(second, name) == getattr(manifest, name) for name in same)
    assert [record.key for record in second.stages] == [record.key for record in manifest.stages]


def test_interrupted_it_leaves_nothing_and_goes_on_to_the_same_bytes(first, workshop, tmp_path):
    """One seed, another cache: interrupted before the conversion, resumed, and every byte as in the first build."""
    out, manifest = first
    other = Workshop(workshop.package, tmp_path / "cache")
    stages = Stages(interrupt_at="tflite-bare")
    with pytest.raises(KeyboardInterrupt):
        other.build(tmp_path / "out", stages)
    assert list(stages.hits) == STAGES[: STAGES.index("tflite-bare")]
    assert not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
    resumed, stages = other.build(tmp_path / "out")
    assert stages.made == set(STAGES[STAGES.index("tflite-bare") :])
    for name in ("model.onnx", "model.tflite"):
        assert (tmp_path / "out" / name).read_bytes() == (out / name).read_bytes()
    assert resumed.subnet == manifest.subnet
    assert resumed.search == manifest.search
    assert resumed.ladder == manifest.ladder


@pytest.mark.parametrize(
    ("stage", "name", "rebuilt"),
    [
        ("search", "search.json", {"search"}),
        ("extract", "static.safetensors", {"extract"}),
        ("onnx", "model.onnx", {"onnx"}),  # the same bytes come out, so nothing after it is made again
        ("run-torch", "logits.npy", {"run-torch"}),
    ],
)
def test_a_damaged_entry_is_made_again(first, own_cache, tmp_path, stage, name, rebuilt):
    out, _ = first
    file = cached_file(own_cache.cache, stage, name)
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    _, stages = own_cache.build(tmp_path / "out")
    assert stages.made == rebuilt
    assert (tmp_path / "out" / "model.onnx").read_bytes() == (out / "model.onnx").read_bytes()
    assert own_cache.build(tmp_path / "out")[1].made == set()


def test_other_test_images_run_everything_again_and_build_nothing(first, own_cache, tmp_path):
    _, manifest = first
    folder = copied_package(own_cache.package, tmp_path / "moved" / own_cache.package.name)
    splits = {split: load_images(folder / zoo.IMAGES, split) for split in zoo.SPLITS}
    splits["test"] = splits["test"].sample(40)
    save_images(folder / zoo.IMAGES, splits)
    changed, stages = replace(own_cache, package=folder).build(tmp_path / "out")
    assert stages.made == RUNS
    assert {rung.images for rung in changed.ladder} == {40}
    assert changed.subnet == manifest.subnet


def test_another_budget_searches_again_and_reuses_the_same_subnet(first, own_cache, tmp_path):
    _, manifest = first
    changed, stages = own_cache.build(tmp_path / "out", latency_ms=manifest.search.budget_ms)
    assert stages.made == {"search"}
    assert changed.subnet == manifest.subnet
    assert (changed.search.budget_source, changed.search.relative_budget) == ("option", None)


def test_another_seed_searches_again_and_extracts_only_another_subnet(own_cache, tmp_path):
    stages = Stages(interrupt_at="run-torch")
    with pytest.raises(KeyboardInterrupt):
        own_cache.build(tmp_path / "out", stages, seed=1)
    same = chosen(own_cache, seed=1) == chosen(own_cache, seed=0)
    assert stages.made == ({"search"} if same else {"search", "extract", "onnx"})
    assert not (tmp_path / "out").exists()


def chosen(workshop: Workshop, seed: int) -> dict:
    """What the cached search with a seed chose."""
    for path in workshop.cache.glob("search/*/index.json"):
        if json.loads(path.read_bytes())["inputs"]["seed"] == seed:
            return json.loads((path.parent / "search.json").read_bytes())["chosen"]
    raise AssertionError(seed)


def test_two_builds_at_once_share_one_cache(first, own_cache, tmp_path):
    """Two processes, one cache with stages missing, one output folder."""
    out, manifest = first
    for stage in ("onnx", *RUNS):
        shutil.rmtree(own_cache.cache / stage)
    command = [sys.executable, str(Path(builds.__file__)), str(own_cache.package), str(own_cache.cache)]
    path = os.pathsep.join(sys.path)
    running = [
        subprocess.Popen([*command, str(tmp_path / "out")], env={**os.environ, "PYTHONPATH": path}) for _ in range(2)
    ]
    assert [process.wait(timeout=300) for process in running] == [0, 0]
    built = read_manifest(tmp_path / "out")
    assert built.ladder == manifest.ladder
    for record in built.outputs:
        assert sha256_file(tmp_path / "out" / record.path) == record.sha256
    assert (tmp_path / "out" / "model.onnx").read_bytes() == (out / "model.onnx").read_bytes()
    assert not list((own_cache.cache / ".partial").iterdir())
    assert own_cache.build(tmp_path / "out")[1].made == set()


# -- other precisions --


@pytest.mark.parametrize(("precision", "share"), [("fp16", 0.6), ("dynamic", 0.9), ("int8", 0.5)])
def test_smaller_precisions(first, workshop, tmp_path, precision, share):
    _, manifest = first
    small, _ = workshop.build(tmp_path / "out", precision=precision)
    assert small.target.precision == precision
    last = small.ladder[-1]
    assert last.name == f"tflite {precision}"
    assert last.drop.drop == pytest.approx(small.ladder[0].top1 - last.top1)
    assert last.drop.low95 <= last.drop.drop <= last.drop.high95
    assert (small.calibration is not None) == (precision == "int8")
    if small.calibration is not None:
        assert (small.calibration.images, small.calibration.classes) == (160, 3)
    assert "points of top-1" in (tmp_path / "out" / "report.html").read_text()
    assert last.tolerance.snr_db < 80
    assert last.snr_db > last.tolerance.snr_db
    outcomes = {verdict.gate: verdict.outcome for verdict in small.verdicts}
    assert outcomes["statistics"] == "pass"
    assert outcomes["parity"] == ("fail" if any(rung.outcome == "fail" for rung in small.ladder) else "pass")
    onnx, tflite = (next(item.size for item in small.outputs if item.path == f"model.{kind}") for kind in KINDS)
    assert tflite < share * onnx
    check_top1(tmp_path / "out", small, workshop.package)
    if subnet_of(small) == subnet_of(manifest):
        assert {record.name for record in small.stages if record.cached} >= {"extract", "onnx", "run-torch"}


KINDS = ("onnx", "tflite")


def test_a_tvm_build_says_how_its_functions_were_scheduled(first, workshop, tmp_path):
    try:
        manifest, _ = workshop.build(tmp_path / "out", runtime="tvm")
    except ToolMissingError as error:
        pytest.skip(f"{error.what}: {error.why}")
    assert manifest.schedules.isa == "neon"
    assert manifest.schedules.threads == 4
    assert manifest.schedules.fallbacks == ()
    assert manifest.schedules.rules["depthwise"] > 0
    written = json.loads((tmp_path / "out" / "model.json").read_text())
    assert written["schedules"] == manifest.schedules.model_dump(mode="json", exclude_none=True) | {"fallbacks": []}
    assert "Compiled functions" in (tmp_path / "out" / "report.html").read_text()
    assert first[1].schedules is None


# -- errors leave the last result as it was --


def test_a_full_disk_leaves_the_last_result(first, workshop, tmp_path, monkeypatch):
    out = tmp_path / "out"
    workshop.build(out)
    before = content(out)

    def full(source, target):
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    with monkeypatch.context() as patch:
        patch.setattr(finish, "copy_file", full)
        with pytest.raises(OutputError) as caught:
            workshop.build(out)
    assert "No space left" in caught.value.why
    assert "free some space" in caught.value.hint
    with monkeypatch.context() as patch:
        patch.setattr(finish, "write_manifest", lambda folder, manifest: full(None, folder))
        with pytest.raises(OutputError):
            workshop.build(out)
    assert content(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_impossible_budget_names_the_fastest_subnet(workshop, tmp_path):
    with pytest.raises(BudgetError) as caught:
        workshop.build(tmp_path / "out", latency_ms=1e-4)
    assert "fastest" in caught.value.why
    assert "--latency-ms" in caught.value.hint
    budget = float(caught.value.hint.split()[1].rstrip(","))
    assert budget < make_plan(workshop.options(tmp_path / "out")).search.budget_ms
    assert not (tmp_path / "out").exists()


# -- the command line --


def run_main(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return int(caught.value.code or 0)


def test_the_command_line_prints_the_result(first, workshop, tmp_path, monkeypatch, capsys):
    _, manifest = first
    monkeypatch.setenv("OFA_EDGE_CACHE", str(workshop.cache))
    out = str(tmp_path / "out")
    arguments = ["build", "--target", "raspberry-pi-4", "--device", "none", "--out", out, "--seed", "0"]
    arguments += ["--supernet", str(workshop.package)]
    assert run_main(arguments) == 0
    printed = capsys.readouterr()
    for words in (manifest.subnet.id, "tflite fp32", "unverified", "60 % of the largest", f"wrote {out}/"):
        assert words in printed.out
    assert f"{len(STAGES)} from cache" in printed.out
    assert [line.split()[0] for line in printed.err.splitlines() if "from cache" in line] == STAGES
    assert "\x1b" not in printed.out + printed.err
    assert run_main([*arguments, "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["subnet"]["id"] == manifest.subnet.id
    assert printed.err == ""
    assert run_main(["report", out]) == 0
    assert manifest.subnet.id in capsys.readouterr().out
