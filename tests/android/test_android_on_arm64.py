"""The two libraries out of the signed APK, on an emulated arm64 core, against the toolkit, image by image.

The shim's functions are called as the app's Java calls them; the runtime is Android's own build, bound to glibc by a
small loader (tests/android/native). It proves arithmetic and that these bytes run; no Android is involved.
"""

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from demo_app import PRECISIONS, ROOT, TARGET, model_inputs, sample_pixels
from toolchain import JNI_HEADERS

from ofa_edge.device.emulation.emulated import emulation_available, open_emulated
from ofa_edge.errors import DeviceError, ToolMissingError
from ofa_edge.export.tflite.convert import dequantise, quantise, run_tflite
from ofa_edge.verify.parity import compare

IMAGES = 200
FLOAT32, INT8 = 1, 9  # TfLiteType
ASKED = {"fp16": 40}  # fp16 is how weights are stored: the arithmetic is fp32's, which has its 200 images


@pytest.fixture(scope="session")
def core_a76(toolchain):
    reason = emulation_available("aarch64")
    if reason is not None:
        pytest.skip(reason)
    try:
        connection = open_emulated("cortex-a76")
    except (DeviceError, ToolMissingError) as error:
        pytest.skip(f"{error.what}: {error.why}")
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def run_model(core_a76, tmp_path_factory):
    """The loader, compiled for arm64."""
    out = tmp_path_factory.mktemp("native") / "run_model"
    sources = sorted(map(str, (ROOT / "tests/android/native").glob("*.c")))
    options = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{JNI_HEADERS}"]
    subprocess.run(["aarch64-linux-gnu-gcc", *options, *sources, "-o", str(out), "-lm"], check=True)
    return out


def run_shard(connection, run_model: Path, unpacked: Path, model: Path, inputs: bytes, folder: Path) -> tuple:
    """Facts that the loader printed, and the raw outputs."""
    folder.mkdir()
    (folder / "inputs").write_bytes(inputs)
    libraries = [unpacked / f"lib/arm64-v8a/{name}" for name in ("liblitert-lm.so", "libtflite_jni.so")]
    argv = [run_model, *libraries, model, folder / "inputs", folder / "outputs"]
    done = connection.run([str(item) for item in argv], timeout_s=300.0)
    facts = json.loads(done.stdout)
    return facts, (folder / "outputs").read_bytes() if facts["status"] == 0 else b""


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_apks_own_libraries_answer_as_the_toolkit_does(demo, unpacked, core_a76, run_model, tmp_path, precision):
    model = unpacked / f"assets/models/{TARGET}-{precision}/model.tflite"
    count = ASKED.get(precision, IMAGES)
    pixels = sample_pixels(unpacked / "assets", "fashion-mnist")[:count]
    inputs = model_inputs(model, pixels, demo.manifest(precision).subnet.resolution)
    expected = run_tflite(model, inputs)
    facts, _ = run_shard(core_a76, run_model, unpacked, model, b"", tmp_path / "facts")
    kind, _, zero, scale = facts["input"]
    assert kind == (INT8 if precision == "int8" else FLOAT32)
    dtype = np.int8 if kind == INT8 else np.float32
    stored = quantise(inputs.transpose(0, 2, 3, 1), dtype, np.float32(scale), zero)
    parts = np.array_split(stored, min(2, len(os.sched_getaffinity(0))))
    with ThreadPoolExecutor(len(parts)) as pool:
        shards = [
            pool.submit(run_shard, core_a76, run_model, unpacked, model, part.tobytes(), tmp_path / f"shard-{index}")
            for index, part in enumerate(parts)
        ]
        raw = b"".join(shard.result()[1] for shard in shards)
    kind, size, zero, scale = facts["output"]
    logits = dequantise(np.frombuffer(raw, dtype).reshape(count, -1), np.float32(scale), zero)
    assert len(raw) == size * count
    assert facts["undelegated"] == 0
    assert np.array_equal(logits.argmax(1), expected.argmax(1))
    if precision == "int8":  # another kernel may round one sum apart, which moves logits of that image by a step or two
        assert np.mean((logits != expected).any(axis=1)) < 0.1
        assert compare(expected, logits).snr_db > 40
    else:
        np.testing.assert_allclose(logits, expected, atol=2e-5)


def test_a_file_that_is_no_model_is_refused(core_a76, run_model, unpacked, tmp_path):
    (tmp_path / "wrong.tflite").write_bytes(b"TFL3" * 100)
    facts, _ = run_shard(core_a76, run_model, unpacked, tmp_path / "wrong.tflite", b"", tmp_path / "shard")
    assert facts["status"] == 2
