"""Every reader of what comes from outside: changed files, files found before, and things that are no files.

`make fuzz` does the same for ten minutes and is led by the lines that a file comes to.
"""

import os
import random
import signal
import socket
import warnings
from pathlib import Path

import pytest
from fuzzing import VALUES, Fuzzer, kept
from readers import all_readers

from ofa_edge.errors import OfaEdgeError
from ofa_edge.system import refused

_FILES = 60  # of each reader; which ones follows from its name alone
NAMES = (
    *(
        "target",
        "latency",
        "lookup-yaml",
        "devices",
        "fleet",
        "recipe",
        "labels",
        "labels-list",
        "subnet",
        "subnet-file",
    ),
    *(
        "space",
        "net-config",
        "run-config",
        "predictor",
        "manifest",
        "history",
        "journal",
        "pairs",
        "bundle",
        "cache-index",
    ),
    *("marker", "tuning", "onnx-operators", "onnx", "tflite", "tflite-metadata", "elf", "picture", "npz", "npz-images"),
    *("priors", "decoding"),
    *(
        "coco",
        "yolo",
        "yolo-names",
        "fingerprint",
        "app-report",
        "runner",
        "conditions",
        "userland",
        "outputs",
        "turns",
    ),
    *("adb-devices", "weights", "package", "checkpoint"),
    *("masks", "licences", "lease", "raw-outputs", "timm-config", "onnx-metadata", "cifar-archive"),
    *("vela-ini", "accelerators", "engine", "noted"),
)
PLACES = ("pipe", "folder", "socket", "device", "dangling link", "link to itself", "link to a pipe", "endless name")
_TEXTS = (
    "fingerprint",
    "app-report",
    "runner",
    "conditions",
    "userland",
    "turns",
    "adb-devices",
    "subnet",
)  # come through no file


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    return {reader.name: reader for reader in all_readers(tmp_path_factory.mktemp("seeds"))}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # thousands of files, and nobody pulls this machine's plug


@pytest.fixture
def fuzzer(readers, tmp_path):
    def make(name):
        return Fuzzer(readers[name], tmp_path, random.Random(name), longest_s=60.0)

    return make


def test_every_reader_is_tried(readers):
    assert set(readers) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_seeds_are_taken(readers, tmp_path, name):
    path = tmp_path / f"seed{readers[name].suffix}"
    for seed in readers[name].seeds:
        path.write_bytes(seed)
        readers[name].read(path)


@pytest.mark.parametrize("name", NAMES)
def test_changed_files_are_taken_or_refused(fuzzer, name):
    tried = fuzzer(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tried.run(_FILES)
    assert [finding.what for finding in tried.findings] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_one_hostile_value_is_taken_or_refused(fuzzer, name):
    tried = fuzzer(name)
    for value in VALUES:
        tried.one(value)
    assert [finding.what for finding in tried.findings] == []


@pytest.mark.parametrize(("name", "path"), [pytest.param(*case, id=f"{case[0]}-{case[1].name}") for case in kept()])
def test_what_was_found_once_stays_mended(fuzzer, name, path):
    tried = fuzzer(name)
    tried.one(path.read_bytes())
    assert [finding.what for finding in tried.findings] == []


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", [name for name in NAMES if name not in _TEXTS])
def test_what_is_no_file_is_refused_at_once(readers, tmp_path, monkeypatch, name, place):
    """Readers whose seeds are copied into a folder meet it one step earlier, and have to refuse it as well."""
    reader = readers[name]
    path = tmp_path / f"input{reader.suffix}"
    monkeypatch.setattr(Path, "read_bytes", _of_plain_files(Path.read_bytes))
    _put(path, place)
    before = signal.signal(signal.SIGALRM, _hung)
    signal.alarm(60)
    try:
        taken = _taken(reader, path if place != "endless name" else tmp_path / ("a" * 300 + reader.suffix))
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    # What these find in place of their own file they lay aside or take for none, and begin anew.
    assert not taken or name in ("cache-index", "tuning", "journal", "history", "licences", "noted")


def _taken(reader, path):
    try:
        reader.read(path)
    except (OfaEdgeError, _NotOursError):  # the second: the harness's own copy
        return False
    except OSError as error:
        return refused(error) is None  # it is told by its number, where the command ends
    return True


class _NotOursError(Exception):
    pass


def _hung(*_):
    raise KeyboardInterrupt("it waits for something that never comes")  # which no reader takes for damage


def _of_plain_files(read):
    def checked(path):
        if not path.is_file():
            raise _NotOursError
        return read(path)

    return checked


def _put(path, place):
    if place == "pipe":
        os.mkfifo(path)
    elif place == "folder":
        path.mkdir()
    elif place == "socket":
        with socket.socket(socket.AF_UNIX) as end:
            here = Path.cwd()
            os.chdir(path.parent)  # a socket's path has 108 bytes at most
            try:
                end.bind(path.name)
            finally:
                os.chdir(here)
    elif place == "device":
        path.symlink_to("/dev/zero")
    elif place == "dangling link":
        path.symlink_to("/nowhere")
    elif place == "link to itself":
        path.symlink_to(path)
    elif place == "link to a pipe":
        os.mkfifo(path.with_name("pipe"))
        path.symlink_to(path.with_name("pipe"))
