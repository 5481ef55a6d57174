"""Output that nobody reads any more: the work is done, and the exit code is its own. And nothing steers a terminal."""

import doctest
import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ofa_edge.cli.streams as module
from ofa_edge.cli import cli, main
from ofa_edge.cli.console import StageLines
from ofa_edge.cli.streams import Guarded, guarded_streams
from ofa_edge.errors import ConfigError

# A command line of ours that prints a lot, works, and then ends with a code of its own.
WORKER = """
import sys
from pathlib import Path
import click
from ofa_edge.cli import cli, main
from ofa_edge.cli.answer import Answer
from ofa_edge.cli.console import StageLines
from ofa_edge.errors import GateError

@cli.command("work")
@click.argument("end")
def work(end):
    lines = StageLines()
    for number in range(200):
        lines("search", False, None)
        lines("search", False, 1.0)
        click.echo("x" * 1000)
    Path("done").write_text("done")
    if end == "gate":
        raise GateError("a gate", "failed", "again")
    return Answer({}, code=3 if end == "three" else 0)

main(sys.argv[1:])
"""


@pytest.fixture
def worker(tmp_path: Path) -> Path:
    (tmp_path / "worker.py").write_text(WORKER)
    return tmp_path


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "| true", "2>&1 >/dev/null | true"])
@pytest.mark.parametrize(("end", "code"), [("zero", 0), ("three", 3), ("gate", 1)])
def test_the_work_is_done_whoever_reads(worker: Path, redirection: str, end: str, code: int) -> None:
    line = f"{sys.executable} worker.py work {end} {redirection}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=worker, capture_output=True, text=True, timeout=60, env=os.environ, check=False
    )
    assert done.returncode == code
    assert (worker / "done").read_text() == "done"
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_file_opened_by_the_work_is_never_standard_error(worker: Path) -> None:
    text = WORKER.replace('Path("done").write_text("done")', "Path('done').write_text(str(open('x', 'w').fileno()))")
    (worker / "worker.py").write_text(text)
    line = f"{sys.executable} worker.py work zero <&- >&- 2>&-"
    subprocess.run(["bash", "-c", line], cwd=worker, timeout=60, check=True)
    assert int((worker / "done").read_text()) > 2


class Breaking(io.StringIO):
    """A stream that fails with an error of the system."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EBADF, errno.EIO])
def test_a_stream_that_goes_away_is_dropped(number: int) -> None:
    stream = Guarded(Breaking(OSError(number, "gone")))
    assert stream.write("abc") == 3
    stream.flush()
    assert stream.lost


def test_a_full_disk_is_told() -> None:
    with pytest.raises(OSError, match="full"):
        Guarded(Breaking(OSError(errno.ENOSPC, "full"))).write("abc")


def test_a_broken_pipe_of_the_work_itself_is_no_success(monkeypatch: pytest.MonkeyPatch, run) -> None:
    def breaks(*_: object, **__: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "to a device")

    monkeypatch.setattr(cli, "main", breaks)
    status, _, err = run("targets", "list")
    assert status == 4
    assert "BrokenPipeError" in err


class Terminal(io.StringIO):
    """What a terminal would get."""

    def isatty(self) -> bool:
        return True


def test_nothing_steers_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    import click

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.delenv("NO_COLOR", raising=False)
    with guarded_streams():
        click.echo(click.style("pass", fg="green") + " \x1b[2J\x1b]0;title\x07 \u202egpj\r\x9b1m\tend")
    assert terminal.getvalue() == "\x1b[32mpass\x1b[0m \\x1b[2J\\x1b]0;title\\x07 \\u202egpj\\x0d\\x9b1m\tend\n"


def test_all_three_parts_of_an_error_are_printable(monkeypatch: pytest.MonkeyPatch, run) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ConfigError("what\x1b[2J", "why\u202e\nmore", "hint\r\x07")

    monkeypatch.setattr(cli, "main", refuse)
    status, out, err = run("targets", "list")
    assert (status, out) == (2, "")
    assert err == "error: what\\x1b[2J\n  why\\u202e\nmore\n  try: hint\\x0d\\x07\n"


def test_streams_are_as_before_afterwards(capsys: pytest.CaptureFixture[str]) -> None:
    before = (sys.stdout, sys.stderr)
    with pytest.raises(SystemExit):
        main(["targets", "list"])
    assert (sys.stdout, sys.stderr) == before
    assert "raspberry-pi-4" in capsys.readouterr().out


def test_a_spinner_moves_the_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with guarded_streams():
        lines = StageLines()
        lines("search", False, None)
        lines.close()
    assert "\\x1b" not in terminal.getvalue()


def test_examples() -> None:
    assert doctest.testmod(module).failed == 0


def test_what_a_native_library_says_to_nobody_is_dropped(tmp_path: Path) -> None:
    code = (
        "import os, pathlib\nfrom ofa_edge.export.tflite.native_log import without_lines\n"
        "with without_lines(b'x'):\n    os.write(2, b'x\\ny\\n')\npathlib.Path('done').touch()\n"
    )
    line = f'{sys.executable} -c "$1" 2>&1 >/dev/null | true; exit ${{PIPESTATUS[0]}}'
    subprocess.run(["bash", "-c", line, "-", code], cwd=tmp_path, timeout=60, check=True)
    assert (tmp_path / "done").exists()
