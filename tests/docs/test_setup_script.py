"""`scripts/setup.sh`: what it installs where, and that it leaves no service behind."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETUP = ROOT / "scripts" / "setup.sh"


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def called(tmp_path):
    """Runs the script on a made-up Debian that has no package yet: every call of a program that would change it."""
    tools, venv, log, policy = (tmp_path / name for name in ("tools", "venv", "log", "policy-rc.d"))
    (venv / "bin").mkdir(parents=True)
    tools.mkdir()
    program(tools, "id", "echo 0")
    program(tools, "dpkg-query", "exit 1")
    program(tools, "apt-get", f'echo "apt-get $*; $(tail -1 {policy})" >> {log}')
    program(tools, "systemctl", f'echo "systemctl $*" >> {log}')
    program(venv / "bin", "python", "exit 0")
    stamp = b"".join((ROOT / name).read_bytes() for name in ("constraints.txt", "pyproject.toml", "scripts/setup.sh"))
    (venv / ".ofa-edge-setup").write_text(hashlib.sha256(stamp).hexdigest())
    own = {"PATH": f"{tools}:{os.environ['PATH']}", "VENV": str(venv), "OFA_EDGE_POLICY_RC_D": str(policy)}

    def run(*words: str) -> str:
        subprocess.run(["bash", str(SETUP), *words], check=True, env={**os.environ, **own}, capture_output=True)
        assert not policy.exists()
        return log.read_text()

    return run


def test_the_demo_installs_no_server(called):
    done = called()
    assert "qemu-user-static" in done
    assert "openssh" not in done
    assert "adb" not in done
    assert "systemctl" not in done


def test_no_service_is_started_for_the_tests_now_or_later(called):
    done = called("tests").splitlines()
    installs = [line for line in done if line.startswith("apt-get install")]
    assert len(installs) == 1
    assert "openssh-server" in installs[0]
    assert installs[0].endswith("exit 101")
    assert done[-1] == "systemctl disable --quiet ssh.service ssh.socket"
