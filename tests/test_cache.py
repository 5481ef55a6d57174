"""The stage cache: hits, damage, crashes, full disks, and several processes at once."""

import errno
import json
import multiprocessing
import os
import re
import shutil
import signal
import stat
import time
from pathlib import Path

import pytest

import ofa_edge.cache as cache_module
from ofa_edge import __version__
from ofa_edge.cache import INDEX, StageCache, default_root, failures_folder
from ofa_edge.errors import OutputError
from ofa_edge.files import sha256_bytes

INPUTS = {"weights": "ab" * 32, "options": {"precision": "fp32", "shape": [1, 3, 28, 28]}}


class Producer:
    """Writes two files and counts its calls."""

    def __init__(self, data: bytes = b"model") -> None:
        self.calls = 0
        self.data = data

    def __call__(self, folder: Path) -> None:
        self.calls += 1
        assert list(folder.iterdir()) == []
        (folder / "model.onnx").write_bytes(self.data)
        (folder / "extra").mkdir()
        (folder / "extra" / "labels.txt").write_text("shirt\n")


@pytest.fixture
def cache(tmp_path: Path) -> StageCache:
    return StageCache(tmp_path / "stages")


def leftovers(cache: StageCache) -> list[Path]:
    return list((cache.root / ".partial").glob("*"))


def test_first_run_makes_and_second_is_served(cache: StageCache) -> None:
    produce = Producer()
    first = cache.run("onnx", INPUTS, produce)
    second = cache.run("onnx", INPUTS, produce)
    assert produce.calls == 1
    assert (first.hit, second.hit) == (False, True)
    assert (
        first.files
        == second.files
        == {
            "model.onnx": sha256_bytes(b"model"),
            "extra/labels.txt": sha256_bytes(b"shirt\n"),
        }
    )
    assert second.path("model.onnx").read_bytes() == b"model"
    assert second.produced_seconds == first.produced_seconds > 0
    assert first.seconds > 0
    assert leftovers(cache) == []
    with pytest.raises(KeyError, match="made no 'other'"):
        second.path("other")


def test_the_key_depends_on_every_input_and_on_nothing_else() -> None:
    base = StageCache.key("onnx", INPUTS)
    assert base == StageCache.key("onnx", dict(reversed(INPUTS.items())))
    assert base == StageCache.key("onnx", {**INPUTS, "options": {"shape": (1, 3, 28, 28), "precision": "fp32"}})
    others = [
        StageCache.key("tflite", INPUTS),
        StageCache.key("onnx", INPUTS, version=2),
        StageCache.key("onnx", {**INPUTS, "weights": "ac" * 32}),
        StageCache.key("onnx", {**INPUTS, "options": {"precision": "fp32", "shape": [1, 3, 28, 32]}}),
        StageCache.key("onnx", {**INPUTS, "seed": 0}),
    ]
    assert len({base, *others}) == 6


def test_who_changes_the_code_makes_stages_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "__file__", str(tmp_path / "cache.py"))
    (tmp_path / "export").mkdir()
    versions = []
    for code, data in (("one = 1", "a"), ("one = 1", "b"), ("one = 2", "b")):
        (tmp_path / "export" / "one.py").write_text(code)
        (tmp_path / "export" / "one.json").write_text(data)
        versions.append(cache_module.code_version.__wrapped__())
    assert versions[0] == versions[1] != versions[2]
    assert versions[0].startswith(f"{__version__}+")


@pytest.mark.parametrize("name", ["", "../x", "A", "a/b", ".locks", "a b"])
def test_stage_names_cannot_leave_the_cache(cache: StageCache, name: str) -> None:
    with pytest.raises(ValueError, match="stage name"):
        cache.run(name, {}, Producer())


def test_inputs_must_be_json(cache: StageCache) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        cache.run("onnx", {"x": float("nan")}, Producer())
    with pytest.raises(TypeError):
        cache.run("onnx", {"x": Path("a")}, Producer())


def damage_flip(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"modem")


def damage_remove(folder: Path) -> None:
    (folder / "model.onnx").unlink()


def damage_add(folder: Path) -> None:
    (folder / "stranger").write_text("x")


def damage_index(folder: Path) -> None:
    (folder / INDEX).write_text("{")


def damage_no_index(folder: Path) -> None:
    (folder / INDEX).unlink()


def damage_other_inputs(folder: Path) -> None:
    index = json.loads((folder / INDEX).read_text())
    index["inputs"]["weights"] = "cd" * 32
    (folder / INDEX).write_text(json.dumps(index))


def damage_link(folder: Path) -> None:
    target = folder.parent / "elsewhere"
    target.write_bytes(b"model")
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").symlink_to(target)


def damage_index_type(folder: Path) -> None:
    (folder / INDEX).write_text("[1, 2]")


def damage_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("a file where a folder is meant")


def damage_dangling(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.symlink_to("/nowhere")


def damage_elsewhere(folder: Path) -> None:
    """A link to a whole entry: whoever may change that one changes what we take from here."""
    folder.rename(folder.with_name("moved"))
    folder.symlink_to("moved")


def damage_pipe(folder: Path) -> None:
    shutil.rmtree(folder)
    os.mkfifo(folder)


def damage_index_pipe(folder: Path) -> None:
    (folder / "index.json").unlink()
    os.mkfifo(folder / "index.json")


def damage_index_folder(folder: Path) -> None:
    (folder / "index.json").unlink()
    (folder / "index.json").mkdir()


def damage_index_list(folder: Path) -> None:
    (folder / "index.json").write_text("[]")


def damage_index_depth(folder: Path) -> None:
    (folder / "index.json").write_text("[" * 5000)


def damage_seconds(folder: Path, seconds: str) -> None:
    index = (folder / "index.json").read_text()
    (folder / "index.json").write_text(re.sub(r'("produced_seconds": )[^,\n}]+', rf"\g<1>{seconds}", index))


def damage_index_digits(folder: Path) -> None:
    index = (folder / "index.json").read_text()
    (folder / "index.json").write_text(
        re.sub(r'"produced_seconds": [^,\n}]+', '"produced_seconds": ' + "9" * 5000, index)
    )


def damage_index_seconds(folder: Path) -> None:
    damage_seconds(folder, "-1")


@pytest.mark.parametrize(
    "damage",
    [
        damage_file,
        damage_dangling,
        damage_elsewhere,
        damage_pipe,
        damage_index_pipe,
        damage_index_folder,
        damage_index_list,
        damage_index_depth,
        damage_index_digits,
        damage_index_seconds,
        damage_flip,
        damage_remove,
        damage_add,
        damage_index,
        damage_no_index,
        damage_other_inputs,
        damage_link,
        damage_index_type,
    ],
)
def test_a_damaged_entry_is_found_and_made_again(cache: StageCache, damage) -> None:
    produce = Producer()
    damage(cache.run("onnx", INPUTS, produce).folder)
    again = cache.run("onnx", INPUTS, produce)
    assert produce.calls == 2
    assert not again.hit
    assert again.damage
    assert again.path("model.onnx").read_bytes() == b"model"
    assert sorted(path.name for path in again.folder.iterdir()) == ["extra", INDEX, "model.onnx"]
    served = cache.run("onnx", INPUTS, produce)
    assert served.hit
    assert served.damage is None


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("no"), SystemExit(3)])
def test_an_interrupted_stage_leaves_nothing(cache: StageCache, error: BaseException) -> None:
    def produce(folder: Path) -> None:
        (folder / "half").write_bytes(b"x")
        raise error

    with pytest.raises(type(error)):
        cache.run("onnx", INPUTS, produce)
    assert leftovers(cache) == []
    assert cache.entries() == []
    assert not cache.has("onnx", INPUTS)
    assert not cache.run("onnx", INPUTS, Producer()).hit
    assert cache.has("onnx", INPUTS)


def fail_with_enospc(folder: Path) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / "model.onnx"))


def fail_with_wrapped_enospc(folder: Path) -> None:
    try:
        fail_with_enospc(folder)
    except OSError as error:
        raise RuntimeError("the converter failed") from error


@pytest.mark.parametrize("produce", [fail_with_enospc, fail_with_wrapped_enospc])
def test_a_full_disk_is_a_clear_error_and_leaves_nothing(cache: StageCache, produce) -> None:
    with pytest.raises(OutputError) as caught:
        cache.run("onnx", INPUTS, produce)
    assert caught.value.what == "disk full: cache of stage 'onnx'"
    assert "No space left" in caught.value.why
    assert leftovers(cache) == []
    assert cache.run("onnx", INPUTS, Producer()).damage is None


def test_a_full_disk_while_syncing(cache: StageCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match="disk full"):
            cache.run("onnx", INPUTS, Producer())
    assert cache.entries() == []
    assert leftovers(cache) == []


def test_a_denied_file_elsewhere_is_not_the_caches_error(cache: StageCache) -> None:
    def produce(folder: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/data/images.gz")

    with pytest.raises(PermissionError):
        cache.run("onnx", INPUTS, produce)


def test_a_root_that_is_a_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for root in (tmp_path / "file", tmp_path / "file" / "stages"):
        with pytest.raises(OutputError, match="cannot write") as caught:
            StageCache(root).run("onnx", INPUTS, Producer())
        assert "OFA_EDGE_CACHE" in caught.value.hint


def test_an_empty_stage_or_one_that_writes_the_index_is_refused(cache: StageCache) -> None:
    with pytest.raises(ValueError, match="at least one file"):
        cache.run("onnx", INPUTS, lambda folder: None)
    with pytest.raises(ValueError, match="none of them named"):
        cache.run("onnx", INPUTS, lambda folder: (folder / INDEX).write_text("{}") and None)
    with pytest.raises(ValueError, match="plain files"):
        cache.run("onnx", INPUTS, lambda folder: (folder / "link").symlink_to("/etc/hostname"))
    assert cache.entries() == []


# -- processes ----------------------------------------------------------------------------------------------------


def slow_run(root: Path, log: Path, barrier) -> None:
    def produce(folder: Path) -> None:
        with log.open("a") as file:
            file.write("made\n")
        time.sleep(0.3)
        (folder / "model.onnx").write_bytes(b"model" * 1000)

    barrier.wait()
    entry = StageCache(root).run("onnx", INPUTS, produce)
    with log.open("a") as file:
        file.write(f"{'hit' if entry.hit else 'miss'}\n")


def test_two_processes_make_one_entry_once(cache: StageCache, tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    barrier, log = spawn.Barrier(3), tmp_path / "log"
    workers = [spawn.Process(target=slow_run, args=(cache.root, log, barrier)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert sorted(log.read_text().split()) == ["hit", "hit", "made", "miss"]
    assert cache.run("onnx", INPUTS, Producer()).hit


def hang(root: Path) -> None:
    def produce(folder: Path) -> None:
        (folder / "half").write_bytes(b"x")
        (folder / "ready").write_bytes(b"")
        time.sleep(60)

    StageCache(root).run("onnx", INPUTS, produce)


def test_a_killed_process_frees_its_lock_and_its_leftovers_go(cache: StageCache) -> None:
    worker = multiprocessing.get_context("spawn").Process(target=hang, args=(cache.root,))
    worker.start()
    deadline = time.monotonic() + 30
    while not list(cache.root.glob(".partial/*/ready")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert worker.pid
    os.kill(worker.pid, signal.SIGKILL)
    worker.join(30)
    assert leftovers(cache) != []
    entry = cache.run("onnx", INPUTS, Producer())
    assert not entry.hit
    assert "half" not in entry.files
    assert leftovers(cache) == []


# -- listing and pruning -------------------------------------------------------------------------------------------


def filled(cache: StageCache) -> list[str]:
    keys = []
    for age, name in enumerate(["new", "middle", "old"]):
        entry = cache.run("onnx", {"name": name}, Producer(b"x" * 10_000))
        used = time.time() - 100 * age
        os.utime(entry.folder / INDEX, (used, used))
        keys.append(entry.key)
    return keys


def test_entries_are_listed_oldest_first(cache: StageCache) -> None:
    new, middle, old = filled(cache)
    listed = cache.entries()
    assert [entry.key for entry in listed] == [old, middle, new]
    assert all(10_000 < entry.size < 12_000 for entry in listed)
    cache.run("onnx", {"name": "old"}, Producer())  # a hit counts as use
    assert [entry.key for entry in cache.entries()] == [middle, new, old]


def test_prune_removes_the_least_recently_used(cache: StageCache) -> None:
    new, middle, old = filled(cache)
    assert [entry.key for entry in cache.prune(max_bytes=25_000)] == [old]
    assert [entry.key for entry in cache.prune(unused_for=50.0)] == [middle]
    assert [entry.key for entry in cache.entries()] == [new]
    assert [entry.key for entry in cache.prune()] == [new]
    assert cache.entries() == []
    assert not cache.run("onnx", {"name": "new"}, Producer()).hit


def test_what_failed_stages_left_goes_with_the_whole_cache(cache: StageCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFA_EDGE_CACHE", str(cache.root))
    left = failures_folder() / "part.onnx"
    left.parent.mkdir(parents=True)
    left.touch()
    cache.prune(max_bytes=1)
    cache.prune(unused_for=1.0)
    assert left.exists()
    assert cache.entries() == []
    cache.prune()
    assert not left.exists()


def test_prune_spares_an_entry_in_use(cache: StageCache) -> None:
    cache.run("onnx", INPUTS, Producer())

    def produce(folder: Path) -> None:
        (folder / "removed").write_text(str(len(cache.prune())))

    # A pruner cannot take the key that is being made; the other one goes.
    assert cache.run("tflite", INPUTS, produce).path("removed").read_text() == "1"
    held = StageCache(cache.root)
    with held._locked(cache.key("tflite", INPUTS)):
        assert cache.prune() == []


def test_files_are_not_executable_and_the_root_comes_from_the_environment(
    cache: StageCache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    entry = cache.run("onnx", INPUTS, Producer())
    assert not entry.path("model.onnx").stat().st_mode & stat.S_IXUSR
    monkeypatch.setenv("OFA_EDGE_CACHE", str(tmp_path / "mine"))
    assert default_root() == tmp_path / "mine"
    monkeypatch.delenv("OFA_EDGE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_root() == tmp_path / "xdg" / "ofa-edge" / "stages"
