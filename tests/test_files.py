import errno

import pytest

from ofa_edge.errors import OutputError, UnknownNameError
from ofa_edge.files import atomic_path, canonical_json, sha256_file, write_bytes, write_json


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
