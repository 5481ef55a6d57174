"""The manifest: it round-trips, is strict, and cannot say what is not so."""

import json
from pathlib import Path
from typing import Any

import pytest
from manifests import SPACE, SUBNET, change, facts, manifest
from pydantic import ValidationError

from ofa_edge import cost
from ofa_edge.errors import ConfigError
from ofa_edge.files import sha256_file
from ofa_edge.output import MANIFEST
from ofa_edge.records.manifest import (
    FileRecord,
    LatencyMeasurement,
    Manifest,
    Rung,
    Verdict,
    read_manifest,
    write_manifest,
)
from ofa_edge.records.network import SubnetRecord
from ofa_edge.vocabulary import weightiest

MEASURED = LatencyMeasurement(
    p50=18.0, p90=19.0, min=17.5, mad=0.1, low95=17.9, high95=18.2, runs=500, sessions=5
).model_dump()


def test_round_trip(tmp_path: Path) -> None:
    original = manifest()
    digest = write_manifest(tmp_path, original)
    assert digest == sha256_file(tmp_path / MANIFEST)
    assert read_manifest(tmp_path) == read_manifest(tmp_path / MANIFEST) == original
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST]
    value = json.loads((tmp_path / MANIFEST).read_text())
    assert value["tool"] == "ofa-edge"
    assert value["subnet"]["stages"][0][0] == [3, 4]


def test_the_subnet_record_holds_what_the_cost_model_counts() -> None:
    record = SubnetRecord.of(SPACE, SUBNET)
    assert (record.macs, record.params) == (cost.macs(SPACE, SUBNET), cost.params(SPACE, SUBNET))
    assert record.id == SUBNET.id


DROP = {"drop": 0.003, "low95": -0.002, "high95": 0.008, "lost": 12, "won": 6, "images": 2000}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("surprise", 1, "unknown key 'surprise'"),
        ("schema_version", 1, "Input should be 2"),
        ("seed", "0", "valid integer"),
        ("network.trained", False, "label 'untrained'"),
        ("labels", ["untrained", "emulated"], "label 'untrained'"),
        ("labels", [], "label 'emulated'"),
        ("network.kind", "file", "a file has neither"),
        ("subnet", None, "has a supernet and a subnet"),
        ("supernet", None, "has a supernet and a subnet"),
        ("labels", ["emulated", "analytic"], "label 'analytic'"),
        ("labels", ["gpu"], "Input should be"),
        ("prediction.low50", 99.0, "low90 <= low50"),
        ("measurements.0.latency_ms", MEASURED, "emulated device gives no latency"),
        ("verdicts.2.outcome", "pass", "latency gate cannot pass"),
        ("verdicts.2.outcome", "fail", "latency gate cannot fail"),
        ("verdicts.0.code", "Not A Code", "String should match"),
        ("ladder.0.top1", 91.8, "less than or equal to 1"),
        ("ladder.2.file", "../model.onnx", "stays inside"),
        ("ladder.3.drop", {**DROP, "low95": 0.01}, "interval must hold the drop"),
        ("calibration", {"images": 0, "low": -1.0, "high": 1.0}, "greater than or equal to 1"),
        ("search.front.0.score", 91.8, "fraction of 1"),
        ("search.budget_source", "option", "relative_budget"),
        ("outputs.0.path", "/etc/passwd", "stays inside"),
        ("outputs.0.path", "labels.txt", "distinct"),
        ("outputs.0.path", MANIFEST, "distinct"),
        ("outputs.0.sha256", "abc", "String should match"),
        ("created", "2026-01-02T03:04:05", "timezone"),
    ],
)
def test_what_is_wrong_or_not_honest_is_refused(tmp_path: Path, path: str, value: object, message: str) -> None:
    (tmp_path / MANIFEST).write_text(json.dumps(change({}, path, value)))
    with pytest.raises(ConfigError, match=message) as caught:
        read_manifest(tmp_path)
    assert str(tmp_path) in caught.value.why
    assert caught.value.hint == "run ofa-edge build again"


def test_an_untrained_network_shows_no_accuracy() -> None:
    parts = facts()
    network = parts["network"].model_copy(update={"trained": False, "dataset": None})
    changes: dict[str, Any] = {"network": network, "labels": ("untrained", "emulated")}
    with pytest.raises(ValidationError, match="no accuracy to show"):
        manifest(**changes)
    changes["ladder"] = tuple(rung.model_copy(update={"top1": None}) for rung in parts["ladder"])
    with pytest.raises(ValidationError, match="no accuracy to show"):  # still the predicted ones of the search
        manifest(**changes)
    search = parts["search"].model_copy(update={"objective": "macs", "candidates": ()})
    assert manifest(**changes, search=search).search == search


def test_nan_is_refused() -> None:
    with pytest.raises(ValidationError, match="finite"):
        Rung(name="onnx", max_abs=float("nan"), outcome="pass")


def test_the_weightiest_outcome_decides() -> None:
    assert manifest().outcome == "unverified"
    assert weightiest(["pass", "inconclusive", "unverified"]) == "inconclusive"
    assert weightiest(["inconclusive", "fail", "pass"]) == "fail"
    assert weightiest(["pass", "pass"]) == "pass"
    assert weightiest([]) == "unverified"
    assert manifest(verdicts=(Verdict(gate="parity", outcome="fail", code="x", reason="y"),)).outcome == "fail"


def test_a_missing_or_broken_manifest_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no build in"):
        read_manifest(tmp_path)
    (tmp_path / MANIFEST).write_bytes(b"\xff\xfe{")
    with pytest.raises(ConfigError, match="not a manifest"):
        read_manifest(tmp_path)


def test_records_are_frozen() -> None:
    record = FileRecord(path="a", sha256="0" * 64, size=1)
    with pytest.raises(ValidationError, match="frozen"):
        record.size = 2


def test_a_latency_model_outside_its_key_must_be_labelled() -> None:
    value = json.loads(manifest().model_dump_json())
    value["prediction"]["outside"] = ["threads 1 is asked for, the model holds for 4"]
    with pytest.raises(ValidationError, match="outside-key"):
        Manifest.model_validate_json(json.dumps(value))
    value["labels"] = [*value["labels"], "outside-key"]
    assert Manifest.model_validate_json(json.dumps(value)).prediction.outside
