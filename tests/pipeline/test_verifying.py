"""Verification after the fact: what was changed since the build is refused; this machine is measured once."""

import functools
import json
import shutil
from pathlib import Path

import pytest
from builds import Workshop, cached_file, content
from tiny_package import copied_package

from ofa_edge.cache import CacheEntry
from ofa_edge.errors import ConfigError, UnknownNameError
from ofa_edge.files import sha256_file
from ofa_edge.pipeline import stages, verifying
from ofa_edge.pipeline.verifying import verify
from ofa_edge.supernet import zoo
from ofa_edge.supernet.zoo import load_images, save_images
from ofa_edge.targets import builtin_folder


def test_verify_on_this_machine(first):
    out, manifest = first
    before = content(out)
    result = verify(out, "local")
    assert content(out) == before
    assert [(item.gate, item.outcome, item.code) for item in result.verdicts] == [
        ("parity", "pass", "all-rungs-within-tolerance"),
        ("accuracy", "pass", "above-floor"),
        ("delegation", "pass", "all-delegated"),
        ("latency", "unverified", "not-the-target"),
    ]
    assert result.outcome == "unverified"
    assert result.rungs[-1].top1 == manifest.ladder[-1].top1
    assert result.device.kind == "physical"
    latency = result.device.latency_ms
    assert 0 < latency.min <= latency.p50 <= latency.p90
    assert latency.sessions == 3
    assert json.loads(json.dumps(result.to_json()))["outcome"] == "unverified"


@pytest.fixture
def copied(first, tmp_path, monkeypatch):
    """A copy of the first build; nothing is measured on it."""
    monkeypatch.setattr(verifying, "measure_artifact", lambda *_: pytest.fail("it was measured"))
    return Path(shutil.copytree(first[0], tmp_path / "copied"))


@pytest.mark.parametrize("name", ["model.tflite", "labels.txt", "report.html"])
def test_verify_refuses_what_was_changed_since(copied, name):
    with (copied / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(ConfigError, match=f"{name} was changed"):
        verify(copied, "local")
    (copied / name).unlink()
    with pytest.raises(ConfigError, match=f"{name} is missing"):
        verify(copied, "local")


def test_verify_refuses_what_is_no_build(copied, tmp_path):
    (copied / "manifest.json").unlink()
    with pytest.raises(ConfigError, match="no manifest"):
        verify(copied, "local")
    with pytest.raises(ConfigError, match="no manifest"):
        verify(tmp_path / "nowhere", "local")


def test_verify_needs_a_device(first, copied):
    with pytest.raises(UnknownNameError):
        verify(copied, "my-pi")


def edited(folder: Path, **supernet: str) -> Path:
    """Another supernet in a build's manifest."""
    facts = json.loads((folder / "manifest.json").read_bytes())
    facts["supernet"].update(supernet)
    (folder / "manifest.json").write_text(json.dumps(facts))
    return folder


def test_verify_refuses_a_supernet_of_another_space(copied):
    with pytest.raises(ConfigError, match="supernet is not the build's"):
        verify(edited(copied, space_hash="a" * 64), "local")


def test_verify_refuses_other_images_than_the_builds(first, copied, workshop, tmp_path):
    folder = copied_package(workshop.package, tmp_path / "changed")
    splits = {split: load_images(folder / zoo.IMAGES, split) for split in zoo.SPLITS}
    splits["test"] = splits["test"].take(slice(0, 40))
    save_images(folder / zoo.IMAGES, splits)
    with pytest.raises(ConfigError):
        verify(edited(copied, name=str(folder)), "local")


def test_verify_finds_the_target_file_of_the_build(first, own_cache, tmp_path, monkeypatch):
    for suffix in ("toml", "latency.json"):
        shutil.copy(builtin_folder() / f"raspberry-pi-4.{suffix}", tmp_path / f"mine.{suffix}")
    text = (tmp_path / "mine.toml").read_text().replace("raspberry-pi-4.latency", "mine.latency")
    (tmp_path / "mine.toml").write_text(text)
    monkeypatch.setattr(stages, "to_tflite", functools.partial(made_before, own_cache))
    own_cache.build(tmp_path / "out", target=str(tmp_path / "mine.toml"))
    monkeypatch.setattr(verifying, "measure_artifact", lambda *_: pytest.fail("found"))
    with pytest.raises(pytest.fail.Exception, match="found"):
        verify(tmp_path / "out", "local")


def made_before(workshop: Workshop, *_: object) -> CacheEntry:
    """The conversion of the first build, without its stage."""
    file = cached_file(workshop.cache, "tflite", "model.tflite")
    return CacheEntry("tflite", "", file.parent, {file.name: sha256_file(file)}, True, 0.0, 0.0)
