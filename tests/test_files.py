import errno
import os
import stat
import tomllib
from pathlib import Path

import pytest

from ofa_edge.errors import OutputError, UnknownNameError
from ofa_edge.files import (
    append_json,
    atomic_path,
    bounded_text,
    canonical_json,
    copy_file,
    parse_json,
    parse_toml,
    private_folder,
    sha256_file,
    write_bytes,
    write_json,
)


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


@pytest.fixture
def umask():
    """Sets the umask of this process, and sets it back."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o027, 0o640), (0o002, 0o664), (0, 0o666)])
def test_files_are_for_those_whom_the_umask_lets(tmp_path, umask, mask, mode):
    umask(mask)
    write_bytes(tmp_path / "a", b"x")
    append_json(tmp_path / "lines", {})
    with atomic_path(tmp_path / "b") as part:
        part.unlink()  # as a compiler does that writes a file of its own
        part.write_bytes(b"x")
        part.chmod(0o777)
    (tmp_path / "source").write_bytes(b"x")
    (tmp_path / "source").chmod(0o755)
    copy_file(tmp_path / "source", tmp_path / "program")
    for name in ("a", "b", "lines"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode
    assert stat.S_IMODE((tmp_path / "program").stat().st_mode) == mode | (mode & 0o444) >> 2


@pytest.mark.parametrize("mask", [0, 0o022, 0o077])
def test_private_files_are_for_their_owner_whatever_the_umask(tmp_path, umask, mask):
    umask(mask)
    write_bytes(tmp_path / "own" / "a", b"x", private=True)
    private_folder(tmp_path / "keys")
    for path, mode in (("own", 0o700), ("own/a", 0o600), ("keys", 0o700)):
        assert stat.S_IMODE((tmp_path / path).stat().st_mode) == mode
    (tmp_path / "keys").chmod(0o755)
    private_folder(tmp_path / "keys")
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700


def test_a_file_that_replaces_another_is_not_open_to_more(tmp_path, umask):
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "a").chmod(0o600)
    write_bytes(tmp_path / "a", b"y")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600
    (tmp_path / "a").chmod(0o644)
    write_bytes(tmp_path / "a", b"y", private=True)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


def test_a_long_name_is_written_too(tmp_path):
    write_bytes(tmp_path / ("a" * 255), b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["a" * 255]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, b"[" * 100_000, "", "{", b"\xff"])
def test_json_that_is_none_is_a_value_error(text):
    with pytest.raises(ValueError):  # noqa: PT011  (of JSON or of the encoding)
        parse_json(text)


@pytest.mark.parametrize("value", ["[" * 100_000, "{a = " * 50_000, "9" * 10_000, "x" * 1_000_001])
def test_toml_that_is_none_is_one_error(value):
    with pytest.raises(tomllib.TOMLDecodeError):
        parse_toml(f"a = {value}")


def test_only_plain_text_files_of_a_size_are_read(tmp_path):
    (tmp_path / "a").write_text("é")
    assert bounded_text(tmp_path / "a") == "é"
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match=r"no plain file|Is a directory"):
            bounded_text(path)
    with pytest.raises(FileNotFoundError, match="null"):
        bounded_text(Path("a\0b"))
    with pytest.raises(OSError, match="2 bytes, at most 1"):
        bounded_text(tmp_path / "a", 1)


LONG_KEYS = ("a.{}a = 1", "[a.{}a]", "[[a.{}a]]", "b = {{ a.{}a = 1 }}", 'x = [ {{ "a!".{}a = 1 }} ]')
PARTS = ("a.", "a . ", '"a!".', "'b?' . ", "\t1.")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("key", LONG_KEYS)
def test_keys_of_thousands_of_parts_are_refused_before_they_take_their_square(key, part):
    with pytest.raises(tomllib.TOMLDecodeError, match="a key of more than 50 parts"):
        parse_toml(key.format(part * 100_000))
    assert parse_toml(key.format(part * 10))


def test_many_dots_that_are_no_key_are_read():
    dots, numbers, words = "." * 200, ", ".join(["0.5"] * 300), ", ".join(["'x.y'"] * 100)
    text = f'a = "{dots}"\nb = [{numbers}]\nc = [{words}]'
    assert len(parse_toml(text)["b"]) == 300
