"""`ofa-edge diff` in words, as JSON and as a page."""

import json
from pathlib import Path

from cli_errors import check_error
from manifests import facts, manifest

from ofa_edge.builds import Build


def opened(monkeypatch) -> None:
    """Two builds without files; the second is less accurate and has another seed."""
    ladder = tuple(rung.model_copy(update={"top1": 0.8}) for rung in facts()["ladder"])
    made = {"a": manifest(outputs=without_onnx()), "b": manifest(outputs=without_onnx(), ladder=ladder, seed=7)}
    monkeypatch.setattr(Build, "open", classmethod(lambda cls, folder: cls(folder, made[str(folder)])))


def without_onnx():
    return tuple(record for record in facts()["outputs"] if record.path != "model.onnx")


def test_in_words_and_as_a_page(run, monkeypatch):
    opened(monkeypatch)
    code, out, _ = run("diff", "a", "b", "--html", "diff.html")
    assert code == 0
    assert "-11.80 points (-1" in out
    assert "network: the same in both" in out
    assert "predicted, published, 90 %; not measured" in out
    assert out.splitlines()[-1] == "wrote diff.html"
    assert "What moved" in Path("diff.html").read_text()


def test_as_json(run, monkeypatch):
    opened(monkeypatch)
    found = json.loads(run("diff", "a", "b", "--json")[1])
    assert [row for row in found["environment"] if row["name"] == "seed"] == [
        {"name": "seed", "before": "0", "after": "7"}
    ]
    assert not Path("diff.html").exists()


def test_what_is_no_build(run):
    assert "no build in" in check_error(run("diff", "a", "b"))
