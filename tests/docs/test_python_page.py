"""The blocks of docs/python.md, in their order, in one process and one folder."""

import linecache
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from places import ROOT
from tiny_runs import image_folder

import ofa_edge as oe

BLOCKS = re.findall(
    r"^## ([^\n]+)\n(?:(?!^## ).)*?^```python\n(.*?)^```", (ROOT / "docs/python.md").read_text(), re.M | re.S
)


def write_network(path: Path) -> None:
    """An ONNX file that nobody here exported: a convolution and its activation."""
    weights = numpy_helper.from_array(np.zeros((8, 3, 3, 3), np.float32), "weights")
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, channels, 30, 30))
        for name, channels in (("images", 3), ("maps", 8))
    ]
    nodes = [
        helper.make_node("Conv", ["images", "weights"], ["sums"], name="only_convolution", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["sums"], ["maps"], name="relu"),
    ]
    graph = helper.make_graph(nodes, "strange", [ends[0]], [ends[1]], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)


def run(title: str, source: str, names: dict[str, object]) -> None:
    """As a notebook runs a cell: the source can be read back."""
    file = f"<{title}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    exec(compile(source, file, "exec"), names)


def test_every_section_has_one_block() -> None:
    text = (ROOT / "docs/python.md").read_text()
    assert [title for title, _ in BLOCKS] == re.findall(r"^## (.*)$", text, re.M)
    assert text.count("```python") == len(BLOCKS)


def test_the_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OFA_EDGE_CACHE", str(tmp_path / "cache"))
    image_folder(Path("photos"), train=90, test=30)
    write_network(Path("model.onnx"))
    names: dict[str, object] = {"__name__": "__main__"}
    printed = {}
    for title, source in BLOCKS:
        run(title, source, names)
        printed[title] = capsys.readouterr().out
    assert "most of it in call" in printed["Predicted latency"]
    assert "serves ['pixel-4'" in printed["The front, a budget, a fleet"]
    assert "goes by the accuracy predictor" in printed["A predictor of your own measurements"]
    assert "sandwich: step" in printed["Train on a folder of images"]
    assert re.search("^parity pass", printed["Build and read the verdicts"], re.M)
    answers = [re.findall(r"\('\w+', ([\d.]+)\)", line) for line in printed["Run it on photos"].splitlines()]
    assert [len(each) for each in answers] == [2, 2, 2]
    assert all(1 >= float(first) >= float(second) for first, second in answers)
    assert "no subnet takes 0.01 ms" in printed["Errors"]
    assert 0.8 < names["top1"] < 1
    assert isinstance(names["build"], oe.Build)
    assert names["build"].manifest.command == (
        "ofa_edge.build",
        "target=host",
        "supernet=runs/tuned",
        "device=none",
        "out=out/host",
    )
    assert "__main__.by_logits" in Path("runs/by-logits/recipe.json").read_text()
