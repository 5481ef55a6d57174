"""Inputs that are no images: one alone of any rank, and states without a batch among several; built, run, refused."""

import json

import numpy as np
import onnxruntime
import pytest
from ranked_inputs import HIDDEN, LENGTH, SAVED, STEP, WIDTH, ranked_samples, save_row, save_signal
from several_inputs import FLOAT, save_network

from ofa_edge.builds import Build
from ofa_edge.cache import StageCache
from ofa_edge.errors import ConfigError, DataError, UnsupportedError
from ofa_edge.export.tflite.running import own_tensors
from ofa_edge.latency.onnx_operators import read_operators
from ofa_edge.workflows.build.base import BuildOptions, ModelOptions
from ofa_edge.workflows.build.run import plan_build, run_build
from ofa_edge.workflows.verify import verify

LEAST = {"fp32": 100.0, "int8": 15.0}  # dB


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def files(place):
    """Each network's file, and that of its samples."""
    found = {}
    for name, save in SAVED.items():
        np.savez(place / f"{name}.npz", **ranked_samples(name))
        found[name] = save(place / f"{name}.onnx"), place / f"{name}.npz"
    return found


def planned(file, data=None, *, target="host", device="none", model=None, **options):
    given = ModelOptions(file, **(model or {}))
    return plan_build(BuildOptions(target=target, device=device, model=given, data=data, **options))


def built(place, files, name, folder, **options):
    plan = planned(*files[name], out=place / folder, **options)
    return run_build(plan, StageCache(place / "cache"), ["test"], lambda *_: None)


def by_hand(file, samples):
    """What ONNX Runtime says of the file itself, [N, values]."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    entries = session.get_inputs()
    rows = []
    for at in range(len(next(iter(samples.values())))):
        rank = {each.name: len(each.shape) for each in entries}
        given = {entries[0].name: samples["inputs"]} if "inputs" in samples else samples
        feed = {name: values[at : at + 1] for name, values in given.items()}
        feed = {name: each[0] if each.ndim > rank[name] else each for name, each in feed.items()}
        rows.append(np.concatenate([each.reshape(-1) for each in session.run(None, feed)]))
    return np.stack(rows)


def snr(wanted, found):
    return 10 * np.log10(np.square(wanted).sum() / max(np.square(wanted - found).sum(), 1e-30))


@pytest.mark.parametrize("name", SAVED)
@pytest.mark.parametrize(("runtime", "precision"), [("tflite", "fp32"), ("tflite", "int8"), ("onnxruntime", "fp32")])
def test_an_artifact_answers_as_the_file_does(place, files, name, runtime, precision):
    folder = f"{name}-{runtime}-{precision}"
    manifest = built(place, files, name, folder, runtime=runtime, precision=precision)
    assert {verdict.gate: verdict.outcome for verdict in manifest.verdicts}["parity"] == "pass"
    opened, samples = Build.open(place / folder), ranked_samples(name)
    if len(samples) == 1:
        rows = samples["inputs"].astype(np.float32)
    else:
        rows = np.concatenate([each.reshape(len(each), -1) for each in samples.values()], axis=1)
    found = opened.runtime.answers(opened.artifact.path, rows)
    assert snr(by_hand(files[name][0], samples), found) > LEAST[precision]


def test_an_input_keeps_its_own_shape_in_the_file(place, files):
    built(place, files, "signal", "shape", runtime="tflite", precision="fp32")
    ((source,), _) = own_tensors(place / "shape" / "model.tflite")
    assert source["shape"] == (1, LENGTH, 1)
    said = json.loads((place / "shape" / "model.interface.json").read_text())["inputs"][0]
    assert (said["shape"], said["layout"], said["picture"]) == ([1, LENGTH, 1], None, None)
    assert "What its inputs are" in (place / "shape" / "README.md").read_text()


def test_states_keep_their_own_shape_in_the_file(place, files):
    built(place, files, "recurrent", "states", runtime="tflite", precision="fp32")
    sources, _ = own_tensors(place / "states" / "model.tflite")
    assert [(each["name"], each["shape"]) for each in sources] == [
        ("step", (1, STEP)),
        ("h", (2, 1, HIDDEN)),
        ("c", (2, 1, HIDDEN)),
    ]
    outcomes = {each.gate: each.outcome for each in verify(place / "states", "local", files["recurrent"][1]).verdicts}
    assert outcomes["parity"] == "pass"


@pytest.mark.parametrize(("name", "runtime"), [("signal", "tflite"), ("signal", "tvm"), ("recurrent", "tflite")])
def test_the_runners_on_an_emulated_board_take_them(place, files, name, runtime):
    options = {"target": "raspberry-pi-4", "precision": "fp32", "device": "emulated"}
    manifest = built(place, files, name, f"board-{name}-{runtime}", runtime=runtime, **options)
    last = manifest.ladder[-1]
    assert (last.name, last.outcome, manifest.measurements[0].kind) == ("on device", "pass", "emulated")


def test_random_inputs_do_for_a_signal_and_none_for_bytes(files):
    plan = planned(files["signal"][0], runtime="onnxruntime", precision="fp32")
    assert plan.data.test.values.shape == (16, LENGTH, 1)
    with pytest.raises(ConfigError, match=r"(?s)whole numbers.*'bytes' is int32.*array `inputs`"):
        planned(files["bytes"][0], runtime="onnxruntime", precision="fp32")


def test_what_is_for_images_is_refused_before_any_work(files, tmp_path):
    options = {"runtime": "onnxruntime", "precision": "fp32"}
    with pytest.raises(ConfigError, match=r"(?s)takes no images.*\[1, 200, 1\].*--samples FILE.npz"):
        planned(files["signal"][0], tmp_path, **options)
    with pytest.raises(ConfigError, match=r"(?s)--mean and --std are for images.*an image is \[1, channels"):
        planned(files["signal"][0], model={"mean": (0.0,)}, **options)
    with pytest.raises(ConfigError, match="of what is no image"):
        planned(files["signal"][0], model={"task": "segment"}, **options)
    for arrays in ({"images": np.zeros((3, 8, 8, 3), np.uint8)}, {"inputs": np.zeros((3, 7), np.float32)}):
        np.savez(tmp_path / "other.npz", **arrays)
        with pytest.raises(DataError, match="do not fit the network"):
            planned(files["signal"][0], tmp_path / "other.npz", **options)


def test_a_batch_is_refused(tmp_path):
    for batch, path in ((4, save_row(tmp_path / "rows.onnx", batch=4)), (3, tmp_path / "two.onnx")):
        if batch == 3:
            ends = [("a", FLOAT, (3, 5)), ("b", FLOAT, (3, 1))], [("y", FLOAT, None)]
            save_network(path, [("Add", ["a", "b"], ["y"], {})], *ends)
        with pytest.raises(UnsupportedError, match=f"takes {batch} samples a call") as caught:
            planned(path, runtime="onnxruntime", precision="fp32")
        assert "batch 1" in caught.value.hint
        with pytest.raises(ConfigError, match=f"takes {batch} samples a call"):
            read_operators(path)


def test_hints_have_the_inputs_own_axes(tmp_path):
    free = save_signal(tmp_path / "free.onnx", length="L")
    with pytest.raises(ConfigError, match=r"--shape 1x224x1$"):
        planned(free, runtime="onnxruntime", precision="fp32")
    with pytest.raises(ConfigError, match=r"(?s)--shape 1x40 does not fit.*\[N, L, 1\].*--shape 1x224x1$"):
        planned(free, model={"shape": "1x40"}, runtime="onnxruntime", precision="fp32")
    with pytest.raises(ConfigError, match="--shape 1x224x1, or export"):
        read_operators(free)
    ends = [("a", FLOAT, ("N", "L")), ("b", FLOAT, (2, "N", "L")), ("s", FLOAT, ())], [("y", FLOAT, None)]
    nodes = [("Add", ["a", "b"], ["c"], {}), ("Mul", ["c", "s"], ["y"], {})]
    path = save_network(tmp_path / "two.onnx", nodes, *ends)
    with pytest.raises(ConfigError, match=r"(?s)of which input.*a \[N, L\], b \[2, N, L\].*a=1x224 --shape b=2x1x224$"):
        planned(path, model={"shape": "1x64"}, runtime="onnxruntime", precision="fp32")
    with pytest.raises(ConfigError, match=r"(?s)no input 'z'.*--shape a=1x224 --shape b=2x1x224$"):
        planned(path, model={"shape": "z=1x64"}, runtime="onnxruntime", precision="fp32")
    plan = planned(path, model={"shape": "a=1x64"}, runtime="onnxruntime", precision="fp32")
    assert plan.interface.shapes == ((1, 64), (2, 1, 64), ())


def test_macs_of_a_row_are_counted(files):
    found = read_operators(files["row"][0])
    assert sum(each.operator.macs for each in found.operators) == WIDTH * 16 + 16 * 8 + 8 * 5
    assert found.unknown == ()


def test_samples_may_have_the_inputs_own_name(place, files):
    file, samples = files["signal"]
    given = dict(np.load(samples))
    np.savez(place / "named.npz", **{"wave" if name == "inputs" else name: each for name, each in given.items()})
    one, other = (planned(file, each).data for each in (samples, place / "named.npz"))
    assert one.digests == other.digests
    np.savez(place / "both.npz", wave=given["inputs"][:1], **given)
    assert planned(file, place / "both.npz").data.digests == one.digests
