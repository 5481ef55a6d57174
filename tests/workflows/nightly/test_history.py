import datetime

import pytest
from nights import night, series

from ofa_edge.errors import ConfigError, OutputError
from ofa_edge.records.night import BaselineRecord
from ofa_edge.workflows.nightly.history import DamagedHistoryError, append, read_history


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
    assert found.damaged == ((2,) if 0 < kept < len(line) - 1 else ())


def test_every_cut_leaves_the_others(path):
    for number in range(2):
        append(path, record(number))
    data = path.read_bytes()
    first = data.index(b"\n") + 1
    for end in range(first, len(data)):
        path.write_bytes(data[:end])
        assert read_history(path).baselines[0] == record(0)


def test_a_night_that_a_crash_cut_short_does_not_count(path):
    append(path, record(0))
    whole = path.read_bytes()
    append(path, night(series()))
    line = path.read_bytes()[len(whole) :].rstrip(b"\n")
    for kept in range(6, len(line)):
        path.write_bytes(whole + line[:kept])
        found = read_history(path)
        assert (found.torn, found.damaged, found.nights, found.golden("net")) == ((2,), (), (), record(0))


DAMAGES = {
    "a lost end": lambda line: line[:-20] + b"\n",
    "a lost beginning": lambda line: line[9:],
    "a byte": lambda line: line[:3] + b"\0" + line[4:],
    "a quote": lambda line: line.replace(b'"', b"", 1),
    "a block of zeros": lambda line: b"\0" * (len(line) - 1) + b"\n",
    "no text": lambda line: b"\xff\xfe" * 20 + b"\n",
    "another file's": lambda line: b"<html>" + line,
    "endless": lambda line: b"[" * 5000 + b"\n",
    "a number": lambda line: line.replace(b'"size":1', b'"size":' + b"9" * 5000),
    "a night's beginning before it": lambda line: b'{"at":' + line,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_line_never_makes_an_older_golden_hold(path, damage):
    for number in range(3):
        append(path, record(number))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + DAMAGES[damage](lines[1]))
    append(path, night(series()))
    found = read_history(path)
    assert (found.damaged, len(found.nights)) == ((2,), 1)
    for artifact in ("net", "other"):  # whose line it was cannot be told
        with pytest.raises(DamagedHistoryError) as caught:
            found.golden(artifact)
        assert "history.jsonl:2" in caught.value.why
    append(path, record(2))  # accepted after the damage
    assert read_history(path).golden("net") == record(2)


def test_damage_before_the_golden_is_harmless(path):
    append(path, record(0))
    path.write_bytes(b"x" + path.read_bytes())
    append(path, record(1))
    assert read_history(path).golden("net") == record(1)


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
