"""ONNX to ncnn by pnnx, and the one file that a build keeps of it.

ncnn reads two files, the layers and their weights. A build has one artifact, so they travel in an uncompressed zip,
with what the runner has to know: whether activations are stored in half precision.
"""

import json
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

from ofa_edge.errors import ConversionError

LAYERS, WEIGHTS, SETTINGS = "net.ncnn.param", "net.ncnn.bin", "settings.json"
_TIMEOUT_S = 600.0
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same network gives the same bytes


def convert(onnx: Path, shape: tuple[int, ...], out: Path, *, half: bool) -> None:
    """Write the artifact.

    Args:
        onnx: the network.
        shape: of its input, [1, C, H, W].
        out: the artifact.
        half: store weights in fp16.

    Raises:
        ConversionError: pnnx failed, or left an operator that ncnn does not have.
    """
    import pnnx

    with tempfile.TemporaryDirectory(prefix="ofa-ncnn-") as name:
        folder = Path(name)
        shutil.copyfile(onnx, folder / "net.onnx")
        size = ",".join(map(str, shape))
        argv = [pnnx.EXEC_PATH, "net.onnx", f"inputshape=[{size}]", f"fp16={int(half)}"]
        try:
            done = subprocess.run(
                argv, cwd=folder, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConversionError("pnnx did not convert the network", str(error), "pip install --force pnnx") from error
        files = [folder / each for each in (LAYERS, WEIGHTS)]
        if done.returncode or not all(file.is_file() for file in files):
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise ConversionError(
                "pnnx did not convert the network", said[-1] if said else f"exit {done.returncode}", "another runtime"
            )
        _require_known(folder / LAYERS)
        with zipfile.ZipFile(out, "w") as archive:
            for file in files:
                archive.writestr(zipfile.ZipInfo(file.name, _EPOCH), file.read_bytes())
            archive.writestr(zipfile.ZipInfo(SETTINGS, _EPOCH), json.dumps({"half": half}))


def operators(artifact: Path) -> list[str]:
    """The type of each layer, in order, without inputs and copies."""
    with zipfile.ZipFile(artifact) as archive:
        lines = archive.read(LAYERS).decode().splitlines()
    return [kind for kind in map(_kind, lines[2:]) if kind not in ("", "Input", "Split")]


def _kind(line: str) -> str:
    return line.split(maxsplit=1)[0] if line.strip() else ""


def _require_known(layers: Path) -> None:
    """Pnnx writes what it cannot translate under the names of its own operators, which hold a dot or a colon."""
    for line in layers.read_text().splitlines()[2:]:
        kind = _kind(line)
        if "." in kind or ":" in kind:
            raise ConversionError(
                f"ncnn has no operator {kind}", f"layer {line.split()[1]}", "another runtime, or --runtime fastest"
            )
