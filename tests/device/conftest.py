import numpy as np
import pytest
from tiny_tflite import SHAPE, tiny_tflite

from ofa_edge.device.emulation.emulated import emulation_available, open_emulated
from ofa_edge.device.emulation.emulated_system.connections import open_emulated_adb, open_emulated_ssh
from ofa_edge.errors import DeviceError, ToolMissingError, UnsupportedError


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory):
    """The tiny network as files, by precision."""
    folder = tmp_path_factory.mktemp("artifacts")
    paths = {"fp32": folder / "fp32.tflite", "int8": folder / "int8.tflite"}
    for precision, path in paths.items():
        path.write_bytes(tiny_tflite(precision == "int8"))
    return paths


@pytest.fixture(scope="session")
def images():
    return np.random.default_rng(3).normal(size=(24, *SHAPE)).astype(np.float32)


@pytest.fixture(scope="session")
def emulated():
    """The emulated device, set up (downloaded) on first use; the tests that need it say why they cannot have it."""
    reason = emulation_available("aarch64")
    if reason is not None:
        pytest.skip(reason)
    try:
        connection = open_emulated("cortex-a72")
    except (DeviceError, ToolMissingError) as error:
        pytest.skip(f"{error.what}: {error.why}")
    yield connection
    connection.close()


def _open_system(start, cpu):
    """An emulated device with a transport of its own, or a skipped test that says why there is none."""
    reason = emulation_available("aarch64")
    if reason is not None:
        pytest.skip(reason)
    try:
        return start(cpu)
    except (DeviceError, ToolMissingError, UnsupportedError) as error:
        pytest.skip(f"{error.what}: {error.why}")


@pytest.fixture(scope="session")
def emulated_pi():
    """An emulated Raspberry Pi 4 behind its own sshd."""
    connection = _open_system(open_emulated_ssh, "cortex-a72")
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def emulated_phone():
    """An emulated device with Android's shell and tools behind adb."""
    connection = _open_system(open_emulated_adb, "cortex-a76")
    yield connection
    connection.close()
