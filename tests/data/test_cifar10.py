import os
import pickle

import numpy as np
import pytest
from tiny_data import (
    BATCHES,
    cifar_batches,
    cifar_binary,
    cifar_python,
    cifar_python2,
    write_archive,
    write_classes,
    write_files,
)

from ofa_edge.data.cifar10 import CIFAR10_LABELS, load_cifar10
from ofa_edge.data.recorded_pickle import read_recorded, recorded_bytes_array
from ofa_edge.errors import DataError

BATCH = cifar_batches()
FILES = {
    "binary": ("cifar-10-batches-bin", cifar_binary(BATCH)),
    "python": ("cifar-10-batches-py", cifar_python(BATCH)),
}


def assert_is_the_batches(data):
    labels = np.concatenate([BATCH[name][0] for name in BATCHES])
    planes = np.concatenate([BATCH[name][1] for name in BATCHES])
    assert np.array_equal(data.train.labels, labels)
    assert data.train.pixels.shape == (20, 32, 32, 3)
    # Red plane first, row by row: the format's own description.
    assert np.array_equal(data.train.pixels[:, 5, 7, 1], planes[:, 1024 + 5 * 32 + 7])
    assert np.array_equal(data.test.pixels[:, 31, 0, 2], BATCH["test_batch"][1][:, 2048 + 31 * 32])
    assert data.class_names == CIFAR10_LABELS
    assert "20 training and 4 test images" in data.notes[0]


@pytest.mark.parametrize("kind", FILES)
def test_a_folder_its_parent_and_an_archive_of_both_versions(tmp_path, kind):
    folder, files = FILES[kind]
    write_files(tmp_path / "a" / folder, files)
    for path in (tmp_path / "a" / folder, tmp_path / "a"):
        assert_is_the_batches(load_cifar10(path))
    (tmp_path / "b").mkdir()
    archive = tmp_path / "b" / f"cifar-10-{kind}.tar.gz"
    write_archive(archive, folder, files)
    renamed = archive.with_name("cifar.tgz")
    renamed.symlink_to(archive)
    for path in (archive, tmp_path / "b", renamed):
        assert_is_the_batches(load_cifar10(path))
    assert {path.name for path in (tmp_path / "b").iterdir()} == {archive.name, renamed.name}  # nothing was extracted


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_of_pickle(tmp_path, protocol):
    write_files(tmp_path, cifar_python(BATCH, protocol))
    assert_is_the_batches(load_cifar10(tmp_path))


def test_the_pickles_of_python_2(tmp_path):
    raw = {name: cifar_python2(*batch) for name, batch in BATCH.items()}
    content = pickle.loads(raw["test_batch"], encoding="bytes")  # our own bytes: they are what numpy reads as well
    assert np.array_equal(content[b"data"], BATCH["test_batch"][1])
    write_files(tmp_path, raw)
    assert_is_the_batches(load_cifar10(tmp_path))


def test_names_of_the_classes_grey_and_pictures(tmp_path):
    write_files(tmp_path, FILES["binary"][1] | {"batches.meta.txt": "\n".join("abcdefghij").encode() + b"\n\n"})
    data = load_cifar10(tmp_path, channels=1)
    assert data.class_names == tuple("abcdefghij")
    assert data.train.pixels.shape == (20, 32, 32, 1)
    (tmp_path / "batches.meta.txt").write_text("one two")
    with pytest.raises(DataError) as caught:
        load_cifar10(tmp_path)
    assert "batches.meta.txt: 2 names" in caught.value.why
    for part in ("train", "test"):
        write_classes(tmp_path / "pictures" / part, size=(32, 32))
    assert load_cifar10(tmp_path / "pictures").train.pixels.shape == (6, 32, 32, 3)


@pytest.mark.parametrize("kind", FILES)
def test_missing_and_damaged_files_are_named(tmp_path, kind):
    files = dict(FILES[kind][1])
    third = next(name for name in files if "3" in name)
    write_files(tmp_path / "short", files | {third: files[third][:-1]})
    write_files(tmp_path / "empty", files | {third: b""})
    del files[third]
    write_files(tmp_path / "missing", files)
    for folder in ("short", "empty", "missing"):
        with pytest.raises(DataError) as caught:
            load_cifar10(tmp_path / folder)
        assert third in caught.value.why
    write_archive(tmp_path / f"{kind}.tar.gz", "x", files)
    with pytest.raises(DataError, match="incomplete") as caught:
        load_cifar10(tmp_path / f"{kind}.tar.gz")
    assert third in caught.value.why


def test_labels_out_of_range_and_other_data(tmp_path):
    batch = dict(BATCH)
    for wrong in (10, 255):
        batch["data_batch_2"] = (np.array([0, wrong, 1, 2]), BATCH["data_batch_2"][1])
        for make in (cifar_binary, cifar_python):
            write_files(tmp_path / make.__name__, make(batch))
            with pytest.raises(DataError, match="damaged") as caught:
                load_cifar10(tmp_path / make.__name__)
            assert "data_batch_2" in caught.value.why
    with pytest.raises(DataError, match="no CIFAR-10 here"):
        load_cifar10(tmp_path)
    write_archive(tmp_path / "other.tar.gz", "x", {"readme": b""})
    with pytest.raises(DataError, match="no CIFAR-10 here") as caught:
        load_cifar10(tmp_path / "other.tar.gz")
    assert "other.tar.gz" in caught.value.why
    cut = tmp_path / "cut.tar.gz"
    write_archive(cut, "x", FILES["binary"][1])
    cut.write_bytes(cut.read_bytes()[:-20000])
    with pytest.raises(DataError, match="damaged") as caught:
        load_cifar10(cut)
    assert "cut.tar.gz" in caught.value.why
    (tmp_path / "broken.tar.gz").write_bytes(b"\x1f\x8b no archive")
    with pytest.raises(DataError) as caught:
        load_cifar10(tmp_path / "broken.tar.gz")
    assert "broken.tar.gz" in caught.value.why


class _Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def evil_pickles(mark):
    """Pickles that would make the folder `mark`, or reach further, if they were run."""
    plain = pickle.dumps({b"data": BATCH["test_batch"][1], b"labels": _Touch(mark)}, 2)
    path = str(mark).encode()
    return {
        "reduce": plain,
        "inst": b"(S'" + path + b"'\nios\nmkdir\n.",
        "builtins": b"cbuiltins\nexec\n(S'import os; os.mkdir(\"" + path + b"\")'\ntR.",
        "dotted": b"\x80\x04\x8c\x05numpy\x8c\x0dndarray.dumps\x93.",
        "state": b"cbuiltins\nsetattr\n(cnumpy\nndarray\nS'x'\nK\x01tR.",
        "codec": b"c_codecs\nencode\n(Vx\nVzlib\ntR.",
        "state of a codec": b"c_codecs\nencode\n(dS'__call__'\nK\x01sb.",
        "extension": b"\x80\x02\x82\x01.",
        "persistent": b"Pnowhere\n.",
    }


@pytest.mark.parametrize("kind", evil_pickles("x"))
def test_a_pickle_that_would_run_is_refused(tmp_path, kind):
    mark = tmp_path / "ran"
    raw = evil_pickles(mark)[kind]
    write_files(tmp_path / "data", cifar_python(BATCH) | {"data_batch_1": raw})
    with pytest.raises(DataError, match="a pickle that is not read") as caught:
        load_cifar10(tmp_path / "data")
    assert "data_batch_1" in caught.value.why
    assert not mark.exists()


def test_allowed_names_do_nothing_when_called():
    """Even what is on the list is not numpy's own: it is written down and left."""
    made = read_recorded(b"cnumpy\nndarray\n(I1000000000\nI1000000000\ntR.", "file")
    assert (made.name, made.arguments) == ("numpy.ndarray", (10**9, 10**9))
    with pytest.raises(DataError, match="without the array"):
        recorded_bytes_array(made, "file")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3072), np.float32),
        np.zeros((2, 3072), np.int8),
        np.asfortranarray(np.zeros((2, 3072), np.uint8)),
        [0],
    ],
)
def test_arrays_of_another_kind_are_refused(array):
    content = read_recorded(pickle.dumps({"data": array}, 2), "data_batch_9")
    with pytest.raises(DataError) as caught:
        recorded_bytes_array(content["data"], "data_batch_9")
    assert "data_batch_9" in caught.value.why
