"""Two commands that would write one place: the second is told before any work."""

import pytest

from ofa_edge.output import reserved

COMMANDS = {
    "codesign": (("codesign", "--latency-ms", "1", "--out"), "co", "co"),
    "calibrate": (("calibrate", "--target", "ethos-u55-128", "--name", "mine", "--out"), "targets", "targets/mine"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_second_is_told(run, tmp_path, command):
    pytest.importorskip("ethosu.vela", reason="the extra ethos-u is not installed")
    arguments, out, place = COMMANDS[command]
    with reserved(tmp_path / place):
        code, _, said = run(*arguments, tmp_path / out)
    assert code == 2
    assert said.splitlines()[-3].startswith("error: in use: ")
    assert not (tmp_path / out).exists()
