"""`ofa-edge train`: what it lists, says beforehand, refuses, and makes of a recipe, a preset and an image folder."""

import json

import numpy as np
import pytest
import tiny_runs
from PIL import Image
from places import ROOT
from tiny_runs import image_folder

from ofa_edge.training import claim
from ofa_edge.training.data import load_data
from ofa_edge.workflows.train import claim_run_folder

PRESET = """
name = "bands"
description = "three kinds of bands"
scale = 0.0001
batch = 8
[space]
width_mult = 0.1
strides = [2, 2, 2, 1, 1, 1]
resolutions = [12, 16]
[data]
dataset = "image-folder"
held_out = 30
mean = [72.9]
std = [90.0]
[measure]
pairs = 24
rank_subnets = 2
images = 12
"""


@pytest.fixture
def here(tmp_path):
    (tmp_path / "bands.toml").write_text(PRESET)
    (tmp_path / "tiny.toml").write_text(tiny_runs.SHRINKING)
    image_folder(tmp_path / "data")
    return tmp_path


def refused(result, code=2):
    """The three parts of an error, after which nothing was written."""
    status, out, err = result
    assert status == code
    assert out == ""
    what, why, hint = err[err.index("error: ") :].splitlines()[:3]
    assert why.startswith("  ")
    assert hint.startswith("  try: ")
    assert "Traceback" not in err
    assert "internal error" not in err
    return what + why + hint


def test_the_list(run):
    status, out, _ = run("train", "--list")
    assert status == 0
    recipes, presets = out.split("presets")
    assert "ofa *" in recipes
    assert "ofa-edge *" in recipes
    assert "no-shrinking *" in recipes
    assert "progressive shrinking" in recipes.lower()
    for name in ("smoke", "fashion-mnist", "cifar10"):
        assert name in presets


@pytest.mark.parametrize("method", ["ofa", "ofa-edge", "no-shrinking"])
def test_a_dry_run_prints_the_plan_and_writes_nothing(run, here, method):
    before = sorted(here.rglob("*"))
    command = ["train", "--recipe", method, "--preset", here / "bands.toml", "--data", here / "data"]
    status, out, err = run(*command, "--dry-run", "--seed", "4")
    assert (status, out) == (0, "")
    assert f"'{method}-bands' on image-folder: 16 training images, 30 held out, 2 steps of 8 an epoch" in err
    phases = {
        "ofa": ["full", "kernel", "depth 1", "depth 2", "expand 1", "expand 2"],
        "ofa-edge": ["largest", "sandwich"],
        "no-shrinking": ["random"],
    }
    for phase in phases[method]:
        assert f"\n  {phase}: 1 steps" in err
    assert f"run folder runs/{method}-bands" in err
    assert "on this machine, estimated by" in err
    assert sorted(here.rglob("*")) == before


def classes(folder, **counts):
    """A folder of classes without a test part, colour images of odd shapes."""
    rng = np.random.default_rng(0)
    for place, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            pixels = rng.integers(0, 99, (20 + place, 24, 3), dtype=np.uint8)
            pixels[:, :, place % 3] += 100
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
    return folder


def test_a_dry_run_counts_classes_and_says_what_it_settles(run, tmp_path):
    folder = classes(tmp_path / "birds", crow=60, jay=20, owl=2)
    command = ["train", "--recipe", "ofa-edge", "--preset", "own-images-smoke", "--data", folder, "--threads", "1"]
    status, out, err = run(*command, "--dry-run")
    assert (status, out) == (0, ""), err
    words = " ".join(err.split())
    assert "images training held out test crow" in words
    rows = {line.split()[0]: line.split()[-3:] for line in err.splitlines() if line.startswith("  ")}
    assert [int(value) for value in rows["crow"]][2] == 6
    for name, total in (("crow", 60), ("jay", 20), ("owl", 2), ("all", 82)):
        assert sum(map(int, rows[name])) == total
    assert rows["owl"] == ["1", "0", "1"]
    assert "fewer than 20 training images: jay (16), owl (1)" in err
    assert words.count("training images: jay") == words.count("owl (1)") == 1
    assert "held out: 7 of 73 images (held_out = 0.1)" in err
    assert "are those of 66 training images" in err
    assert "batch 16 in place of 64: there are 66 training images, learning rates in proportion (x 0.25)" in err
    assert "4 steps of 16 an epoch, 90 steps" in err
    assert "timed steps: largest" in err
    assert not (tmp_path / "here" / "runs").exists()


def test_many_classes_are_told_by_their_ends(run, tmp_path, monkeypatch):
    from ofa_edge.training.timing import Estimate
    from ofa_edge.workflows import train

    monkeypatch.setattr(train, "estimate_run", lambda *_: Estimate((30.0, 5400.0), 6, 600.0))
    folder = classes(tmp_path / "kinds", **{f"kind{index:02}": 4 + 2 * index for index in range(13)})
    status, _, err = run("train", "--recipe", "ofa-edge", "--preset", "own-images-smoke", "--data", folder, "--dry-run")
    assert status == 0, err
    assert "  smallest: kind00 " in err
    assert "  largest: kind12 " in err
    assert "\n  all 13 classes " in err
    assert "fewer than 20 training images: kind00 (2), kind01 (4), kind02 (6), " in err
    assert "\n  kind05 " not in err
    assert "about 1.7 hours on this machine, estimated by 6 timed steps: largest 30 s, sandwich 1.5 hours; " in err
    assert "measuring 24 subnets for the predictor, and the test set, 10 minutes" in err


def test_a_folder_of_classes_for_the_preset_of_another_set(run, tmp_path):
    folder = classes(tmp_path / "pets", cat=2, dog=2)
    told = refused(run("train", "--recipe", "ofa-edge", "--preset", "smoke", "--data", folder))
    assert "has folders: cat, dog" in told
    assert "--preset own-images-smoke" in told


def test_the_keys_are_the_page(run):
    status, out, _ = run("train", "--keys")
    assert status == 0
    assert out == (ROOT / "docs" / "recipe.md").read_text()


def test_a_dry_run_refuses_what_a_run_would(run, here):
    (here / "taken").mkdir()
    (here / "taken" / "thesis.tex").write_text("years of work")
    command = ["train", "--recipe", here / "tiny.toml", "--data", here / "data", "--dry-run"]
    assert "is not ours" in refused(run(*command, "--out", here / "taken"))
    (here / "other").mkdir()
    (here / "other" / "recipe.json").write_text('{"digest": "0123456789abcdef"}')
    assert "is damaged or of an older version" in refused(run(*command, "--out", here / "other"))
    assert sorted(path.name for path in (here / "other").iterdir()) == ["recipe.json"]


def test_a_dry_run_accepts_a_run_to_go_on_with(run, here):
    command = ["train", "--recipe", here / "tiny.toml", "--data", here / "data", "--out", here / "mine"]
    claim_run_folder(here / "mine", tiny_runs.shrinking(), load_data(tiny_runs.shrinking(), here / "data"))
    assert run(*command, "--dry-run")[0] == 0
    assert "seed 5 then, 6 now" in refused(run(*command, "--dry-run", "--seed", "6"))


def test_changed_code_is_refused_by_its_option(run, here, monkeypatch):
    command = ["train", "--recipe", here / "tiny.toml", "--data", here / "data", "--out", here / "mine", "--dry-run"]
    with monkeypatch.context() as patch:
        patch.setattr(claim, "training_code", lambda: "0" * 64)
        claim_run_folder(here / "mine", tiny_runs.shrinking(), load_data(tiny_runs.shrinking(), here / "data"))
    told = refused(run(*command))
    assert "the code that trains has changed since: 000000000000 then" in told
    assert "--accept-changed-code" in told
    assert run(*command, "--accept-changed-code")[0] == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--recipe", "tiny.toml", "--on", "gpu"), "cannot train on device 'gpu'"),
        (("--recipe", "tiny.toml", "--on", "cuda"), "cannot train on device 'cuda'"),
        (("--recipe", "ofa", "--preset", "smokee"), "unknown preset 'smokee'"),
        (("--recipe", "ofa"), "recipe 'ofa' is a method"),
        (("--recipe", "ofaa", "--preset", "smoke"), "unknown recipe 'ofaa'"),
        (("--recipe", "ofa", "--preset", "nowhere.toml"), "no such preset file"),
        (("--recipe", "tiny.toml", "--seed", "-1"), "seed = -1: "),
        (("--recipe", "tiny.toml", "--scale", "inf"), "scale = Infinity: "),
        (("--recipe", "tiny.toml", "--preset", "sizeless.toml"), "space.resolutions = []: "),
        (("--recipe", "tiny.toml", "--preset", "latin1.toml"), "cannot read the preset file"),
        (("--recipe", "tiny.toml", "--preset", "damaged.toml"), "not a TOML file"),
        (("--recipe", "tiny.toml", "--preset", "strange.toml"), "unknown key 'batches'"),
    ],
)
def test_refusals(run, here, monkeypatch, options, told):
    import torch

    if "cuda" in options and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    (here / "damaged.toml").write_text("batch = ")
    (here / "strange.toml").write_text("batches = 3")
    (here / "sizeless.toml").write_text("[space]\nresolutions = []")
    (here / "latin1.toml").write_bytes('name = "é"'.encode("latin1"))
    monkeypatch.chdir(here)
    assert told in refused(run("train", *options, "--data", here / "data"))
    assert not (here / "runs").exists()


def test_a_method_names_the_presets(run):
    told = refused(run("train", "--recipe", "ofa"))
    assert "--preset" in told
    assert "smoke" in told


def test_a_scale_must_be_positive(run, here):
    status, _, err = run("train", "--recipe", here / "tiny.toml", "--scale", "0")
    assert status == 2
    assert "--scale" in err


def test_a_recipe_a_preset_and_an_image_folder(run, here):
    """The command as a user gives it, from nothing to a package; a second call trains nothing."""
    out = here / "run"
    command = ["train", "--recipe", "ofa", "--preset", here / "bands.toml", "--data", here / "data", "--out", out]
    status, printed, err = run(*command, "--threads", "1")
    assert status == 0, err
    figures = json.loads((out / "figures.json").read_bytes())
    assert printed.startswith("trained 'ofa-bands' in ")
    assert "on 12 test images:" in printed
    for end in ("largest", "smallest"):
        cells = [f"{100 * figures['test'][metric][f'{end} 16']:.2f}" for metric in ("top1", "balanced")]
        row = next(line for line in printed.splitlines() if line.startswith(f"  {end}, 16 px"))
        assert row.split()[-2:] == cells
    assert "24 were measured on 12 held-out images" in printed
    assert printed.endswith(f"\nnext: ofa-edge build --target raspberry-pi-4 --supernet {out}\n")
    assert "internal" not in err
    names = {path.name for path in out.iterdir()}
    assert {"supernet.safetensors", "recipe.json", "phases.json", "log.jsonl", "teacher.safetensors"} <= names
    assert not [name for name in names if name.endswith(".part")]
    last = json.loads((out / "log.jsonl").read_text().splitlines()[-1])
    assert (last["step"], last["phase"]) == (6, "expand 2")
    assert [item["phase"] for item in json.loads((out / "phases.json").read_bytes())][-1] == "expand 2"
    facts = json.loads((out / "recipe.json").read_bytes())["recipe"]
    assert (facts["name"], facts["batch"], facts["label_smoothing"]) == ("ofa-bands", 8, 0.1)
    before = (out / "supernet.safetensors").read_bytes()
    status, printed, err = run(*command, "--json")
    assert status == 0
    assert json.loads(printed) == json.loads((out / "figures.json").read_bytes())
    assert json.loads(printed)["test"] == figures["test"]
    assert (out / "supernet.safetensors").read_bytes() == before
