"""A build's README.md: what was measured says so, what was not says so too, and no text of a manifest is a mark."""

import re

import pytest
from manifests import manifest as made

from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.example.readme import README, plain, write_readme
from ofa_edge.example.write import Programs
from ofa_edge.network import Interface
from ofa_edge.runtimes import runtime_named
from ofa_edge.schema import changed

INTERFACE = Interface.of_classifier(Preprocessing(8, 1, (0.0,), (1.0,)), ("a", "b")).record("model.tflite")


def text_of(folder, programs, **changes) -> str:
    manifest = changed(made(), interface=INTERFACE, **changes)
    write_readme(folder, manifest, runtime_named("tflite"), programs, "made of nothing" if programs.python else "")
    return (folder / README).read_text()


@pytest.mark.parametrize("text", ["a|b", "<script>", "[x](y)", "`id`", "**", "\n# title", "a\\", "![x](y)", "&lt;"])
def test_a_text_is_no_mark(text):
    found = plain(f"x{text}")
    assert "\n" not in found
    assert not re.search(r"(?<!\\)(?:\\\\)*[|<>\[\]`*&]", found)


def test_only_what_was_written_is_spoken_of(tmp_path):
    none = text_of(tmp_path, Programs(why_not="there is no example for it"))
    assert "there is no example for it" in none
    assert "--check" not in none
    python = text_of(tmp_path, Programs(python=True))
    assert "example/python/classify.py --check" in python
    assert "make -C" not in python
    assert "make -C example/cpp" in text_of(tmp_path, Programs(python=True, cpp=True))
    assert "OfaClassifier" in text_of(tmp_path, Programs(python=True, java=True))


def test_what_an_emulator_ran_has_no_time(tmp_path):
    manifest = made()
    said = text_of(tmp_path, Programs(python=True))
    kinds = {each.kind for each in manifest.measurements}
    assert ("an emulator gives no times" in said) == ("emulated" in kinds)
    assert ("measured on" in said) == (bool(manifest.network.dataset) or "physical" in kinds)
