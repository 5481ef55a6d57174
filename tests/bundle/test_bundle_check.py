import contextlib
import dataclasses

import pytest
from app_folder import LABELS, SPACE, make_build, record, target, untrained, write
from manifests import STAGES, facts, network

from ofa_edge.bundle.check import check_build
from ofa_edge.errors import ConfigError, GateError, OfaEdgeError, UnsupportedError, UsageError
from ofa_edge.files import sha256_file
from ofa_edge.records.network import SubnetRecord, SupernetRecord
from ofa_edge.schema import changed
from ofa_edge.space import Subnet


def verdicts(gate, outcome):
    return tuple(
        item.model_copy(update={"outcome": outcome}) if item.gate == gate else item for item in facts()["verdicts"]
    )


def framed():
    """A network whose pictures are framed as timm does it."""
    given = facts()["network"]
    said = {**given.inputs[0].preprocessing, "framing": {"filter": "bicubic", "share": 0.9}}
    return {"network": changed(given, inputs=(changed(given.inputs[0], preprocessing=said),))}


@pytest.mark.parametrize("quantised", [False, True])
def test_a_sound_build(tmp_path, quantised):
    build = make_build(tmp_path / "out", quantised=quantised)
    entry = check_build(build).entry
    assert entry.name == f"raspberry-pi-4-{'int8' if quantised else 'fp32'}"
    assert entry.sha256 == sha256_file(build / "model.tflite")
    assert entry.manifest_sha256 == sha256_file(build / "manifest.json")
    assert (entry.resolution, entry.channels, entry.classes) == (12, 1, len(LABELS))
    assert (entry.top1, entry.top1_images) == (0.918, 2000)
    assert (entry.predicted_ms.ms, entry.predicted_ms.low90, entry.predicted_ms.high90) == (18.6, 16.9, 20.4)
    assert entry.measured_ms is None  # the manifest's device is emulated
    assert entry.trained
    assert entry.verified


def test_sums_in_half_precision_are_a_precision_too(tmp_path):
    entry = check_build(make_build(tmp_path / "out", target=target("fp16-acc16"))).entry
    assert (entry.name, entry.precision) == ("raspberry-pi-4-fp16-acc16", "fp16-acc16")


def test_a_physical_measurement_is_told(tmp_path):
    latency = {"p50": 3.0, "p90": 3.2, "min": 2.9, "mad": 0.1, "low95": 2.9, "high95": 3.1, "runs": 500, "sessions": 5}
    emulated = ("instructions_per_inference", "modelled_cycles", "emulation_wall_ms")
    physical = facts()["measurements"][0].model_copy(
        update={"name": "my-pi", "kind": "physical", **dict.fromkeys(emulated)}
    )
    measured = type(physical).model_validate({**physical.model_dump(), "latency_ms": latency}, strict=False)
    build = make_build(tmp_path / "out", measurements=(measured,), labels=())
    told = check_build(build).entry.measured_ms
    assert (told.p50, told.p90, told.device, told.kind) == (3.0, 3.2, "my-pi", "physical")


def test_a_runtime_that_the_app_does_not_have_is_refused(tmp_path):
    build = make_build(tmp_path / "out")
    (build / "model.so").write_bytes((build / "model.tflite").read_bytes())
    outputs = (record(build / "model.so", "artifact"), record(build / "labels.txt", "labels"))
    write(build, target=target("fp32", runtime="tvm"), outputs=outputs)
    with pytest.raises(UnsupportedError, match="does not run tvm artifacts") as caught:
        check_build(build)
    assert "--runtime tflite" in caught.value.hint


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"target": target("fp32", arch="x86_64")}, UnsupportedError, "built for x86_64"),
        (framed(), UnsupportedError, "brings pictures into their frame in one way"),
        ({"verdicts": verdicts("parity", "fail")}, GateError, "not verified"),
        ({"verdicts": verdicts("accuracy", "fail")}, GateError, "not verified"),
        ({"verdicts": verdicts("accuracy", "inconclusive")}, GateError, "not verified"),
        ({"verdicts": facts()["verdicts"][1:]}, GateError, "not verified"),
        (untrained(), GateError, "not verified"),
    ],
)
def test_what_the_app_cannot_run_or_nobody_proved_is_refused(tmp_path, changes, error, words):
    with pytest.raises(error, match=words):
        check_build(make_build(tmp_path / "out", **changes))


@pytest.mark.parametrize("changes", [{"verdicts": verdicts("parity", "fail")}, untrained()])
def test_unverified_on_demand_and_labelled(tmp_path, changes):
    build = make_build(tmp_path / "out", **changes)
    entry = check_build(build, allow_unverified=True).entry
    assert not entry.verified
    assert entry.trained == ("supernet" not in changes)
    assert entry.trained == (entry.top1 is not None)


def test_a_changed_or_missing_file_is_refused(tmp_path):
    build = make_build(tmp_path / "out")
    model = build / "model.tflite"
    data = model.read_bytes()
    model.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ConfigError, match=r"model\.tflite was changed"):
        check_build(build)
    model.unlink()
    with pytest.raises(ConfigError, match=r"model\.tflite is missing"):
        check_build(build)


@pytest.mark.parametrize("keep", [0, 3, 8, 100, 2000, -1, -200])
def test_a_truncated_model_is_refused_even_where_its_digest_fits(tmp_path, keep):
    build = make_build(tmp_path / "out")
    (build / "model.tflite").write_bytes((build / "model.tflite").read_bytes()[:keep])
    write(build, target=target("fp32"))
    with pytest.raises(OfaEdgeError):
        check_build(build)


@pytest.mark.parametrize("place", range(0, 400, 7))
def test_a_model_with_a_wrong_byte_never_gives_a_traceback(tmp_path, place):
    build = make_build(tmp_path / "out")
    data = bytearray((build / "model.tflite").read_bytes())
    data[place] ^= 0xFF
    (build / "model.tflite").write_bytes(data)
    write(build, target=target("fp32"))
    with contextlib.suppress(OfaEdgeError):
        check_build(build)


@pytest.mark.parametrize("labels", [LABELS[:-1], (*LABELS, "one more"), (*LABELS[:-1], "another")])
def test_labels_that_do_not_fit_are_refused(tmp_path, labels):
    with pytest.raises(ConfigError, match="labels do not fit") as caught:
        check_build(make_build(tmp_path / "out", class_names=labels))
    assert f"{len(labels)} lines" in caught.value.why


def test_a_model_of_another_size_than_the_manifest_is_refused(tmp_path):
    build = make_build(tmp_path / "out")
    write(build, subnet=facts()["subnet"].model_copy(update={"resolution": 24}))
    with pytest.raises(ConfigError, match="is not of space"):
        check_build(build)
    space = dataclasses.replace(SPACE, resolutions=(12, 24))
    supernet = SupernetRecord(name="tiny", space=space.to_json(), space_hash=space.hash)
    larger = Subnet(STAGES, 24)
    write(build, supernet=supernet, subnet=SubnetRecord.of(space, larger), network=network(space, larger))
    with pytest.raises(ConfigError, match="not the manifest's"):
        check_build(build)


def test_two_artifacts_in_one_manifest_are_refused(tmp_path):
    build = make_build(tmp_path / "out")
    (build / "other.tflite").write_bytes(b"x")
    listed = [record(build / name, "artifact") for name in ("model.tflite", "other.tflite")]
    write(build, outputs=(*listed, record(build / "labels.txt", "labels")))
    with pytest.raises(ConfigError, match="no single artifact"):
        check_build(build)


def test_no_build_at_all(tmp_path):
    with pytest.raises(ConfigError, match="no build in"):
        check_build(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(ConfigError, match="not a manifest"):
        check_build(tmp_path)


def test_a_bad_name_is_refused(tmp_path):
    with pytest.raises(UsageError, match="not a name"):
        check_build(make_build(tmp_path / "out"), "../../etc")
