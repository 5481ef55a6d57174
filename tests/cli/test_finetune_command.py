"""`ofa-edge finetune`: what it says beforehand, its summary, its JSON, and what it refuses."""

import json

import pytest
from tiny_runs import image_folder


@pytest.fixture
def command(package, tmp_path):
    data = image_folder(tmp_path / "data", train=90, test=30)
    return ("finetune", "--supernet", package, "--subnet", "smallest", "--data", data, "--out", tmp_path / "tuned")


def test_a_dry_run_says_the_classes(run, command, tmp_path):
    status, out, err = run(*command, "--dry-run")
    assert (status, out) == (0, "")
    assert "3 classes of " in err
    assert "training images" in err
    assert not (tmp_path / "tuned").exists()


def test_a_summary_for_people_json_for_programs_and_changed_code(run, command, tmp_path, monkeypatch):
    brief = ("--epochs", 0.5, "--lr", 1e-6, "--threads", 1)
    status, out, err = run(*command, *brief)
    assert status == 0, err
    figures = json.loads((tmp_path / "tuned" / "finetune.json").read_bytes())
    first, second, wrote, following = filter(None, out.splitlines())
    assert first.startswith(f"top-1 {100 * figures['top1_before']:.2f} % before, ")
    assert first.endswith(" after: within chance")
    assert "of 30 test images" in second
    assert wrote == f"wrote {tmp_path / 'tuned'}/ (network.safetensors, finetune.json)"
    assert following == f"next: ofa-edge build --target raspberry-pi-4 --supernet {tmp_path / 'tuned'}"
    status, out, _ = run(*command, *brief, "--json")
    assert status == 0
    assert json.loads(out).items() <= figures.items()
    monkeypatch.setattr("ofa_edge.training.claim.training_code", lambda: "f" * 64)
    status, _, err = run(*command, *brief)
    assert status == 2
    assert "the code that trains has changed since" in err
    status, out, _ = run(*command, *brief, "--accept-changed-code", "--json")
    assert status == 0
    assert len(json.loads(out)["identity"]["earlier"]) == 1


def test_a_network_that_became_worse_is_exit_code_1(run, command, tmp_path):
    """The labels of the training folder are rotated: what is learnt is wrong."""
    train = tmp_path / "data" / "train"
    names = sorted(path.name for path in train.iterdir())
    for name in names:
        (train / name).rename(train / f"{name}-moved")
    for name, other in zip(names, names[1:] + names[:1], strict=True):
        (train / f"{name}-moved").rename(train / other)
    status, out, err = run(*command, "--epochs", 6, "--lr", 1.6, "--distill", 0, "--batch", 16, "--threads", 1)
    assert status == 1
    assert out == ""
    assert "error: fine-tuning made the subnet worse" in err
    assert "points (-" in err
    assert "try: --lr 0.4" in err
    assert not (tmp_path / "tuned" / "network.safetensors").exists()
