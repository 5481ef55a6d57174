"""A night for real, on this machine, with a build and short sessions."""

import pytest
from fleets import short_night

from ofa_edge.builds import Build
from ofa_edge.errors import ConfigError
from ofa_edge.workflows.nightly.bench import fingerprint_digest, make_duel
from ofa_edge.workflows.nightly.fleet import ProtocolEntry
from ofa_edge.workflows.nightly.store import Store


def test_a_night_on_this_machine(first, tmp_path, monkeypatch):
    monkeypatch.setenv("OFA_EDGE_LEASES", str(tmp_path / "leases"))
    night = short_night(tmp_path, first[0], "raspberry-pi-4")
    assert night.devices[0].error is None
    assert night.devices[0].kind == "physical"
    found = {item.gate: item for item in night.series}
    assert set(found) == {"accuracy", "size", "peak memory", "undelegated operators", "operators", "latency"}
    assert all(found[gate].colour == "GREEN" for gate in found if gate != "latency")  # the same file on both sides
    run = found["latency"].runs[0]
    assert len(run.golden) == len(run.candidate) == 6
    assert any(value is not None for value in run.golden)
    assert found["latency"].fingerprint == found["accuracy"].fingerprint


def test_golden_and_candidate_must_be_for_the_same_target(first):
    build = Build.open(first[0])
    other = build.manifest.model_copy(update={"target": build.manifest.target.model_copy(update={"name": "pixel-4"})})
    with pytest.raises(ConfigError, match="not comparable"):
        make_duel("net", Build(build.folder, other), build, "local", ProtocolEntry())


def test_the_store_keeps_whole_builds(first, tmp_path):
    store, build = Store(tmp_path / "golden"), Build.open(first[0])
    kept = store.keep(build)
    assert kept.artifact.path != build.artifact.path
    assert kept.artifact.path.read_bytes() == build.artifact.path.read_bytes()
    assert store.keep(build) == kept
    assert [path.name for path in store.folder.iterdir()] == [build.file.sha256]
    with pytest.raises(ConfigError, match="is missing"):
        store.open("0" * 64)


def test_a_start_does_not_change_the_fingerprint():
    facts = {"cpu": "cortex-a72", "boot_id": "1"}
    assert fingerprint_digest(facts) == fingerprint_digest({**facts, "boot_id": "2"})
    assert fingerprint_digest(facts) != fingerprint_digest({**facts, "cpu": "cortex-a76"})
