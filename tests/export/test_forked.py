import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from ofa_edge.export import forked
from ofa_edge.export.process import own_environment, run_module

HEAVY = """
from pathlib import Path
with Path(__file__).with_suffix(".starts").open("a") as file:
    file.write("started\\n")
seen = []
"""
WORKER = """
import heavy, os, psutil, signal, sys, time
from pathlib import Path

def main(arguments):
    what, *rest = arguments
    heavy.seen.append(what)
    print(heavy.seen, Path.cwd(), os.environ["ASKED"], repr(sys.stdin.read()) if what == "read" else "")
    print("and so on", file=sys.stderr)
    if what == "raise":
        raise ValueError("no good")
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "take along" and not Path(rest[0]).exists():
        Path(rest[0]).touch()
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)
    if what == "interrupt":
        Path(rest[0]).write_text(str(os.getpid()))
        os.kill(int(rest[1]), signal.SIGINT)
        time.sleep(600)
    if what == "kill":
        Path(rest[0]).write_text(str(os.getpid()))
        os.kill(psutil.Process(os.getppid()).ppid(), signal.SIGKILL)
        time.sleep(600)
    return 3 if what == "fail" else 0

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "heavy.py").write_text(HEAVY)
    (tmp_path / "light_worker.py").write_text(WORKER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    yield tmp_path
    forked.end_all()


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return forked.run_forked("heavy", "light_worker", [*map(str, arguments)], {"ASKED": "yes"})


def starts(place: Path) -> int:
    return len((place / "heavy.starts").read_text().splitlines())


def test_workers_share_a_start_and_nothing_else(place):
    assert [run(what).stdout.partition("]")[0] for what in ("one", "two")] == ["['one'", "['two'"]
    assert starts(place) == 1


@pytest.mark.parametrize(("what", "code"), [("go", 0), ("fail", 3), ("raise", 1), ("die", -9)])
def test_a_worker_ends_as_a_process_of_its_own_does(place, monkeypatch, what, code):
    monkeypatch.chdir(place)
    found = run(what)
    wanted = run_module("light_worker", [what], {"ASKED": "yes"})
    assert found.returncode == wanted.returncode == code
    assert found.stdout == wanted.stdout
    assert found.stderr.splitlines()[-1:] == wanted.stderr.splitlines()[-1:]
    assert run("go").returncode == 0


def test_variables_and_folder_are_those_of_the_call(place, monkeypatch):
    for name in ("first", "second"):
        (place / name).mkdir()
        monkeypatch.chdir(place / name)
        said = forked.run_forked("heavy", "light_worker", ["read"], {"ASKED": name}).stdout
        assert said == f"['read'] {place / name} {name} ''\n"
    assert starts(place) == 1


def test_it_is_started_again_after_it_died(place):
    run("one")
    forked.end_all()
    assert run("two").stdout.startswith("['two']")
    assert starts(place) == 2


def test_where_the_forking_process_dies_the_worker_runs_by_itself(place):
    done = run("take along", place / "taken")
    assert (done.returncode, done.stdout[:14]) == (0, "['take along']")
    assert starts(place) == 2


def test_interrupted_it_leaves_no_worker(place):
    with pytest.raises(KeyboardInterrupt):
        run("interrupt", place / "pid", os.getpid())
    worker = int((place / "pid").read_text())
    if psutil.pid_exists(worker):
        left = psutil.Process(worker)
        assert left.status() == psutil.STATUS_ZOMBIE or not psutil.wait_procs([left], timeout=30)[1]
    assert run("go").returncode == 0


def test_killed_it_leaves_no_worker(place):
    """Not even one that is at work: it would write into what the next process makes."""
    asks = (
        "from ofa_edge.export import forked; import sys; forked.run_forked('heavy', 'light_worker', sys.argv[1:], {})"
    )
    variables = {**own_environment(), "ASKED": "yes"}
    done = subprocess.run([sys.executable, "-c", asks, "kill", place / "pid"], env=variables, check=False)
    assert done.returncode == -signal.SIGKILL
    worker = int((place / "pid").read_text())
    if psutil.pid_exists(worker):
        left = psutil.Process(worker)
        assert left.status() == psutil.STATUS_ZOMBIE or not psutil.wait_procs([left], timeout=30)[1]


def test_two_at_once_do_not_wait_for_each_other(place):
    run("one")
    with forked._busy:
        assert run("two").stdout.startswith("['two']")
    assert starts(place) == 2


def test_with_nothing_to_do_it_ends(place):
    command = "from ofa_edge.export import forked; forked._IDLE_S = 0.0; raise SystemExit(forked.main('heavy'))"
    process = subprocess.Popen([sys.executable, "-c", command], stdin=subprocess.PIPE, env=own_environment())
    assert process.wait() == 0
    process.communicate()
    assert starts(place) == 1
