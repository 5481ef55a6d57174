"""The output folder: nothing of anybody else's is overwritten, and a result is replaced whole or not at all."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ofa_edge.errors import OutputError
from ofa_edge.output import MANIFEST, MARKER, claim_output_folder, output_folder, reserved


def build(out: Path, files: dict[str, str]) -> None:
    with output_folder(out) as staging:
        for name, text in files.items():
            (staging / name).parent.mkdir(exist_ok=True)
            (staging / name).write_text(text)
        (staging / MANIFEST).write_text(files.get(MANIFEST, "{}"))


def content(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MARKER
    }


def test_a_second_build_replaces_the_first(tmp_path: Path) -> None:
    out = tmp_path / "out" / "pixel-4"
    build(out, {"model.tflite": "1", "labels.txt": "a", "tvm/model.so": "1"})
    build(out, {"model_int8.tflite": "2", "labels.txt": "b"})
    assert content(out) == {"model_int8.tflite": "2", "labels.txt": "b", MANIFEST: "{}"}
    assert [path.name for path in out.parent.iterdir()] == ["pixel-4"]


KILLED = """
import os, signal, sys
from pathlib import Path
from ofa_edge.output import output_folder
with output_folder(Path(sys.argv[1])) as staging:
    (staging / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_build_left_is_removed_by_the_next(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for foreign in (".out.abcdefgh.part", ".output.abcdefgh.part"):
        (tmp_path / foreign).mkdir()
        (tmp_path / foreign / "mine").write_text("not a build's")
    before = set(tmp_path.iterdir())
    assert subprocess.run([sys.executable, "-c", KILLED, str(out)], check=False).returncode == -signal.SIGKILL
    assert len(set(tmp_path.iterdir()) - before) == 1
    build(out, {"labels.txt": "a"})
    assert set(tmp_path.iterdir()) - before == {out}


def test_a_build_that_is_alive_keeps_its_staging_folder(tmp_path: Path) -> None:
    with output_folder(tmp_path / "out") as staging:
        build(tmp_path / "out", {"labels.txt": "a"})
        (staging / MANIFEST).write_text('{"second": 2}')
    assert content(tmp_path / "out") == {MANIFEST: '{"second": 2}'}


def test_killed_while_the_first_marker_was_written(tmp_path: Path) -> None:
    half = tmp_path / f".{MARKER}.0123456789ab.part"
    half.write_text('{"tool')
    build(tmp_path, {"labels.txt": "a"})
    assert content(tmp_path) == {"labels.txt": "a", MANIFEST: "{}"}


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    claim_output_folder(tmp_path)
    build(tmp_path, {"labels.txt": "a"})
    assert content(tmp_path) == {"labels.txt": "a", MANIFEST: "{}"}


@pytest.mark.parametrize("marker", [None, "{", "[]", '{"tool": "other", "files": []}', '{"tool": "ofa-edge"}'])
def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path, marker: str | None) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / MANIFEST).write_text("{}")
    if marker is not None:
        (tmp_path / MARKER).write_text(marker)
    for claim in (lambda: claim_output_folder(tmp_path), lambda: build(tmp_path, {"labels.txt": "a"})):
        with pytest.raises(OutputError, match="not an output folder") as caught:
            claim()
        assert "nothing was overwritten" in caught.value.why
    assert content(tmp_path) == {"thesis.tex": "years of work", MANIFEST: "{}"}


def test_a_file_or_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    for name in ("file", "link"):
        with pytest.raises(OutputError, match="not a folder"):
            claim_output_folder(tmp_path / name)


def test_a_users_file_in_our_folder_survives(tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(out, {"labels.txt": "a"})
    (out / "notes.txt").write_text("mine")
    build(out, {"labels.txt": "b"})
    assert content(out) == {"labels.txt": "b", "notes.txt": "mine", MANIFEST: "{}"}
    with pytest.raises(OutputError, match=r"not ours to overwrite: .*notes\.txt"):
        build(out, {"labels.txt": "c", "notes.txt": "ours"})
    assert content(out) == {"labels.txt": "b", "notes.txt": "mine", MANIFEST: "{}"}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("no")])
def test_a_failed_build_leaves_the_last_result(tmp_path: Path, error: BaseException) -> None:
    out = tmp_path / "out"
    build(out, {"labels.txt": "a"})
    with pytest.raises(type(error)), output_folder(out):
        raise error
    assert content(out) == {"labels.txt": "a", MANIFEST: "{}"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_first_build_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), output_folder(tmp_path / "out"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write") as caught, output_folder(tmp_path / "out"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert "No space left" in caught.value.why
    assert list(tmp_path.iterdir()) == []


def test_a_crash_while_moving_is_mended_by_the_next_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    build(out, {"a.txt": "1", "z.txt": "1"})
    replace = Path.replace

    def crash(self: Path, target: Path) -> Path:
        if Path(target).name == "b.txt":
            raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            build(out, {"a.txt": "2", "b.txt": "2"})
    assert not (out / MANIFEST).exists()  # the folder does not claim to be complete
    build(out, {"b.txt": "3"})
    assert content(out) == {"b.txt": "3", MANIFEST: "{}"}


def test_the_manifest_must_be_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no manifest"), output_folder(tmp_path / "out") as staging:
        (staging / "labels.txt").write_text("a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "../precious.txt",
        "sub/../../precious.txt",
        "ABSOLUTE",
        "..\\\\precious.txt",
        "C:/precious.txt",
        "labels.txt\\u0000",
        "labels\\u202etxt",
        "a" * 300,
        "é" * 150,
        "a/" * 900 + "b",
        "",
        ".",
    ],
)
def test_a_marker_that_names_anything_but_files_inside_is_none_of_ours(tmp_path: Path, name: str) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("x")
    out = tmp_path / "out"
    build(out, {"labels.txt": "a"})
    named = str(precious) if name == "ABSOLUTE" else name
    (out / MARKER).write_text(f'{{"tool": "ofa-edge", "files": ["{named}", "labels.txt", "manifest.json"]}}')
    with pytest.raises(OutputError, match="not an output folder"):
        build(out, {"labels.txt": "b"})
    assert precious.read_text() == "x"
    assert (out / "labels.txt").read_text() == "a"


def test_a_marker_that_is_a_link_a_pipe_or_too_deep_is_none_of_ours(tmp_path: Path) -> None:
    real = tmp_path / "marker.json"
    real.write_text('{"tool": "ofa-edge", "files": ["labels.txt", "manifest.json"]}')
    for number, make in enumerate(
        (
            lambda path: path.symlink_to(real),
            os.mkfifo,  # opening it would wait for ever
            lambda path: path.write_text("[" * 100_000),
            lambda path: path.write_text('{"tool": "ofa-edge", "files": "labels.txt"}'),
            lambda path: path.write_text('{"tool": "ofa-edge", "files": [1]}'),
        )
    ):
        out = tmp_path / str(number)
        out.mkdir()
        make(out / MARKER)
        with pytest.raises(OutputError, match="not an output folder"):
            build(out, {"labels.txt": "b"})
        assert not (out / "labels.txt").exists()


@pytest.mark.parametrize("named", [("sub/precious.txt",), ("sub/deep/precious.txt",), (), ("sub",), ("precious.txt",)])
def test_links_below_the_folder_lead_nowhere(tmp_path: Path, named: tuple[str, ...]) -> None:
    """A marker may name a file behind a link, the link itself, or nothing: the build then writes behind it."""
    elsewhere, out = tmp_path / "elsewhere", tmp_path / "out"
    (elsewhere / "deep").mkdir(parents=True)
    for folder in (elsewhere, elsewhere / "deep"):
        (folder / "precious.txt").write_text("x")
    build(out, {"labels.txt": "a"})
    (out / "sub").symlink_to(elsewhere)
    (out / "precious.txt").symlink_to(elsewhere / "precious.txt")
    files = [*named, "labels.txt", MANIFEST]
    (out / MARKER).write_text(json.dumps({"tool": "ofa-edge", "files": files}))
    with pytest.raises(OutputError, match="is a link"):
        build(out, {"labels.txt": "b", "sub/precious.txt": "ours", "sub/new.txt": "ours"})
    assert content(elsewhere) == {"precious.txt": "x", "deep/precious.txt": "x"}
    assert (out / "labels.txt").read_text() == "a"


def test_a_folder_where_a_file_of_ours_is_named_stays(tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(out, {"labels.txt": "a"})
    (out / "thesis").mkdir()
    (out / MARKER).write_text(json.dumps({"tool": "ofa-edge", "files": ["thesis", "labels.txt", MANIFEST]}))
    with pytest.raises(OutputError, match="no plain file"):
        build(out, {"labels.txt": "b"})
    assert (out / "labels.txt").read_text() == "a"


def test_what_the_user_chose_may_stand_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "here").symlink_to(tmp_path / "disk")
    build(tmp_path / "here" / "out", {"labels.txt": "a", "tvm/model.so": "1"})
    build(tmp_path / "here" / "out", {"labels.txt": "b", "tvm/model.so": "2"})
    assert content(tmp_path / "disk" / "out") == {"labels.txt": "b", "tvm/model.so": "2", MANIFEST: "{}"}


def test_of_two_builds_of_one_folder_the_second_is_told_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with reserved(tmp_path / "out"):
        for same in (tmp_path / "out", tmp_path / "link" / "out", tmp_path / "a" / ".." / "out"):
            with pytest.raises(OutputError, match="in use"), reserved(same):
                pass
        with reserved(tmp_path / "other"):
            pass
    with reserved(tmp_path / "out"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link"]  # a lock leaves nothing there


def test_locks_of_output_folders_do_not_stay_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with reserved(tmp_path / "out"):
        assert [path.suffix for path in (tmp_path / "state" / "ofa-edge" / "outputs").iterdir()] == [".lock"]
    assert not list((tmp_path / "state" / "ofa-edge" / "outputs").iterdir())


def test_where_no_lock_can_be_kept_a_build_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with reserved(tmp_path / "out"):
        pass


def test_another_process_is_kept_out_until_it_ends(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from ofa_edge.output import reserved\n"
    code += "with reserved(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    held = [sys.executable, "-c", code, str(tmp_path / "out")]
    with subprocess.Popen(held, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match="in use"), reserved(tmp_path / "out"):
            pass
        other.kill()  # as a crash would
    with reserved(tmp_path / "out"):
        pass
