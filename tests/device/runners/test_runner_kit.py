"""The source kit compiles by its one command, and makes what is built here."""

import os
import platform
import shutil
import subprocess

import pytest

from ofa_edge.device.runners.build import CUDA_PLUGIN, RUNNER
from ofa_edge.device.runners.kit import write_kit
from ofa_edge.errors import OutputError


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_the_kit_compiles_by_itself(tmp_path):
    kit = write_kit(tmp_path / "kit", platform.machine())
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}  # nothing of this project can be found
    done = subprocess.run(
        ["make", "-C", str(kit)], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    made = {path.name for path in (kit / "runner").iterdir()}
    assert made == {RUNNER, CUDA_PLUGIN, "libtvm_runtime.so", "libtvm_ffi.so"}
    said = subprocess.run([kit / "runner" / RUNNER], capture_output=True, text=True, timeout=30, check=False)
    assert (said.returncode, said.stderr.split(":")[0]) == (2, RUNNER)  # it starts, and wants arguments


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("x")
    with pytest.raises(OutputError, match="not empty"):
        write_kit(tmp_path, platform.machine())
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
