"""`ofa-edge inspect`: exit codes, what is printed, and what is not."""

import json

import onnx
import pytest
from onnx import TensorProto, helper
from onnx_text import save_model

import ofa_edge as oe
from ofa_edge.cli import inspect as command
from ofa_edge.cli.inspect import describe
from ofa_edge.export.inspect import Finding, Inspection
from ofa_edge.records.blame import BlameRecord, LayerBlame

NODES = tuple(f"{number} DEPTHWISE_CONV_2D x" for number in range(6))
FAULT = Finding("depthwise-over-25-taps", "fault", "depthwise 7x7", "split it", NODES, "31 % of the time")
NOTE = Finding("no-metadata", "note", "no metadata", "ofa-edge build writes it")


def inspection(*findings, profile=None):
    facts = {"precision": "fp32", "inputs": "input float32 [1, 27, 27, 3]"}
    return Inspection("m.tflite", "tflite", 138_000, facts, {"CONV_2D": 20, "ADD": 8}, findings, profile or {})


@pytest.fixture
def given(monkeypatch, tmp_path):
    """Let `inspect` find the given."""
    (tmp_path / "m.tflite").write_bytes(b"")

    def give(found):
        monkeypatch.setattr("ofa_edge.export.inspect.inspect_model", lambda *_: found)
        return tmp_path / "m.tflite"

    return give


def test_exit_codes(run, given, tmp_path):
    assert run("inspect", given(inspection()))[0] == 0
    assert run("inspect", given(inspection(NOTE)))[0] == 0
    assert run("inspect", given(inspection(NOTE, FAULT)))[0] == 1
    assert run("inspect", given(inspection(NOTE, FAULT)), "--json")[0] == 1


def test_a_bad_file_is_told_in_three_parts(run, tmp_path):
    for name in ("nowhere.tflite", "empty.tflite"):
        (tmp_path / "empty.tflite").write_bytes(b"")
        code, out, err = run("inspect", tmp_path / name)
        assert (code, out) == (2, "")
        lines = err.splitlines()
        assert [line.split(" ")[0] for line in lines] == ["error:", "", ""]
        assert lines[2].startswith("  try: ")


def test_what_is_printed(run, given):
    code, out, err = run("inspect", given(inspection(FAULT, NOTE)))
    assert (code, err) == (1, "")
    assert "\x1b" not in out
    assert out.startswith("m.tflite: tflite, 138 kB\n")
    for words in (
        "28: CONV_2D 20, ADD 8",
        "fault   depthwise 7x7",
        "cost   31 % of the time",
        "and 2 more",
        "1 fault, 1 note",
    ):
        assert words in out
    assert "4 DEPTHWISE" not in out, "four nodes are enough without --json"
    assert max(map(len, out.splitlines())) <= command.WIDTH


def test_json_has_every_node(run, given):
    _, out, _ = run("inspect", given(inspection(FAULT)), "--json")
    facts = json.loads(out)
    assert facts["findings"][0]["nodes"] == list(FAULT.nodes)
    assert facts["operators"] == {"CONV_2D": 20, "ADD": 8}


def test_the_dearest_operators_of_a_profile():
    text = describe(inspection(profile={f"{n} CONV_2D x": float(n) for n in range(1, 21)}))
    lines = text.splitlines()
    start = lines.index("the 10 dearest of 20 operators:")
    assert lines[start + 2].split() == ["20", "CONV_2D", "x", "20.000", "9.5", "%"]
    assert lines[-1] == "nothing to mend"


def test_help_says_what_the_exit_codes_mean(run):
    code, out, _ = run("inspect", "--help")
    assert code == 0
    assert "Exit code 0: no fault" in " ".join(out.split())


def test_blame_is_shown_and_is_in_the_json(run, given, monkeypatch, tmp_path):
    worst = LayerBlame(layer="/stem/Conv", operators=("PAD", "CONV_2D"), snr_db=21.5, share=0.61, top1_drop=0.0125)
    other = LayerBlame(layer="input", operators=(), snr_db=999.0, share=0.0, top1_drop=0.0)
    blamed = BlameRecord(images=80, snr_db=20.1, added_db=21.4, top1_drop=0.025, layers=(worst, other))
    asked = []
    monkeypatch.setattr("ofa_edge.workflows.blame.blame_file", lambda *given: asked.append(given) or blamed)
    model = given(inspection())
    code, out, _ = run("inspect", model, "--against", tmp_path / "m.onnx", "--data", tmp_path, "--images", "80")
    assert code == 0
    assert asked == [(model, tmp_path / "m.onnx", tmp_path, 80)]
    for words in ("80 images: 20.1 dB, +2.50 points", "/stem/Conv", "61.0 %", "+1.25", "PAD 1, CONV_2D 1", "2 layers"):
        assert words in out
    code, out, _ = run("inspect", model, "--against", tmp_path / "m.onnx", "--json")
    assert json.loads(out)["blame"] == blamed.model_dump(mode="json")


def test_from_the_command_line_and_from_python(tmp_path, run):
    path = save_model(tmp_path / "m.onnx", "a = Add(input, other) logits = Flatten(a)", ("batch", 4, "h", 9))
    model = onnx.load(path)
    model.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, ["batch", 4, "h", 9]))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", "k"]))
    onnx.save(model, path)
    code, out, _ = run("inspect", path)
    assert code == 0
    command = next(line.split("fix", 1)[1].strip() for line in out.splitlines() if "--shape" in line)
    assert command == f"ofa-edge inspect {path} --shape input=1x4x224x9 --shape other=1x4x224x9", "on one line"
    code, out, _ = run(*command.split()[1:], "--json")
    told = json.loads(out)
    assert (code, told["findings"]) == (0, [])
    found = oe.inspect(path, shape={"input": (1, 4, 224, 9), "other": (1, 4, 224, 9)})
    assert found.facts == told["facts"]
