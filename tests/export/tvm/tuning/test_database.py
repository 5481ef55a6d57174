import json
import threading
from dataclasses import replace

import pytest

from ofa_edge.errors import OutputError
from ofa_edge.export.tvm.schedules import Knobs
from ofa_edge.export.tvm.tuning.database import (
    Database,
    NetworkVerdict,
    Place,
    TunedFunction,
    choices_digest,
    default_path,
    rules_digest,
)

HERE = Place("board / cortex-a72", '{"mcpu":"cortex-a72"}', "0.27.0", "rules 1")


def record(key: str = "k1", **changes) -> TunedFunction:
    made = TunedFunction(key, Knobs(rows=7), 100.0, 80.0, 0.8, 12, False, "2026-01-02T03:04:05+00:00")
    return replace(made, **changes)


@pytest.fixture
def database(tmp_path):
    return Database(tmp_path / "deep" / "tuning.json")


def test_what_is_put_is_found(database):
    assert database.functions(HERE) == {}
    database.put(HERE, record())
    database.put(HERE, record("k2", is_default=True))
    database.put(HERE, record(ratio=0.7))
    assert database.functions(HERE) == {"k1": record(ratio=0.7), "k2": record("k2", is_default=True)}


@pytest.mark.parametrize("field", ["device", "target", "tvm", "rules"])
def test_another_place_has_other_records(database, field):
    database.put(HERE, record())
    assert database.functions(replace(HERE, **{field: "other"})) == {}


def test_writers_do_not_lose_each_others_records(database):
    def write(number: int) -> None:
        for index in range(5):
            Database(database.path).put(HERE, record(f"{number} {index}"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(database.functions(HERE)) == 20


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"schema": 99}', b'{"schema": 1, "functions": []}', b"\xff\x00"]
)
def test_a_damaged_file_is_empty_told_and_kept_aside(database, content):
    database.path.parent.mkdir()
    database.path.write_bytes(content)
    assert str(database.path) in database.damage()
    assert database.functions(HERE) == {}
    database.put(HERE, record())
    assert database.damage() is None
    assert database.functions(HERE) == {"k1": record()}
    assert database.path.with_name("tuning.json.damaged").read_bytes() == content


@pytest.mark.parametrize(
    ("field", "value"),
    [("knobs", {"rows": 3}), ("knobs", None), ("ratio", "much"), ("tried", None), ("key", ...)],
)
def test_a_damaged_record_is_left_out(database, field, value):
    database.put(HERE, record("good"))
    database.put(HERE, record("bad"))
    content = json.loads(database.path.read_text())
    bad = next(each for each in content["functions"].values() if each["key"] == "bad")
    if value is ...:
        del bad[field]
    else:
        bad[field] = value
    database.path.write_text(json.dumps(content))
    assert database.functions(HERE) == {"good": record("good")}


@pytest.mark.parametrize("knobs", [{"rows": 0}, {"rows": True}, {"order": "sideways"}, {"pack": 1}, {"vectors": 1.5}])
def test_knobs_out_of_range_are_left_out(database, knobs):
    database.put(HERE, record())
    content = json.loads(database.path.read_text())
    (only,) = content["functions"].values()
    only["knobs"] |= knobs
    database.path.write_text(json.dumps(content))
    assert database.functions(HERE) == {}


def test_whole_networks_are_kept_by_their_choices(database):
    digest = choices_digest(["b", "a"], {"a": Knobs(rows=2)})
    assert digest == choices_digest(["a", "b"], {"a": Knobs(rows=2)})
    assert digest != choices_digest(["a", "b"], {"a": Knobs(rows=3)})
    verdict = NetworkVerdict(0.9, 0.001, True, "2026-01-02T03:04:05+00:00")
    database.put_network(HERE, digest, verdict)
    assert database.network(HERE, digest) == verdict
    assert database.network(replace(HERE, tvm="0.28"), digest) is None
    assert database.network(HERE, "other") is None


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="OFA_EDGE_TUNE_DB"):
        Database(tmp_path / "file" / "tuning.json").put(HERE, record())


def test_the_variable_names_another_file(monkeypatch, tmp_path):
    monkeypatch.setenv("OFA_EDGE_TUNE_DB", str(tmp_path / "mine.json"))
    assert default_path() == tmp_path / "mine.json"
    monkeypatch.delenv("OFA_EDGE_TUNE_DB")
    assert default_path().name == "tuning.json"


def test_the_rules_digest_is_of_their_source():
    assert len(rules_digest()) == 16
    assert rules_digest() == rules_digest()
