"""`make records`: every page of figures has its row, and a change of what it measures is counted."""

import runpy
import subprocess
import sys

from places import ROOT


def test_every_page_of_figures_has_a_row_and_every_path_is_there() -> None:
    records = runpy.run_path(str(ROOT / "benchmarks" / "records.py"))["RECORDS"]
    pages = {f"docs/benchmarks/{path.name}" for path in (ROOT / "docs" / "benchmarks").glob("*.md")}
    assert pages <= {record.page for record in records}
    paths = {path for record in records for path in (record.page, *record.results, *record.measures)}
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_no_record_is_ignored_by_git() -> None:
    """A page printed from a file that git ignores is right in the checkout where it was made, and in no clone."""
    command = ["git", "-C", str(ROOT), "ls-files", "--others", "--ignored", "--exclude-standard"]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    read = ("benchmarks", "docs", "examples", "ofa_edge", "targets", "tests")
    records = [path for path in found if path.split("/")[0] in read and path.endswith((".json", ".md"))]
    assert [path for path in records if not path.startswith("examples/out/")] == []


def test_commits_that_changed_what_is_measured_since_the_record_are_counted(tmp_path, monkeypatch, capsys) -> None:
    def commit(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        author = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        subprocess.run(["git", "-C", tmp_path, "add", "."], check=True)
        subprocess.run(["git", "-C", tmp_path, *author, "commit", "-qm", f"{name} {text}"], check=True)

    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    commit("ofa_edge/search/a.py", "before")
    commit("benchmarks/correction_results.json", "{}")
    commit("ofa_edge/search/a.py", "after")
    commit("ofa_edge/other.py", "something else")
    commit("benchmarks/records.py", (ROOT / "benchmarks" / "records.py").read_text())
    command = str(tmp_path / "benchmarks" / "records.py")
    monkeypatch.setattr(sys, "argv", [command, "--since"])
    runpy.run_path(command, run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    row = next(number for number, line in enumerate(lines) if line.endswith("correction.md"))
    assert lines[row].split()[1] == "1"
    assert lines[row + 1].endswith("ofa_edge/search/a.py after")
    assert any(line.startswith("never") for line in lines)


def test_a_clone_without_history_is_told_so(tmp_path) -> None:
    whole, shallow = tmp_path / "whole", tmp_path / "shallow"
    subprocess.run(["git", "init", "-q", whole], check=True)
    (whole / "benchmarks").mkdir()
    (whole / "benchmarks" / "records.py").write_text((ROOT / "benchmarks" / "records.py").read_text())
    subprocess.run(["git", "-C", whole, "add", "."], check=True)
    for message in ("one", "two"):
        author = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        subprocess.run(["git", "-C", whole, *author, "commit", "-q", "--allow-empty", "-m", message], check=True)
    subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{whole}", shallow], check=True)
    command = [sys.executable, shallow / "benchmarks" / "records.py"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "no history" in done.stderr
