"""`ofa-edge targets new` and `validate`."""

import io
import json
import shutil
from pathlib import Path

from cli_errors import check_error

from ofa_edge.targets import builtin_folder

ZERO = ("--cpu", "cortex-a53", "--cores", 4, "--clock-ghz", 1, "--memory-gbps", 2)


def test_a_new_board(run):
    code, out, _ = run("targets", "new", "zero", "--like", "raspberry-pi-5", *ZERO)
    assert code == 0
    assert "not known" not in out
    assert out.splitlines()[-1] == "next: ofa-edge explain --target targets/zero.toml"
    assert run("targets", "validate", "targets/zero.toml")[0] == 0
    assert "is there already" in check_error(run("targets", "new", "zero", "--like", "raspberry-pi-5"))


def test_what_is_not_known_is_told(run):
    code, out, _ = run("targets", "new", "zero", "--like", "raspberry-pi-5", "--cpu", "cortex-a53", "--json")
    assert code == 0
    assert json.loads(out)["unknown"] == ["cores", "peak_gmacs", "memory_gbps"]


def test_a_peak_that_its_models_beat_is_refused(run):
    shutil.copy(builtin_folder() / "raspberry-pi-4.latency.json", ".")
    text = (builtin_folder() / "raspberry-pi-4.toml").read_text()
    path = Path("mine.toml")
    path.write_text(text.replace("peak_gmacs_fp32 = 28.8", "peak_gmacs_fp32 = 2.0"))
    err = check_error(run("targets", "validate", path))
    assert "faster than the hardware" in err
    assert "peak is 2" in err


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


def test_who_sits_at_a_terminal_is_asked_for_what_was_not_given(run, monkeypatch):
    monkeypatch.setattr("sys.stdin", Terminal("4\n1.0\n\n"))
    code, out, err = run("targets", "new", "zero", "--like", "raspberry-pi-5", "--cpu", "cortex-a53")
    assert code == 0
    asked = [part.removesuffix(" (empty") for part in err.split(": ") if part.endswith(" (empty")]
    assert asked == ["cores", "clock ghz", "memory gbps"]  # the core is given, and the peak follows
    assert "predictions are wide: memory_gbps" in out


def test_a_program_is_asked_nothing(run, monkeypatch):
    monkeypatch.setattr("sys.stdin", Terminal(""))
    code, out, _ = run("targets", "new", "zero", "--like", "raspberry-pi-5", "--json")
    assert code == 0
    assert len(json.loads(out)["unknown"]) == 4


def test_an_accelerator_is_copied(run, monkeypatch):
    monkeypatch.setattr("sys.stdin", Terminal(""))  # nothing of a CPU is asked
    code, out, _ = run("targets", "new", "mine", "--like", "ethos-u55-128")
    assert code == 0
    assert "a copy of ethos-u55-128" in out
    assert out.splitlines()[-1] == "next: ofa-edge targets validate targets/mine.toml"
    assert run("targets", "validate", "targets/mine.toml")[0] == 0
    assert "--clock-ghz of an accelerator" in check_error(
        run("targets", "new", "other", "--like", "zu3eg", "--clock-ghz", 1)
    )
    assert not Path("targets/other.toml").exists()
