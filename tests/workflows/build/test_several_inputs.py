"""Networks of several inputs: built, run and judged by every runtime; what is refused before any work."""

import numpy as np
import onnx
import pytest
from ai_edge_litert.interpreter import Interpreter
from several_inputs import (
    answers_by_hand,
    change_samples,
    conditioned_samples,
    reader_samples,
    save_change_detector,
    save_conditioned,
    save_network,
    save_reader,
)
from tensorflow_lite_support.metadata import metadata_schema_py_generated as tables

from ofa_edge.builds import Build
from ofa_edge.cache import StageCache
from ofa_edge.cli.build import summary
from ofa_edge.device.measuring.passes import FunctionTimes
from ofa_edge.errors import ConfigError, ConversionError, DataError, UnsupportedError
from ofa_edge.report.page import render_report
from ofa_edge.workflows.build.base import BuildOptions, ModelOptions
from ofa_edge.workflows.build.model_images import model_data
from ofa_edge.workflows.build.run import plan_build, run_build
from ofa_edge.workflows.nightly.bench import make_duel
from ofa_edge.workflows.nightly.fleet import ProtocolEntry
from ofa_edge.workflows.profile import profile
from ofa_edge.workflows.verify import verify

NETWORKS = {
    "change": (save_change_detector, change_samples),
    "conditioned": (save_conditioned, conditioned_samples),
    "reader": (save_reader, reader_samples),
}
EXACT = 100.0  # dB: fp32 beside fp32


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("several")


@pytest.fixture(scope="module")
def files(place):
    """Each network's file, its samples' file, and the samples."""
    found = {}
    for name, (save, samples) in NETWORKS.items():
        values = samples()
        np.savez(place / f"{name}.npz", **values)
        found[name] = (save(place / f"{name}.onnx"), place / f"{name}.npz", values)
    return found


def planned(file, data=None, *, target="host", device="none", model=None, **options):
    given = ModelOptions(file, **(model or {}))
    return plan_build(BuildOptions(target=target, device=device, model=given, data=data, **options))


def built(place, files, name, folder, **options):
    plan = planned(*files[name][:2], out=place / folder, **options)
    return run_build(plan, StageCache(place / "cache"), ["test"], lambda *_: None)


def answers_of(place, files, name, folder):
    """What a build's own artifact answers to all samples on this machine, and the file's own answers."""
    opened = Build.open(place / folder)
    interface = opened.network.interface
    rows = np.concatenate([files[name][2][each.name].reshape(24, -1) for each in interface.inputs], axis=1)
    found = opened.runtime.answers(opened.artifact.path, rows.astype(np.float32))
    return found, answers_by_hand(files[name][0], files[name][2])


def snr(wanted, found):
    return 10 * np.log10(np.square(wanted).sum() / max(np.square(wanted - found).sum(), 1e-30))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("runtime", ["onnxruntime", "tflite"])
def test_an_artifact_answers_as_the_file_does(place, files, name, runtime):
    manifest = built(place, files, name, f"{name}-{runtime}", runtime=runtime, precision="fp32")
    found, wanted = answers_of(place, files, name, f"{name}-{runtime}")
    assert snr(wanted, found) > EXACT
    names = [each.name for each in onnx.load(files[name][0]).graph.input]
    assert [each.name for each in manifest.network.inputs] == names
    assert [each.name for each in onnx.load(place / f"{name}-{runtime}" / "model.onnx").graph.input] == names
    assert {verdict.gate: verdict.outcome for verdict in manifest.verdicts}["parity"] == "pass"


@pytest.mark.parametrize("name", NETWORKS)
def test_tvm_on_an_emulated_board_answers_as_the_file_does(place, files, name):
    """The C++ runner splits each row by the shapes that it is told, one of them of a single number's row."""
    manifest = built(
        place, files, name, f"{name}-tvm", target="raspberry-pi-4", runtime="tvm", precision="fp32", device="emulated"
    )
    last = manifest.ladder[-1]
    assert (last.name, last.outcome, manifest.measurements[0].kind) == ("on device", "pass", "emulated")
    assert last.snr_db is None or last.snr_db > EXACT


@pytest.mark.parametrize("runtime", ["onnxruntime", "tflite"])
def test_the_runners_in_python_split_the_row_on_an_emulated_board(place, files, runtime):
    manifest = built(
        place,
        files,
        "conditioned",
        f"board-{runtime}",
        target="raspberry-pi-4",
        runtime=runtime,
        precision="int8",
        device="emulated",
    )
    last = manifest.ladder[-1]
    assert (last.name, last.outcome, manifest.measurements[0].kind) == ("on device", "pass", "emulated")


def test_the_file_takes_its_own_inputs_by_name_each_with_a_range_in_int8(place, files):
    built(place, files, "change", "int8", runtime="tflite", precision="int8")
    found, wanted = answers_of(place, files, "change", "int8")
    assert 20 < snr(wanted, found) < EXACT
    interpreter = Interpreter(str(place / "int8" / "model.tflite"))
    assert set(interpreter.get_signature_list()["serving_default"]["inputs"]) == {"before", "after"}
    details = {each["name"]: each for each in interpreter.get_input_details()}
    assert list(details) == ["before", "after"]
    steps = [details[name]["quantization"][0] for name in ("before", "after")]
    assert 1.5 < steps[1] / steps[0] < 2.6  # the second image spreads twice as wide


def test_tflite_metadata_have_an_entry_for_each_input(place, files):
    built(place, files, "conditioned", "metadata", runtime="tflite", precision="fp32")
    content = (place / "metadata" / "model.tflite").read_bytes()
    start = content.rindex(b"M001") - 4
    model = tables.ModelMetadataT.InitFromPackedBuf(content[start:])
    named = [each.name.decode() for each in model.subgraphMetadata[0].inputTensorMetadata]
    assert named == ["image", "conditions", "sizes"]


def test_a_build_is_verified_profiled_and_judged_by_night(place, files):
    data = files["change"][1]
    manifest = built(place, files, "change", "again", runtime="tflite", precision="fp16")
    outcomes = {each.gate: each.outcome for each in verify(place / "again", "local", data).verdicts}
    assert outcomes["parity"] == "pass"
    with pytest.raises(ConfigError, match="not the build's"):
        verify(place / "again", "local")
    assert isinstance(profile(place / "again", "local", data).functions, FunctionTimes)
    opened = Build.open(place / "again")
    duel = make_duel("net", opened, opened, "local", ProtocolEntry(images=5), data)
    assert (len(duel.images), duel.fp32.shape) == (5, (5, 64))
    page, text = render_report(manifest), summary(manifest, place / "again")
    assert all(f"<code>{name}</code> [1, 3, 16, 16]" in page for name in ("before", "after"))
    assert "before 3 x 16 x 16, after 3 x 16 x 16" in text


def test_labels_judge_a_classifier(place, files):
    file, _, samples = files["conditioned"]
    labels = answers_by_hand(file, samples).argmax(1)
    np.savez(place / "labelled.npz", **samples, labels=labels)
    plan = planned(file, place / "labelled.npz", runtime="onnxruntime", precision="fp32", out=place / "labelled")
    manifest = run_build(plan, StageCache(place / "cache"), ["test"], lambda *_: None)
    assert manifest.ladder[0].top1 == 1.0


def test_random_inputs_do_where_numbers_are_real(files):
    plan = planned(files["change"][0], runtime="onnxruntime", precision="fp32")
    assert plan.data.test.values.shape == (16, 2 * 3 * 16 * 16)
    with pytest.raises(ConfigError, match=r"(?s)tokens.*int64.*mask.*int64.*arrays `tokens`, `mask`"):
        planned(files["reader"][0], runtime="onnxruntime", precision="fp32")


def test_free_sizes_are_given_by_name(tmp_path):
    path = save_change_detector(tmp_path / "free.onnx", size="S")
    shapes = "before=1x3x16x16,after=1,3,16,16"
    plan = planned(path, model={"shape": shapes}, runtime="onnxruntime", precision="fp32")
    assert plan.interface.shapes == ((1, 3, 16, 16), (1, 3, 16, 16))
    for shape, said in {
        None: "leaves sizes of its inputs free.*--shape before=1x3x224x224 --shape after=1x3x224x224",
        "1x3x16x16": "of which input",
        "between=1x3x16x16": "no input 'between'",
        "before=1x4x16x16": "--shape before=1x4x16x16 does not fit",
        "before=x": "bad shape",
        "before=1x3x16x16,before=1x3x8x8": "bad shape",
        "1x3x16x16,after=1x3x16x16": "bad shape",
        "=1x3x16x16": "bad shape",
    }.items():
        with pytest.raises(ConfigError, match=f"(?s){said}"):
            planned(path, model={"shape": shape}, runtime="onnxruntime", precision="fp32")


def changed(samples, **others):
    return {name: value for name, value in {**samples, **others}.items() if value is not None}


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"after": None}, r"no array for `after`.*holds before"),
        ({"between": np.zeros((24, 2))}, r"arrays that are no input: `between`.*`before`, `after`"),
        ({"after": np.zeros((24, 3, 8, 8))}, r"does not fit the input 'after'.*\[24, 3, 8, 8\]"),
        ({"after": np.zeros((9, 3, 16, 16))}, r"not as many samples.*before has 24, after has 9"),
        ({"after": np.full((24, 3, 16, 16), np.nan)}, "no numbers.*NaN"),
        ({"after": np.full((24, 3, 16, 16), "x")}, "no numbers"),
        ({"after": np.full((24, 3, 16, 16), 2**25)}, "whole numbers that are too large"),
        ({"labels": np.zeros(3, np.int64)}, "labels that do not fit"),
        ({"before": np.zeros((0, 3, 16, 16)), "after": np.zeros((0, 3, 16, 16))}, "not as many samples"),
    ],
)
def test_arrays_that_are_not_the_networks(files, tmp_path, others, said):
    file, _, samples = files["change"]
    np.savez(tmp_path / "bad.npz", **changed(samples, **others))
    with pytest.raises(DataError) as found:
        planned(file, tmp_path / "bad.npz", runtime="onnxruntime", precision="fp32")
    assert found.match(f"(?s){said}")
    assert found.value.hint


def test_channels_may_come_last_and_a_batch_may_be_written_out(files, tmp_path):
    file, data, samples = files["change"]
    turned = changed(samples, before=samples["before"].transpose(0, 2, 3, 1), after=samples["after"][:, None])
    np.savez(tmp_path / "turned.npz", **turned)
    interface = planned(file, data, runtime="onnxruntime", precision="fp32").interface
    one, other = (model_data(interface, each, 0) for each in (data, tmp_path / "turned.npz"))
    np.testing.assert_array_equal(one.test.values, other.test.values)


def test_what_is_for_one_image_is_refused(files, tmp_path):
    file, data, _ = files["change"]
    for what, model in (("--mean and --std", {"mean": (0.0,)}), ("--task detect", {"task": "detect"})):
        with pytest.raises(ConfigError, match=what) as found:
            planned(file, data, model=model, runtime="onnxruntime", precision="fp32")
        assert "takes 2 inputs" in found.value.why
    with pytest.raises(ConfigError, match="a folder of images for a network of 2 inputs"):
        planned(file, tmp_path, runtime="onnxruntime", precision="fp32")
    with pytest.raises(UnsupportedError, match="--max-drop of a network of several inputs"):
        planned(file, data, runtime="tflite", precision="int8", max_drop="25dB")


def test_int8_counts_no_places_and_says_so(place, files):
    with pytest.raises(ConversionError, match=r"(?s)'gather0', operator Gather.*256 steps"):
        built(place, files, "reader", "none", runtime="tflite", precision="int8")
    assert not (place / "none").exists()


def test_an_input_that_nothing_reads_is_left_out_and_told(place, files, tmp_path):
    """Its shape may be asked for: shapes are fixed."""
    model = onnx.load(files["change"][0])
    model.graph.input.insert(1, onnx.helper.make_tensor_value_info("idle", onnx.TensorProto.INT64, ["N", 7]))
    model.graph.node.append(onnx.helper.make_node("Shape", ["idle"], ["idle_shape"]))
    onnx.save(model, tmp_path / "idle.onnx")
    plan = planned(
        tmp_path / "idle.onnx", files["change"][1], runtime="onnxruntime", precision="fp32", out=place / "idle"
    )
    manifest = run_build(plan, StageCache(place / "cache"), ["test"], lambda *_: None)
    assert "inputs left out, as nothing reads them: idle" in manifest.network.changes
    assert [each.name for each in onnx.load(place / "idle" / "model.ort.onnx").graph.input] == ["before", "after"]


def test_a_batch_of_more_is_refused(tmp_path):
    with pytest.raises(UnsupportedError, match="takes 4 samples a call"):
        planned(save_change_detector(tmp_path / "four.onnx", batch=4), runtime="onnxruntime", precision="fp32")
    kind = onnx.TensorProto.FLOAT
    ends = [("a", kind, (3,)), ("b", kind, (3,))], [("y", kind, None)]
    path = save_network(tmp_path / "none.onnx", [("Add", ["a", "b"], ["y"], {})], *ends)
    with pytest.raises(UnsupportedError, match="takes 3 samples a call"):
        planned(path, runtime="onnxruntime", precision="fp32")
