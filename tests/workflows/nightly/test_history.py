import datetime

import pytest

from ofa_edge.errors import ConfigError, OutputError
from ofa_edge.records.night import BaselineRecord
from ofa_edge.workflows.nightly.history import append, read_history


def record(number):
    at = datetime.datetime(2026, 1, 1, number, tzinfo=datetime.UTC)
    return BaselineRecord(at=at, artifact="net", sha256=f"{number:064x}", size=number)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "history.jsonl"


def test_what_was_added_comes_back_in_order(path):
    assert read_history(path).baselines == ()
    for number in range(3):
        append(path, record(number))
    assert read_history(path).baselines == tuple(map(record, range(3)))
    assert read_history(path).golden("net") == record(2)
    assert read_history(path).golden("other") is None


@pytest.mark.parametrize("kept", [0, 1, 40, 10_000])
def test_a_line_cut_short_by_a_crash_costs_only_itself(path, kept):
    append(path, record(0))
    whole = path.read_bytes()
    append(path, record(1))
    line = path.read_bytes()[len(whole) :]
    path.write_bytes(whole + line[: min(kept, len(line) - 1)])
    cut = path.read_bytes()
    lost = kept < len(line) - 1  # a line that lacks nothing but its end is whole
    assert read_history(path).baselines == ((record(0),) if lost else (record(0), record(1)))
    append(path, record(2))
    assert path.read_bytes().startswith(cut)  # nothing is ever taken back
    found = read_history(path)
    assert found.baselines[-1] == record(2)
    assert found.torn == ((2,) if 0 < kept < len(line) - 1 else ())


def test_every_cut_leaves_the_others(path):
    for number in range(2):
        append(path, record(number))
    data = path.read_bytes()
    first = data.index(b"\n") + 1
    for end in range(first, len(data)):
        path.write_bytes(data[:end])
        assert read_history(path).baselines[0] == record(0)


def test_a_record_of_another_version_is_refused(path):
    append(path, record(0))
    path.write_bytes(path.read_bytes().replace(b'"schema_version":1', b'"schema_version":2'))
    with pytest.raises(ConfigError, match="not a history of this version") as caught:
        read_history(path)
    assert "history.jsonl:1" in caught.value.why


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot add"):
        append(tmp_path / "file" / "history.jsonl", record(0))
