"""Inspection of TFLite files: our own are clean, plainly converted ones name their faults, foreign ones are read."""

import json

import numpy as np
import pytest
from onnx_text import save_model
from tiny_tflite import behind_the_flatbuffer, sum_with_constants, tiny_tflite

from ofa_edge.errors import ModelFileError
from ofa_edge.export.inspect import Inspection, inspect_model
from ofa_edge.export.inspect.litert import Delegation, ask_litert
from ofa_edge.export.inspect.single_operators import cut_out, single_operators
from ofa_edge.export.inspect.tflite_model import read_model
from ofa_edge.export.tflite.convert import convert
from ofa_edge.export.tflite.flatbuffer import operator_names, pack, unpack


def codes(found, severity="fault"):
    return [each.code for each in found.findings if each.severity == severity]


def finding(found, code):
    (one,) = [each for each in found.findings if each.code == code]
    return one


def changed(source, target, change):
    """A copy of a TFLite file with its tables changed."""
    model = unpack(source.read_bytes())
    change(model)
    target.write_bytes(pack(model))
    return target


@pytest.mark.parametrize("precision", ["fp32", "fp16", "dynamic", "int8"])
def test_our_own_files_have_no_fault(tflite_paths, precision):
    found = inspect_model(tflite_paths[precision])
    assert codes(found) == codes(found, "warning") == []
    assert codes(found, "note") == ["no-metadata"]
    words = next(value for name, value in found.facts.items() if name.startswith("LiteRT"))
    total = sum(found.operators.values())
    assert words == f"1 XNNPACK partition, {total} of {total} operators delegated"
    assert Inspection.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_precisions_are_told(tflite_paths):
    said = {name: inspect_model(path).facts["precision"] for name, path in tflite_paths.items()}
    assert said.pop("unfitted") == said["int8"]
    assert said == {
        "fp32": "fp32",
        "fp16": "fp16 weights",
        "dynamic": "dynamic range: int8 weights, float activations",
        "int8": "int8: weights and activations",
    }


def test_a_plainly_converted_model_names_its_faults(plain_paths):
    fp32, dynamic, int8 = (inspect_model(plain_paths[name]) for name in ("fp32", "dynamic", "int8"))
    assert codes(fp32) == ["depthwise-over-25-taps"]
    assert codes(dynamic) == ["depthwise-over-25-taps", "hybrid-depthwise", "several-partitions"]
    # MINIMUM is what is left of the gates.
    assert codes(int8) == ["depthwise-over-25-taps", "int8-hard-swish", "undelegated-operator", "several-partitions"]
    assert len(finding(fp32, "depthwise-over-25-taps").nodes) == 2
    assert "7x7 (49 taps)" in finding(fp32, "depthwise-over-25-taps").what
    assert len(finding(int8, "int8-hard-swish").nodes) == int8.operators["HARD_SWISH"] == 11
    assert {node.split()[1] for node in finding(int8, "undelegated-operator").nodes} == {"MINIMUM"}
    assert all(each.fix for found in (fp32, dynamic, int8) for each in found.findings)
    assert not any(each.cost for each in int8.findings), "nothing was measured"


def test_costs_are_measured_here(plain_paths):
    found = inspect_model(plain_paths["int8"], profile=True)
    assert set(found.profile) >= set(finding(found, "int8-hard-swish").nodes)
    assert len(found.profile) == sum(found.operators.values())
    assert min(found.profile.values()) > 0
    for code in ("depthwise-over-25-taps", "int8-hard-swish", "undelegated-operator"):
        assert "% of the operators' time" in finding(found, code).cost
        assert "LiteRT" in finding(found, code).cost


@pytest.mark.parametrize("quantised", [False, True])
def test_weights_behind_the_flatbuffer_are_weights(tmp_path, quantised):
    """A convolution whose weights are taken for an input is not delegated when it is timed alone."""
    plain, behind = tmp_path / "plain.tflite", tmp_path / "behind.tflite"
    plain.write_bytes(tiny_tflite(quantised))
    behind.write_bytes(behind_the_flatbuffer(plain.read_bytes()))
    whole, found = (inspect_model(path, profile=True) for path in (plain, behind))
    assert list(found.profile) == list(whole.profile)
    assert found.operators == whole.operators
    total, _, rest = found.facts["weights"].partition(" bytes, ")
    assert f"{total} bytes" == whole.facts["weights"]
    assert 0 < int(rest.split()[0].replace(",", "")) <= int(total.replace(",", ""))
    for mine, theirs in zip(single_operators(behind), single_operators(plain), strict=True):
        assert mine == theirs


def test_a_profile_says_what_it_covers(tflite_paths):
    words = inspect_model(tflite_paths["fp16"], profile=True).facts["profile"]
    assert "the whole file: " in words
    assert "not timed (constant, or not to be run alone): " in words
    assert " DEQUANTIZE" in words


@pytest.mark.parametrize(("name", "once"), [("TILE", True), ("FLOOR_DIV", False)])
def test_operators_of_constants_count_where_they_run_at_each_inference(tmp_path, name, once):
    from ai_edge_litert import schema_py_generated as schema

    words = {"TILE": "TileOptions", "FLOOR_DIV": "FloorDivOptions"}[name]
    options, kind = getattr(schema, f"{words}T")(), getattr(schema.BuiltinOptions, words)
    path = tmp_path / "m.tflite"
    path.write_bytes(sum_with_constants(getattr(schema.BuiltinOperator, name), options, kind))
    found = inspect_model(path)
    said = next(value for fact, value in found.facts.items() if fact.startswith("LiteRT"))
    assert ("run once" in said) == once
    assert (codes(found) == []) == once
    assert said.startswith("1 XNNPACK partition, 1 of 2 operators delegated")


def test_half_size_weights_are_profiled_as_they_run(tflite_paths):
    found = inspect_model(tflite_paths["fp16"], profile=True)
    assert not [name for name in found.profile if "DEQUANTIZE" in name]
    assert len(found.profile) == sum(found.operators.values()) - found.operators["DEQUANTIZE"]


def test_one_operator_alone_keeps_its_constants(tflite_paths):
    model = unpack(tflite_paths["fp32"].read_bytes())
    single = unpack(cut_out(model, 0)).subgraphs[0]
    assert (len(single.operators), len(single.inputs), len(single.outputs)) == (1, 1, 1)
    assert len(single.tensors) == 4  # image, weights, bias, result


# -- files of others --


def test_per_tensor_weights(tflite_paths, tmp_path):
    def one_scale(model):
        graph = model.subgraphs[0]
        weight = graph.tensors[graph.operators[0].inputs[1]]
        weight.quantization.scale, weight.quantization.zeroPoint = weight.quantization.scale[:1], [0]

    found = inspect_model(changed(tflite_paths["int8"], tmp_path / "m.tflite", one_scale))
    (node,) = finding(found, "per-tensor-weights").nodes
    assert node.startswith("0 CONV_2D")
    assert "per-tensor-weights" in codes(found)


def test_custom_operators_that_nobody_knows(tflite_paths, tmp_path):
    from ai_edge_litert import schema_py_generated as schema

    def custom(model):
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = b"TheirOp"
        model.operatorCodes.append(code)
        op = model.subgraphs[0].operators[3]
        op.opcodeIndex, op.builtinOptions, op.builtinOptionsType = len(model.operatorCodes) - 1, None, 0

    found = inspect_model(changed(tflite_paths["fp32"], tmp_path / "m.tflite", custom))
    assert found.operators["custom TheirOp"] == 1
    assert finding(found, "custom-operator").severity == "warning"
    assert "TheirOp" in finding(found, "not-loadable").what
    assert "registered" in finding(found, "not-loadable").fix


def test_several_subgraphs(tflite_paths, tmp_path):
    def doubled(model):
        model.subgraphs.append(model.subgraphs[0])

    found = inspect_model(changed(tflite_paths["fp32"], tmp_path / "m.tflite", doubled))
    assert found.facts["subgraphs"].startswith("2")
    assert found.operators["HARD_SWISH"] == 22
    assert codes(found) == []


def test_a_fault_in_another_subgraph_says_where(plain_paths, tmp_path):
    def doubled(model):
        model.subgraphs.append(model.subgraphs[0])

    found = inspect_model(changed(plain_paths["fp32"], tmp_path / "m.tflite", doubled))
    nodes = finding(found, "depthwise-over-25-taps").nodes
    assert len(nodes) == 4
    assert [node.startswith("1:") for node in nodes] == [False, False, True, True]


def test_shapes_known_only_while_running(tflite_paths, tmp_path):
    def dynamic(model):
        graph = model.subgraphs[0]
        graph.tensors[graph.inputs[0]].shapeSignature = [-1, 27, 27, 3]

    found = inspect_model(changed(tflite_paths["fp32"], tmp_path / "m.tflite", dynamic))
    assert codes(found, "warning") == ["dynamic-shape"]
    assert "[?, 27, 27, 3]" in found.facts["inputs"]


@pytest.mark.parametrize(("kernel", "pads"), [((6, 6), (2, 2, 3, 3)), ((8, 4), (3, 1, 4, 2))])
def test_large_even_kernels_stay_whole_and_are_named(tmp_path, kernel, pads):
    attributes = f"group=4, kernel_shape=[{kernel[0]}, {kernel[1]}], pads=[{', '.join(map(str, pads))}]"
    body = f"c = Conv<{attributes}>(input, w) p = GlobalAveragePool(c) f = Flatten(p) logits = Gemm<transB=1>(f, v)"
    path = save_model(tmp_path / "m.onnx", body, (1, 4, 12, 12), w=(4, 1, *kernel), v=(3, 4))
    convert(path, tmp_path / "m.tflite", "fp32")
    found = finding(inspect_model(tmp_path / "m.tflite"), "depthwise-over-25-taps")
    assert f"{kernel[0]}x{kernel[1]}" in found.what
    assert "it cannot be split" in found.fix


@pytest.mark.parametrize(("outputs", "named"), [(6, False), (1, True)])
def test_a_convolution_of_one_channel_is_an_ordinary_one(tmp_path, outputs, named):
    body = "c = Conv(input, w) p = GlobalAveragePool(c) f = Flatten(p) logits = Gemm<transB=1>(f, v)"
    path = save_model(tmp_path / "m.onnx", body, (1, 1, 12, 32), w=(outputs, 1, 1, 28), v=(3, outputs))
    convert(path, tmp_path / "m.tflite", "fp32")
    found = inspect_model(tmp_path / "m.tflite")
    assert ("depthwise-over-25-taps" in codes(found)) == named


def test_a_transposition_is_told(tflite_paths, tmp_path):
    from ai_edge_litert import schema_py_generated as schema

    def renamed(model):
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.TRANSPOSE
        model.operatorCodes.append(code)
        model.subgraphs[0].operators[3].opcodeIndex = len(model.operatorCodes) - 1

    found = inspect_model(changed(tflite_paths["fp32"], tmp_path / "m.tflite", renamed))
    (node,) = finding(found, "transpose").nodes
    assert node.startswith("3 TRANSPOSE")


# -- damaged files --


@pytest.mark.parametrize("keep", [7, 8, 40, 1000, 0.3, 0.9])
def test_files_cut_short(tflite_paths, tmp_path, keep):
    content = tflite_paths["fp32"].read_bytes()
    size = keep if isinstance(keep, int) else int(keep * len(content))
    path = tmp_path / "cut.tflite"
    path.write_bytes(content[:size])
    with pytest.raises(ModelFileError, match=r"cut\.tflite") as caught:
        inspect_model(path)
    assert caught.value.exit_code == 2


def test_damage_anywhere_ends_in_an_answer(tflite_paths, tmp_path, monkeypatch):
    """Bytes overwritten at random: an inspection or a ModelFileError, nothing else. LiteRT is left out: it is another
    process, and what it does with such a file is its own."""
    monkeypatch.setattr("ofa_edge.export.inspect.tflite_file.ask_litert", lambda *_: Delegation(refused="not asked"))
    content = tflite_paths["int8"].read_bytes()
    random = np.random.default_rng(0)
    path = tmp_path / "damaged.tflite"
    refused = 0
    for _ in range(60):
        raw = bytearray(content)
        for at in random.integers(8, 4000, size=20):
            raw[at] = random.integers(256)
        path.write_bytes(raw)
        try:
            assert codes(inspect_model(path))
        except ModelFileError:
            refused += 1
    assert refused > 0


@pytest.mark.parametrize(("content", "words"), [(b"", "it is empty"), (b"GIF89a and so on", "neither a TFLite")])
def test_what_is_no_model(tmp_path, content, words):
    path = tmp_path / "m.bin"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=words):
        inspect_model(path)
    with pytest.raises(ModelFileError, match="No such file"):
        inspect_model(tmp_path / "nowhere.tflite")


def test_a_process_that_dies_is_a_refusal(tflite_paths, monkeypatch):
    script = "import os, signal; os.kill(os.getpid(), signal.SIGABRT)"
    refusal = ask_litert(tflite_paths["fp32"], worker=("-c", script))
    assert refusal.refused.startswith("the process ended by signal 6")
    monkeypatch.setattr("ofa_edge.export.inspect.tflite_file.ask_litert", lambda *_: refusal)
    found = inspect_model(tflite_paths["fp32"])
    assert codes(found) == ["not-loadable"]


def test_reading_needs_no_tensorflow(tflite_paths):
    import subprocess
    import sys

    script = (
        "import sys; from pathlib import Path; from ofa_edge.export.inspect import inspect_model;"
        "inspect_model(Path(sys.argv[1])); assert not {'tensorflow', 'torch', 'onnx'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script, tflite_paths["fp32"]], check=True)


def test_models_as_the_rules_see_them(tflite_paths):
    model = read_model(tflite_paths["int8"])
    first = model.subgraphs[0].operators[0]
    image, weight, bias = first.inputs
    assert (image.kind, image.constant, len(image.scale)) == ("INT8", False, 1)
    assert (weight.constant, len(weight.scale)) == (True, 8)
    assert (bias.kind, bias.constant) == ("INT32", True)


def _no_weights(op, graph):
    op.inputs = op.inputs[:1]


def _flat_weights(op, graph):
    graph.tensors[op.inputs[1]].shape = [4]


def _input_of_two_dimensions(op, graph):
    graph.tensors[op.inputs[0]].shape, graph.tensors[op.inputs[0]].shapeSignature = [1, 4], None


def _stride_of_zero(op, graph):
    op.builtinOptions.strideH = 0


def _no_options(op, graph):
    op.builtinOptions = None


@pytest.mark.parametrize("change", [_no_weights, _flat_weights, _input_of_two_dimensions, _stride_of_zero, _no_options])
def test_a_layer_that_lacks_what_it_computes_with_is_damage(tmp_path, change):
    raw = unpack(tiny_tflite(quantised=True))
    graph, names = raw.subgraphs[0], operator_names(raw)
    op = next(each for each in graph.operators if names[each.opcodeIndex].endswith("CONV_2D"))
    change(op, graph)
    (tmp_path / "model.tflite").write_bytes(pack(raw))
    with pytest.raises(ModelFileError, match="damaged TFLite file") as caught:
        read_model(tmp_path / "model.tflite")
    assert "CONV_2D" in caught.value.why
