import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from converted import convert_together
from onnx_text import save_model
from places import ROOT
from tiny_net import SHAPE

from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.errors import ConversionError, DataError, UnknownNameError, UnsupportedError
from ofa_edge.export import forked
from ofa_edge.export.onnx.run import run_onnx
from ofa_edge.export.tflite.convert import convert, dequantise, operators, quantise, run_tflite
from ofa_edge.export.tflite.flatbuffer import operator_names, unpack
from ofa_edge.export.tflite.native_log import without_lines
from ofa_edge.export.tflite.rewrites import FITTED, names
from ofa_edge.files import sha256_file
from ofa_edge.verify.ladder import Answers, conversion_tolerance, rung
from ofa_edge.verify.parity import compare


def interpreter(path):
    from ai_edge_litert.interpreter import Interpreter

    with without_lines(b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU."):
        loaded = Interpreter(str(path), num_threads=1)
        loaded.allocate_tensors()
    return loaded


# The random network's logits lie close together: a trained one is some 10 dB better in int8.
@pytest.mark.parametrize(
    ("precision", "floor"), [("fp32", (100, 1)), ("fp16", (50, 1)), ("dynamic", (30, 1)), ("int8", (14, 0.8))]
)
def test_answers_against_torch(tflite_paths, images, reference, precision, floor):
    difference = compare(reference, run_tflite(tflite_paths[precision], images))
    snr_db, agreement = floor
    assert difference.snr_db > snr_db
    assert difference.argmax_agreement >= agreement


@pytest.mark.parametrize("precision", ["fp32", "fp16", "dynamic", "int8"])
def test_interface(tflite_paths, precision):
    loaded = interpreter(tflite_paths[precision])
    assert loaded.get_signature_list() == {"serving_default": {"inputs": ["input"], "outputs": ["logits"]}}
    kind = np.int8 if precision == "int8" else np.float32
    for details, shape in [(loaded.get_input_details(), (1, 27, 27, 3)), (loaded.get_output_details(), (1, 10))]:
        assert [(each["dtype"], tuple(each["shape"])) for each in details] == [(kind, shape)]


def test_operators_of_each_precision(tflite_paths):
    used = {precision: operators(path) for precision, path in tflite_paths.items()}
    for found in used.values():
        assert "TRANSPOSE" not in found
        assert found.count("DEPTHWISE_CONV_2D") == 1 + 2 * 3 + 3  # both 7x7 are sums of three
    assert (
        used["fp32"].count("HARD_SWISH")
        == used["fp16"].count("HARD_SWISH")
        == used["dynamic"].count("HARD_SWISH")
        == 11
    )
    assert not {"HARD_SWISH", "DEQUANTIZE", "QUANTIZE"} & set(used["int8"])
    assert {"MUL", "RELU6"} & set(used["fp32"]) == {"MUL"}, "the gate's ReLU6 belongs into the convolution before it"


def test_int8_is_integer_throughout_with_a_scale_per_channel(tflite_paths):
    loaded = interpreter(tflite_paths["int8"])
    details = {each["index"]: each for each in loaded.get_tensor_details()}
    assert not [each["name"] for each in details.values() if each["dtype"] in (np.float32, np.float16)]
    weights = [details[op["inputs"][1]] for op in loaded._get_ops_details() if "CONV_2D" in op["op_name"]]
    assert len(weights) == 30
    for each in weights:
        channels = each["shape"][0 if each["quantization_parameters"]["quantized_dimension"] == 0 else 3]
        assert len(each["quantization_parameters"]["scales"]) == channels


def weights_by_operator(path):
    model = unpack(path.read_bytes())
    graph, names = model.subgraphs[0], operator_names(model)
    return [(names[op.opcodeIndex], graph.tensors[op.inputs[1]]) for op in graph.operators if len(op.inputs) == 3]


UNFITTED_APART = ("int8", " ".join((*FITTED, "share_vectors")))
CASES = [("fp32", name) for name in names("fp32")] + [("int8", "open_hard_swish"), ("dynamic", "float_depthwise")]

# No kernel of this network is larger than its map, nothing of it is in pieces, no map grows or is taken in steps.
IDLE = {"crop_kernels", "join_activations", "join_branches", "join_group_norms", "open_strides", "repeat_pixels"}


@pytest.fixture(scope="module")
def without(onnx_path, calibration, tmp_path_factory):
    """TinyNet converted without one rewrite: a file by (precision, rewrite)."""
    folder = tmp_path_factory.mktemp("without")
    np.save(folder / "images.npy", calibration)
    made = {case: folder / f"{'-'.join(case)}.tflite" for case in (*CASES, UNFITTED_APART)}
    images = {"int8": str(folder / "images.npy")}
    convert_together(
        (onnx_path, path, {"precision": precision, "skip": name.split(), "images": images.get(precision)})
        for (precision, name), path in made.items()
    )
    return made


def test_dynamic_range_keeps_depthwise_weights_float(tflite_paths, without, images):
    plain = without["dynamic", "float_depthwise"]
    kinds = {
        (path == plain, name, weight.type) for path in (plain, tflite_paths["dynamic"])
        for name, weight in weights_by_operator(path) if weight.shape.prod() >= 1024
    }  # fmt: skip
    int8, float32 = 9, 0
    assert {(True, "DEPTHWISE_CONV_2D", int8), (False, "DEPTHWISE_CONV_2D", float32)} <= kinds
    assert {(True, "CONV_2D", int8), (False, "CONV_2D", int8)} <= kinds
    assert (False, "DEPTHWISE_CONV_2D", int8) not in kinds
    assert (False, "CONV_2D", float32) not in kinds
    reference = run_tflite(tflite_paths["fp32"], images)
    snr = {path: compare(reference, run_tflite(path, images)).snr_db for path in (plain, tflite_paths["dynamic"])}
    assert snr[tflite_paths["dynamic"]] > snr[plain] > 20, "float weights can only be nearer"


def test_fp16_accumulation_is_a_mark_in_the_file(onnx_path, tflite_paths, tmp_path):
    marked = tmp_path / "marked.tflite"
    convert(onnx_path, marked, "fp16-acc16")

    def support(path):
        model = unpack(path.read_bytes())
        return {entry.name: bytes(model.buffers[entry.buffer].data) for entry in model.metadata}[
            b"reduced_precision_support"
        ]

    assert (support(marked), support(tflite_paths["fp16"])) == (b"fp16accfp16", b"fp16accfp32")


def dead_layer(folder):
    body = "c = Conv(input, w, b) r = Relu(c) p = GlobalAveragePool(r) f = Flatten(p) logits = Gemm<transB=1>(f, v)"
    bias = np.full(4, -1000, np.float32)
    return save_model(folder / "dead.onnx", body, (1, 4, 6, 6), w=(4, 4, 1, 1), b=bias, v=(3, 4))


def test_a_layer_that_is_always_zero_has_no_int8_scale(tmp_path):
    x = np.random.default_rng(0).normal(size=(64, 4, 6, 6)).astype(np.float32)
    path = dead_layer(tmp_path)
    with pytest.raises(ConversionError, match=r"nothing but zeros after CONV_2D, node 0\n.*is 0 on every calibration"):
        convert(path, tmp_path / "m.tflite", "int8", x)
    assert [each.name for each in tmp_path.iterdir()] == ["dead.onnx"]
    convert(path, tmp_path / "m.tflite", "fp16")


def test_a_branch_that_is_always_zero_is_no_fault(tmp_path):
    body = "c = Conv(input, w) s = Add(input, c) p = GlobalAveragePool(s) f = Flatten(p) logits = Gemm<transB=1>(f, v)"
    path = save_model(tmp_path / "m.onnx", body, (1, 4, 6, 6), w=np.zeros((4, 4, 1, 1), np.float32), v=(3, 4))
    x = np.random.default_rng(0).normal(size=(64, 4, 6, 6)).astype(np.float32)
    convert(path, tmp_path / "m.tflite", "int8", x)
    assert compare(run_onnx(path, x), run_tflite(tmp_path / "m.tflite", x)).snr_db > 20


def test_fp16_halves_the_weights(tflite_paths):
    sizes = {precision: path.stat().st_size for precision, path in tflite_paths.items()}
    assert sizes["fp16"] < 0.65 * sizes["fp32"]
    assert sizes["int8"] < sizes["fp16"]


def test_same_bytes_from_another_process_and_not_a_word(onnx_path, tflite_paths, calibration, tmp_path, capfd):
    forked.end_all()  # what made the first has imported TensorFlow by itself
    convert(onnx_path, tmp_path / "again.tflite", "int8", calibration)
    assert sha256_file(tmp_path / "again.tflite") == sha256_file(tflite_paths["int8"])
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in tmp_path.iterdir()] == ["again.tflite"]


def test_running_says_nothing(tflite_paths, tmp_path, images):
    np.save(tmp_path / "x.npy", images[:1])
    script = (
        "import sys, numpy as np; from pathlib import Path; from ofa_edge.export.tflite.convert import run_tflite;"
        "run_tflite(Path(sys.argv[1]), np.load(sys.argv[2])); assert 'tensorflow' not in sys.modules"
    )
    command = [sys.executable, "-c", script, tflite_paths["fp32"], tmp_path / "x.npy"]
    environment = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_threads_and_batches_do_not_change_the_answers(tflite_paths, images):
    one = run_tflite(tflite_paths["int8"], images[:3])
    assert one.shape == (3, 10)
    assert one.dtype == np.float32
    np.testing.assert_array_equal(one, run_tflite(tflite_paths["int8"], images[:3], threads=2))
    np.testing.assert_array_equal(one[1:2], run_tflite(tflite_paths["int8"], images[1:2]))


def test_quantising():
    values = np.array([-1e9, -0.26, -0.24, 0, 0.24, 0.26, 1e9], np.float32)
    stored = quantise(values, np.int8, 0.5, 3)
    assert stored.dtype == np.int8
    assert stored.tolist() == [-128, 2, 3, 3, 3, 4, 127]
    np.testing.assert_allclose(dequantise(stored, 0.5, 3), [-65.5, -0.5, 0, 0, 0, 0.5, 62])
    np.testing.assert_array_equal(quantise(values, np.float32, 0, 0), values)
    np.testing.assert_array_equal(dequantise(values, 0, 0), values)


BAD_CALIBRATION = {
    "none": (None, "needs calibration images"),
    "an empty set": (np.zeros((0, *SHAPE[1:]), np.float32), "needs calibration images"),
    "another size": (np.zeros((64, 3, 28, 28), np.float32), r"wrong shape\n.*3, 27, 27\].*\[64, 3, 28, 28\]"),
    "channels last": (np.zeros((64, 27, 27, 3), np.float32), "wrong shape"),
    "not finite": (np.full((64, *SHAPE[1:]), np.nan, np.float32), "not finite"),
}


@pytest.mark.parametrize("case", BAD_CALIBRATION)
def test_bad_calibration(onnx_path, tmp_path, case):
    images, message = BAD_CALIBRATION[case]
    with pytest.raises(DataError, match=message):
        convert(onnx_path, tmp_path / "model.tflite", "int8", images)
    assert not list(tmp_path.iterdir())


def test_calibration_of_another_range(onnx_path, tmp_path, calibration):
    preprocessing = Preprocessing(27, 3, (120.0,) * 3, (60.0,) * 3)
    raw = 60 * calibration.clip(-2, 2) + 120
    with pytest.raises(DataError, match=r"not normalised as the network's input\n  values 0 to 240; .* -2 to 2.25"):
        convert(onnx_path, tmp_path / "m.tflite", "int8", raw, preprocessing=preprocessing)
    assert not list(tmp_path.iterdir())


def test_bad_precision(onnx_path, tmp_path):
    with pytest.raises(UnsupportedError, match="bf16"):
        convert(onnx_path, tmp_path / "model.tflite", "bf16")


def test_an_operator_outside_the_map(tmp_path):
    path = save_model(tmp_path / "model.onnx", "a = Sin(input) logits = Flatten(a)", (1, 3, 1, 1))
    with pytest.raises(ConversionError, match="node 'Sin_0', operator Sin"):
        convert(path, tmp_path / "model.tflite", "fp32")


def test_an_error_inside_the_process_comes_back_whole(tmp_path):
    path = save_model(tmp_path / "model.onnx", "i = Cast<to=7>(input) logits = Cast<to=1>(i)", (1, 3, 4, 4))
    with pytest.raises(ConversionError) as caught:
        convert(path, tmp_path / "model.tflite", "fp32")
    assert caught.value.what == "cannot convert node 'Cast_0', operator Cast"
    assert caught.value.hint
    assert [each.name for each in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize(
    ("died", "message"),
    [
        (SimpleNamespace(returncode=-9, stdout="", stderr="noise\nout of luck\n"), "signal 9: out of luck"),
        (SimpleNamespace(returncode=1, stdout="not JSON", stderr="noise"), "exit code 1: noise"),
        (SimpleNamespace(returncode=3, stdout="{}", stderr=""), "exit code 3: it said nothing"),
    ],
)
def test_a_process_that_dies(onnx_path, tmp_path, monkeypatch, died, message):
    monkeypatch.setattr("ofa_edge.export.tflite.convert.run_tensorflow", lambda *_: died)
    with pytest.raises(ConversionError, match=message):
        convert(onnx_path, tmp_path / "model.tflite", "fp32")
    assert not list(tmp_path.iterdir())


def test_skipped_rewrites_give_plain_conversion(onnx_path, tflite_paths, images, tmp_path):
    plain = tmp_path / "plain.tflite"
    convert(onnx_path, plain, "fp32", skip=names("fp32"))
    assert operators(plain).count("DEPTHWISE_CONV_2D") == 6, "both 7x7 stay whole"
    assert compare(run_tflite(plain, images), run_tflite(tflite_paths["fp32"], images)).snr_db > 100


def test_an_unknown_rewrite_is_named(onnx_path, tmp_path):
    with pytest.raises(UnknownNameError, match=r"split_depthwis'.*\n.*split_depthwise"):
        convert(onnx_path, tmp_path / "m.tflite", "fp32", skip=["split_depthwis"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("precision", "left_out"), CASES)
def test_the_ladder_passes_with_and_without_each_rewrite(tflite_paths, without, images, reference, precision, left_out):
    start = Answers("torch", reference)
    for path in (tflite_paths[precision], without[precision, left_out]):
        made = rung(Answers(path.name, run_tflite(path, images)), start, conversion_tolerance(precision), None)
        assert made.outcome == "pass", made.note
    different = sha256_file(without[precision, left_out]) != sha256_file(tflite_paths[precision])
    assert different == (left_out not in IDLE)


def test_shared_vectors_change_the_size_and_nothing_else(tflite_paths, without, images):
    apart, shared = without[UNFITTED_APART], tflite_paths["unfitted"]
    assert shared.stat().st_size < 0.95 * apart.stat().st_size
    for one, other in zip(*(unpack(path.read_bytes()).subgraphs[0].tensors for path in (shared, apart)), strict=True):
        assert one.name == other.name
        for field in ("scale", "zeroPoint"):
            assert np.array_equal(getattr(one.quantization, field), getattr(other.quantization, field))
    assert np.array_equal(run_tflite(shared, images), run_tflite(apart, images))


@pytest.mark.parametrize(
    ("body", "shape", "size"),
    [
        ("logits = Relu(input)", (1, 3, 5, 4), (1, 3, 5, 4)),
        ("t = Transpose<perm=[0,2,3,1]>(input) logits = Sigmoid(t)", (1, 3, 5, 4), (1, 5, 4, 3)),
    ],
)
def test_a_map_comes_back_in_onnxs_own_order(tmp_path, body, shape, size):
    path = save_model(tmp_path / "model.onnx", body, shape)
    convert(path, tmp_path / "model.tflite", "fp32")
    images = np.random.default_rng(1).normal(size=(2, *shape[1:])).astype(np.float32)
    answers = run_tflite(tmp_path / "model.tflite", images)
    assert answers.shape == (2, np.prod(size))
    np.testing.assert_allclose(answers, run_onnx(path, images), rtol=1e-5, atol=1e-6)
