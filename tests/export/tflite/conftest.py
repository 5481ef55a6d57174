import pytest


@pytest.fixture(scope="session")
def twin(tflite_paths) -> bytes:
    """The fp32 file of the same graph as the int8 one."""
    return tflite_paths["int8"].with_name("twin.tflite").read_bytes()


@pytest.fixture(scope="session")
def before(tflite_paths) -> bytes:
    """The int8 file with the converter's own numbers."""
    return tflite_paths["unfitted"].read_bytes()
