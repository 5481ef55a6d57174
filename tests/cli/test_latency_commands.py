"""`predict`, `explain` and `latency import|export`: what they print, and how they refuse."""

import json

import numpy as np
import onnx
import pytest
import yaml
from cli_errors import check_error
from onnx import TensorProto, helper, numpy_helper

PUBLISHED = "ofa_mbv3_d234_e346_k357_w1.2"


@pytest.fixture
def network(tmp_path):
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"], strides=[2, 2], pads=[1, 1, 1, 1], name="stem")]
    nodes.append(helper.make_node("Sin", ["a"], ["y"], name="odd"))
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 16, 16])],
        [numpy_helper.from_array(np.zeros((8, 3, 3, 3), np.float32), "w")],
    )
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def test_predict_says_how_sure_it_is_and_names_what_it_does_not_know(run, network):
    code, out, err = run("predict", network, "--target", "raspberry-pi-4")
    assert code == 0, err
    assert "predicted, not measured" in out
    assert "not recorded: os_build, runtime_digest, affinity" in out
    assert "unknown operators, whose time is a guess: Sin" in out


def test_predict_as_json_has_every_operator(run, network):
    code, out, err = run("predict", network, "--target", "raspberry-pi-4", "--precision", "int8", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert [item["name"] for item in found["operators"]] == ["stem", "odd", "call"]
    assert found["unknown_operators"] == ["Sin"]
    assert sum(item["ms"] for item in found["operators"]) == pytest.approx(found["latency_ms"]["ms"])
    assert found["latency_ms"]["low90"] < found["latency_ms"]["ms"] < found["latency_ms"]["high90"]
    assert found["key"]["precision"] == "int8"


def test_predict_outside_the_key_is_refused_or_labelled(run, network):
    arguments = ("predict", network, "--target", "raspberry-pi-4", "--runtime-version", "LiteRT 9")
    assert "--outside-key" in check_error(run(*arguments))
    code, out, _ = run(*arguments, "--outside-key")
    assert code == 0
    assert "outside its key: version LiteRT 9 is asked for" in out


def test_predict_refuses_what_is_no_network(run, tmp_path):
    (tmp_path / "x.onnx").write_text("nothing")
    assert "x.onnx" in check_error(run("predict", tmp_path / "x.onnx", "--target", "raspberry-pi-4"))
    check_error(run("predict", tmp_path / "none.onnx", "--target", "raspberry-pi-4"))


def test_explain_shows_blocks_and_coefficients_with_their_sources(run):
    code, out, err = run("explain", "--target", "pixel-4")
    assert code == 0, err
    assert "stage 1 block 1" in out
    assert "million MACs of 1x1 convolutions" in out
    assert "google/XNNPACK README.md" in out


def test_explain_takes_a_configuration_and_refuses_another(run):
    config = json.dumps({"d": [1], "ks": [3], "e": [4], "r": 28})
    check_error(run("explain", config, "--target", "pixel-4"))
    check_error(run("explain", "{", "--target", "pixel-4"))
    check_error(run("explain", "no-such-file.json", "--target", "pixel-4"))
    config = json.dumps({"d": [2] * 5, "ks": [3] * 10, "e": [3] * 10, "r": 160})
    code, out, err = run("explain", config, "--target", "pixel-4", "--supernet", PUBLISHED, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["subnet"]["r"] == 160
    assert len(found["parts"]) == 10 + 3


def test_tables_go_out_and_come_back_as_a_target(run, network):
    code, _, err = run("latency", "export", "--target", "pixel-4", "--supernet", PUBLISHED, "--out", "tables")
    assert code == 0, err
    words = ("--name", "note", "--like", "pixel-4", "--measured-on", "A phone", "--version", "TFLite", "--source", "me")
    files = [f"tables/{size}_lookup_table.yaml" for size in (160, 192, 224)]
    arguments = ("latency", "import", *files, *words, "--out", "targets", "--supernet")
    code, _, err = run(*arguments, PUBLISHED)
    assert code == 0, err
    code, table, err = run("explain", "--target", "targets/note.toml", "--supernet", PUBLISHED, "--json")
    assert code == 0, err
    _, origin, _ = run("explain", "--target", "pixel-4", "--supernet", PUBLISHED, "--json")
    before, after = (json.loads(text)["latency_ms"]["ms"] for text in (origin, table))
    assert after == pytest.approx(before, rel=1e-6)
    assert "another search space" in check_error(run(*arguments, "ofa_mbv3_d234_e346_k357_w1.0"))
    assert "table" in check_error(run("predict", network, "--target", "targets/note.toml"))


def test_a_table_that_lacks_an_entry_names_it_with_the_nearest(run, tmp_path):
    run("latency", "export", "--target", "pixel-4", "--supernet", PUBLISHED, "--out", "tables")
    path = tmp_path / "here" / "tables" / "160_lookup_table.yaml"
    content = yaml.safe_load(path.read_text())
    key = next(key for key in content if "kernel:7" in key)
    del content[key]
    path.write_text(yaml.safe_dump(content))
    words = ("--name", "n", "--like", "pixel-4", "--measured-on", "d", "--version", "v", "--source", "s")
    err = check_error(run("latency", "import", path, *words, "--supernet", PUBLISHED))
    assert key in err
    assert "nearest:" in err
