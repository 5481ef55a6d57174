"""Zip archives that promise more than they hold, and such that are no archives."""

import io
import struct
import zipfile

import numpy as np
import pytest

from ofa_edge.archives import DAMAGED_ZIP, read_arrays, zip_member


def npy(shape, dtype="<f4", held=b"", version=(1, 0), order="False"):
    """A file of one array whose header says what it likes."""
    words = shape if isinstance(shape, str) else str(shape)
    header = f"{{'descr': {dtype!r}, 'fortran_order': {order}, 'shape': {words}, }}".encode()
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H", len(header)) + header + held


def archive(path, method=zipfile.ZIP_STORED, **members):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes_comes_back(tmp_path, save):
    arrays = {
        "x": np.arange(6, dtype=np.float32).reshape(2, 3),
        "turned": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "one": np.array(3, np.uint8),
        "none": np.zeros((0, 4)),
    }
    save(tmp_path / "a.npz", **arrays)
    found = read_arrays(tmp_path / "a.npz")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert (found[name] == array).all()
    assert read_arrays(tmp_path / "a.npz", {"x", "missing"}).keys() == {"x"}


HEADERS = {
    "784 TiB": npy((2**40, 196)),
    "more dimensions than there are": npy("(" + "1," * 5000 + ")"),
    "a negative size": npy((-1, 4), held=b"\0" * 16),
    "two negative sizes": npy((-2, -2), held=b"\0" * 16),
    "a product beyond 64 bits": npy((2**62, 2**62)),
    "too little": npy((4,), held=b"\0" * 12),
    "too much": npy((4,), held=b"\0" * 20),
    "objects": npy((1,), "|O", held=b"\0" * 8),
    "no type": npy((1,), "rubbish", held=b"\0" * 8),
    "a size that is a word": npy("('a',)", held=b"\0" * 4),
    "an endless size": npy("(1e400,)", held=b"\0" * 4),
    "depth": npy("(" * 200 + ")" * 200),
    "no header": b"\x93NUMPY\x01\x00\xff\xff",
    "another version": npy((1,), held=b"\0" * 4, version=(9, 0)),
    "no magic": b"PK" * 40,
    "nothing": b"",
}


@pytest.mark.parametrize("header", HEADERS)
def test_headers_are_held_against_the_file_before_memory_is_asked_for(tmp_path, header):
    with pytest.raises(ValueError, match=r"a\.npy|archive|magic|shape|descr|header|EOF|dtype"):
        read_arrays(archive(tmp_path / "a.npz", a=HEADERS[header]))


def test_a_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "a.npz"
    zeros = bytes(1 << 20)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, file.open("a.npy", "w") as member:
        for _ in range(300):
            member.write(zeros)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(ValueError, match="unpack to"):
        read_arrays(path)
    assert read_arrays(path, {"b"}) == {}  # what is not asked for costs nothing


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip", b"PK\x05\x06" + b"\0" * 18, b"\xff" * 1000])
def test_what_is_no_archive(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    found = None
    try:
        found = read_arrays(tmp_path / "a.npz")
    except ValueError:
        return
    assert found == {}  # an empty archive is one


def test_every_cut_and_every_flipped_byte_is_an_error_or_the_same_arrays(tmp_path):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=np.arange(12, dtype=np.uint8))
    whole, path = buffer.getvalue(), tmp_path / "a.npz"
    for at in range(len(whole)):
        for content in (whole[:at], whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :]):
            path.write_bytes(content)
            try:
                found = read_arrays(path)
            except (ValueError, OSError):  # an offset that no file has
                continue
            assert all((array == np.arange(12)).all() for array in found.values())


def test_a_member_is_bounded(tmp_path):
    path = archive(tmp_path / "a.zip", zipfile.ZIP_DEFLATED, labels=b"x" * 1000)
    with zipfile.ZipFile(path) as file:
        assert zip_member(file, "labels.npy", 1000) == b"x" * 1000
        with pytest.raises(DAMAGED_ZIP, match="at most 999"):
            zip_member(file, "labels.npy", 999)
