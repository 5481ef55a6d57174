"""Timm's own preprocessing of a given network: in the file's metadata, or in config.json beside it."""

import json

import numpy as np
import pytest
from builds import Stages
from own_networks import NAMES, save_classifier
from PIL import Image

from ofa_edge.builds import Build
from ofa_edge.cache import StageCache
from ofa_edge.data.framing import Framing
from ofa_edge.workflows.build.base import BuildOptions, ModelOptions
from ofa_edge.workflows.build.run import plan_build, run_build
from ofa_edge.workflows.run_photos import run_photos

CONFIG = {"mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bicubic", "crop_pct": 0.9}


def plan(file, data=None, out=None, **model):
    given = ModelOptions(file, **model)
    return plan_build(
        BuildOptions(
            "raspberry-pi-4", device="none", runtime="onnxruntime", precision="fp32", data=data, out=out, model=given
        )
    )


def save_photos(folder):
    """Pictures of several shapes, ten of each class and part."""
    rng = np.random.default_rng(0)
    for part in ("train", "val"):
        for number, name in enumerate(NAMES):
            (folder / part / name).mkdir(parents=True)
            for count in range(10):
                height, width = rng.integers(30, 90, 2)
                pixels = rng.integers(0, 120, (height, width, 3))
                pixels[..., number % 3] += 100
                Image.fromarray(pixels.astype(np.uint8)).save(folder / part / name / f"{count}.png")
    return folder


def preprocessing_of(made):
    return made.interface.inputs[0].preprocessing


def test_metadata_say_filter_and_share(tmp_path):
    made = plan(save_classifier(tmp_path / "net.onnx", pretrained_cfg=json.dumps(CONFIG)))
    assert preprocessing_of(made).framing == Framing("bicubic", 0.9)
    assert preprocessing_of(made).mean == (127.5,) * 3
    assert "model/config.json" not in made.inputs()
    assert not any("config" in words for words in made.assumed)


def test_so_does_the_hubs_file_beside_it(tmp_path):
    file = save_classifier(tmp_path / "net.onnx")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "x", "pretrained_cfg": CONFIG}))
    made = plan(file)
    assert preprocessing_of(made).framing == Framing("bicubic", 0.9)
    assert preprocessing_of(made).std == (63.75,) * 3
    assert made.inputs()["model/config.json"] == (tmp_path / "config.json", "configuration")
    assert "config.json beside the file is taken for its own; else move it away" in made.assumed


@pytest.mark.parametrize(
    ("change", "framing"),
    [
        ({"crop_pct": None}, Framing("bicubic", 0.875)),
        ({"interpolation": "bilinear"}, Framing("bilinear", 0.9)),
        ({"interpolation": "random"}, None),
        ({"crop_mode": "squash"}, None),
        ({"crop_pct": 1.5}, None),
        ({"crop_pct": "much"}, None),
    ],
)
def test_what_is_not_done_is_said(tmp_path, change, framing):
    made = plan(save_classifier(tmp_path / "net.onnx", pretrained_cfg=json.dumps(CONFIG | change)))
    assert preprocessing_of(made).framing == framing
    assert any("pretrained_cfg asks for" in words for words in made.assumed) == (framing is None)


@pytest.mark.parametrize("content", ["{", "[]", '{"pretrained_cfg": 3}', '{"model_type": "vit"}', "\udcff"])
def test_other_files_of_that_name_say_nothing(tmp_path, content):
    file = save_classifier(tmp_path / "net.onnx")
    (tmp_path / "config.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    made = plan(file)
    assert preprocessing_of(made).framing is None
    assert "model/config.json" not in made.inputs()


@pytest.mark.parametrize("model", [{"fit": "squeeze"}, {"fit": "letterbox"}])
def test_a_fit_that_was_asked_for_stands(tmp_path, model):
    made = plan(save_classifier(tmp_path / "net.onnx", pretrained_cfg=json.dumps(CONFIG)), **model)
    assert preprocessing_of(made).framing is None
    assert preprocessing_of(made).fit == model["fit"]


def test_photos_of_a_build_and_of_run_are_framed_so(tmp_path):
    file = save_classifier(tmp_path / "net.onnx", pretrained_cfg=json.dumps(CONFIG), names=json.dumps(list(NAMES)))
    data = save_photos(tmp_path / "photos")
    made = plan(file, data, tmp_path / "out")
    files = [path for name in sorted(NAMES) for path in sorted((data / "val" / name).iterdir())]
    size = preprocessing_of(made).size
    wanted = np.stack([np.asarray(Framing("bicubic", 0.9).frame(Image.open(path), size)) for path in files])
    assert np.array_equal(made.data.test.pixels, wanted)
    run_build(made, StageCache(tmp_path / "cache"), ["test"], Stages())
    network = Build.open(tmp_path / "out").network
    assert network.preprocessing.framing == Framing("bicubic", 0.9)
    answers = run_photos(tmp_path / "out", files[:8], "local").answers
    own = made.given.answers(network.preprocessing.apply(wanted[:8]))
    for answer, row in zip(answers, own, strict=True):
        assert answer.labels[0].name == network.labels[int(row.argmax())]
