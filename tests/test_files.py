import errno
from pathlib import Path

import pytest

from ofa_edge.errors import OutputError, UnknownNameError
from ofa_edge.files import append_json, atomic_path, canonical_json, sha256_file, write_bytes, write_json


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    write_bytes(path, b"old")

    def fail_halfway():
        with atomic_path(path) as part:
            part.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["a.txt"]


def test_a_full_disk_is_told_in_three_parts(tmp_path):
    path = tmp_path / "a.txt"
    write_bytes(path, b"old")
    with pytest.raises(OutputError, match="disk full") as caught, atomic_path(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert "nothing was overwritten" in caught.value.why
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_digests_are_of_what_was_written(tmp_path):
    assert write_json(tmp_path / "a.json", {"b": 1, "a": [1.5]}) == sha256_file(tmp_path / "a.json")
    assert canonical_json({"b": 1, "a": "é"}) == '{"a":"é","b":1}'.encode()
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json(float("nan"))


def test_unknown_names_offer_the_nearest():
    error = UnknownNameError.of("target", "raspbery-pi-4", ["raspberry-pi-4", "pixel-4"], "targets list")
    assert "raspberry-pi-4" in error.why.split(",")[0]
    assert error.exit_code == 2


def test_lines_are_added_whole_and_a_torn_one_stays_by_itself(tmp_path):
    path = tmp_path / "folder" / "lines.jsonl"
    append_json(path, {"b": 1, "a": 2})
    with path.open("ab") as file:
        file.write(b'{"torn')
    append_json(path, [3])
    assert path.read_bytes() == b'{"a":2,"b":1}\n{"torn\n[3]\n'


def test_a_full_disk_under_a_file_of_lines_is_told_in_three_parts():
    with pytest.raises(OutputError, match="cannot add to full") as caught:
        append_json(Path("/dev/full"), {})
    assert "No space left" in caught.value.why
    assert caught.value.hint


def test_lines_are_not_added_behind_a_link(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"x\n")
    (tmp_path / "lines.jsonl").symlink_to(elsewhere)
    with pytest.raises(OutputError, match=r"cannot add to lines\.jsonl"):
        append_json(tmp_path / "lines.jsonl", {})
    assert elsewhere.read_bytes() == b"x\n"
