"""What a shell is offered after the first letters of a name."""

import os
import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete

from ofa_edge.cli import cli


def offered(*words: str) -> list[str]:
    complete = ShellComplete(cli, {}, "ofa-edge", "_OFA_EDGE_COMPLETE")
    return [item.value for item in complete.get_completions(list(words[:-1]), words[-1])]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("build", "--target", "rasp"), ["raspberry-pi-4", "raspberry-pi-5"]),
        (("targets", "show", "jetson-o"), ["jetson-orin-nano"]),
        (("build", "--device", "emulated-"), ["emulated-adb", "emulated-ssh"]),
        (("verify", "out", "--device", "lo"), ["local"]),
        (("devices", "probe", "my"), ["my-pi"]),
        (("search", "--supernet", "fash"), ["fashion-mnist"]),
        (("train", "--from", "ofa_prox"), ["ofa_proxyless_d234_e346_k357_w1.3"]),
        (("train", "--preset", "smo"), ["smoke"]),
        (("predict", "--runtime", "tvm"), ["tvm", "tvm-cuda"]),
        (("build", "--supernet", "runs/n"), ["runs/net"]),
    ],
)
def test_names_are_completed(run, tmp_path, words, found):
    (tmp_path / "devices.toml").write_text('schema = 1\n[devices.my-pi]\nkind = "ssh"\nhost = "pi.local"\n')
    (tmp_path / "here" / "runs" / "net").mkdir(parents=True)
    (tmp_path / "here" / "runs" / "net" / "supernet.safetensors").touch()
    assert offered(*words) == found


def test_a_damaged_devices_file_does_not_disturb_the_shell(run, tmp_path):
    (tmp_path / "devices.toml").write_text("[devices")
    assert offered("build", "--device", "lo") == []


def test_the_shell_is_told_where_a_file_will_do(run):
    command = [sys.executable, "-m", "ofa_edge"]
    words = {"COMP_WORDS": "ofa-edge build --target ./mi", "COMP_CWORD": "3", "_OFA_EDGE_COMPLETE": "bash_complete"}
    done = subprocess.run(command, env={**os.environ, **words}, capture_output=True, text=True, check=True)
    assert done.stdout == "file,./mi\n"
