"""Tiny data sets on disk, made by the tests that read them."""

import io
import pickle
import tarfile

import numpy as np
from PIL import Image

BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))


def write_classes(root, classes=("cat", "dog"), count=3, size=(20, 32), seed=0):
    """`root/CLASS/N.png`: colour images of [height, width] = size."""
    rng = np.random.default_rng(seed)
    for name in classes:
        (root / name).mkdir(parents=True)
        for index in range(count):
            Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(root / name / f"{index}.png")


def cifar_batches(count=4, seed=0):
    """Five training batches and a test batch: name -> labels [count], planes uint8 [count, 3072]."""
    rng = np.random.default_rng(seed)
    return {
        name: (rng.integers(0, 10, count), rng.integers(0, 256, (count, 3072), dtype=np.uint8))
        for name in (*BATCHES, "test_batch")
    }


def cifar_binary(batches):
    """File name -> bytes of the binary version."""
    return {
        f"{name}.bin": np.concatenate([labels[:, None].astype(np.uint8), planes], 1).tobytes()
        for name, (labels, planes) in batches.items()
    }


def cifar_python(batches, protocol=2):
    """File name -> bytes of the python version, as Python 3 writes it."""
    return {
        name: pickle.dumps({b"data": planes, b"labels": labels.tolist(), b"batch_label": b"x"}, protocol)
        for name, (labels, planes) in batches.items()
    }


def cifar_python2(labels, planes):
    """One batch by the opcodes that Python 2 and the numpy of 2009 wrote: byte strings, the old module path."""

    def text(value):
        return b"U" + bytes([len(value)]) + value

    count = len(labels)
    raw = planes.tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + text(b"b") + b"tR"
        b"(K\x01(" + b"J" + count.to_bytes(4, "little") + b"M\x00\x0ct"
        b"cnumpy\ndtype\n("
        + text(b"u1")
        + b"K\x00K\x01tR(K\x03"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89T" + len(raw).to_bytes(4, "little") + raw + b"tb"
    )
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + numbers + b"u."


def write_files(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in files.items():
        (folder / name).write_bytes(raw)


def write_archive(path, folder, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, raw in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
