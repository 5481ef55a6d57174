"""`ofa-edge build --model` as people type it, and what can be done with the build."""

import json
from pathlib import Path

import pytest
from cli_errors import check_error
from own_networks import NAMES, save_classifier, save_folder

from ofa_edge.records.manifest import read_manifest

TARGET = ("--target", "host", "--runtime", "onnxruntime")
STATISTICS = ("--mean", "127.5", "--std", "127.5")


@pytest.fixture
def network(run):
    del run  # which goes to an empty folder first
    return save_classifier(Path("brightness.onnx"))


def test_from_a_file_to_a_verified_build(run, network):
    folder = save_folder(Path("photos"), dict.fromkeys(NAMES, 12))
    Path("labels.txt").write_text("\n".join(NAMES))
    arguments = ("build", "--model", network, *TARGET, *STATISTICS, "--labels", "labels.txt", "--data", folder)
    status, out, err = run(*arguments, "--device", "none", "--latency-ms", "50")
    assert status == 0, err
    assert "network brightness.onnx, images: photos: 48 test images" in err
    assert "given file" in out
    assert "next: ofa-edge verify out/host --device NAME --data DIR" in out
    status, out, err = run("verify", "out/host", "--device", "local", "--data", folder)
    assert status in (0, 3), err  # 3: a busy machine gives no latency
    assert "parity" in out
    status, out, err = run("profile", "out/host", "--device", "local", "--data", folder)
    assert status in (0, 3), err
    refused = check_error(run("explain", "out/host", *TARGET))
    assert "ofa-edge predict out/host/model.onnx --target host" in refused


def test_json_is_the_manifest_and_inputs_may_be_arrays(run, network):
    status, out, err = run("build", "--model", network, *TARGET, "--device", "none", "--json")
    assert status == 0, err
    found = json.loads(out)
    assert found["network"]["kind"] == "file"
    assert found["supernet"] is None
    assert len(found["network"]["assumed"]) == 2


def test_a_dry_run_writes_nothing(run, network):
    status, out, _ = run("build", "--model", network, *TARGET, "--dry-run")
    assert status == 0
    assert "no budget" in out
    assert "assumed: pixels are normalised with ImageNet's" in out
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--labels", "labels.txt"), "--labels without --model"),
        (("--model", "none.onnx"), "cannot read none.onnx"),
        (("--model", "."), "it is a folder"),
        (("--model", "net.pt2"), "torch.export.load(FILE)"),
        (("--model", "brightness.onnx", "--refine", "4"), "--model with --refine"),
        (("--model", "brightness.onnx", "--supernet", "ofa_mbv3_d234_e346_k357_w1.0"), "--model with --supernet"),
        (("--model", "brightness.onnx", "--max-macs", "8M"), "--model with --max-macs"),
        (("--model", "brightness.onnx", "--shape", "3x"), "bad shape"),
        (("--model", "brightness.onnx", "--mean", "0.5", "--std", "0.5"), "--mean 127.5 --std 127.5"),
        (("--model", "brightness.onnx", "--data", "nowhere"), "no such data"),
    ],
)
def test_wrong_arguments(run, network, arguments, words):
    Path("net.pt2").write_bytes(b"PK\x03\x04 and so on")
    assert words in check_error(run("build", *TARGET, *arguments))
    assert not Path("out").exists()


def test_a_fleet_gets_one_network(run, network):
    arguments = ("build", "--fleet", "raspberry-pi-4,raspberry-pi-5=50ms", "--model", network, "--precision", "fp32")
    arguments += ("--device", "none", *STATISTICS)
    code, out, _ = run(*arguments, "--dry-run")
    assert code == 0
    assert [words in out for words in ("raspberry-pi-4", "raspberry-pi-5", "50")] == [True] * 3
    assert not Path("out/raspberry-pi-4/manifest.json").exists()
    code, out, _ = run(*arguments)
    assert code == 0
    assert "2 targets, 1 network\n" in out
    made = [read_manifest(Path("out") / name / "manifest.json") for name in ("raspberry-pi-4", "raspberry-pi-5")]
    assert [each.budget_ms for each in made] == [None, 50]
    assert [each.target.name for each in made] == ["raspberry-pi-4", "raspberry-pi-5"]
    assert made[0].network.sha256 == made[1].network.sha256
    shared = {stage.name for stage in made[1].stages if stage.cached}
    assert {"run-given", "prepare", "tflite-bare"} <= shared
    words = check_error(run(*arguments, "--max-models", "2"))
    assert "--max-models with --model" in words
    words = check_error(run("build", "--fleet", "raspberry-pi-4", "--model", network))
    assert "a fleet has 2 to" in words
    words = check_error(run("build", "--fleet", "raspberry-pi-4=fast,raspberry-pi-5", "--model", network))
    assert "'fast' is no budget for raspberry-pi-4" in words
    two = ("build", "--fleet", "raspberry-pi-4,raspberry-pi-5", "--model", network)
    words = check_error(run(*two, "--runtime", "fastest"))
    assert "with --fleet" in words


def test_what_asks_for_a_subnet_says_that_there_is_none(run, network):
    assert run("build", "--model", network, *TARGET, "--device", "none")[0] == 0
    words = check_error(run("finetune", "--supernet", "fashion-mnist", "--subnet", "out/host"))
    assert "a build from a file has no subnet" in words
