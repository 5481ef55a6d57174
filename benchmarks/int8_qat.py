"""int8 of networks that were trained for it (`finetune --qat int8`), beside as much fine-tuning in fp32.

    python benchmarks/int8_qat.py [--subnets 3] [--epochs 0.25]

The first subnets of `int8.py`, each fine-tuned twice from the supernet's weights at the same rate, on Fashion-MNIST:
once in its int8 form, once in fp32 and then converted as builds do it. `int8.py table` prints what is found. It goes on
where it was interrupted. A quarter of an epoch is what two cores do in minutes; `--qat` alone trains for five.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from int8 import QAT, exported, subnets
from numpy.typing import NDArray

from ofa_edge.export.onnx.export import export_onnx
from ofa_edge.export.onnx.run import run_onnx
from ofa_edge.export.tflite.convert import convert
from ofa_edge.export.tflite.running import answers_of
from ofa_edge.files import write_json
from ofa_edge.metrics import argmax, paired_drop
from ofa_edge.space import Subnet
from ofa_edge.supernet.evaluate import logits
from ofa_edge.supernet.fold import fold_batch_norm
from ofa_edge.supernet.weights import load_static
from ofa_edge.supernet.zoo import NETWORK, SupernetPackage, open_supernet
from ofa_edge.training.package_data import training_data
from ofa_edge.verify.parity import compare
from ofa_edge.workflows.finetune import QAT_DEFAULTS, finetune, finetune_recipe
from ofa_edge.workflows.int8_form import settled_form


def tuned(package: SupernetPackage, subnet: Subnet, epochs: float, qat: str | None, folder: Path) -> SupernetPackage:
    """Fine-tune; the package that it becomes. Judged on the package's own test images alone."""
    data = replace(training_data(package, None, None), test=package.images("test"))
    recipe = finetune_recipe(data, qat=qat, epochs=epochs, lr=QAT_DEFAULTS["lr"])
    finetune(package, subnet, data, recipe, folder, allow_drop=True)
    return open_supernet(str(folder))


def judged(tuned: SupernetPackage, inputs: dict[str, NDArray[np.float32]], folder: Path) -> tuple[Any, Any, Any]:
    """The network, its answers in fp32, and those of its int8 artifact."""
    net = load_static(folder / "run" / NETWORK)
    onnx, path = folder / "tuned.onnx", folder / "int8.tflite"
    export_onnx(fold_batch_norm(net), inputs["test"][:1].shape, onnx)
    convert(onnx, path, "int8", None if tuned.ranges else inputs["calibration"], ranges=tuned.ranges)
    return net, run_onnx(onnx, inputs["test"]), answers_of(path.read_bytes(), inputs["test"])


def measured(package: SupernetPackage, subnet: Subnet, epochs: float) -> dict[str, Any]:
    """One row."""
    images = package.images("test")
    row: dict[str, Any] = {"subnet": subnet.id, "epochs": epochs}
    with tempfile.TemporaryDirectory() as name:
        before, inputs = exported(package, subnet, Path(name))
        start = argmax(run_onnx(before, inputs["test"])) == images.labels
        row["before"] = float(start.mean())
        for kind, qat in (("qat", "int8"), ("fp32", None)):
            folder = Path(name) / kind
            folder.mkdir()
            found = tuned(package, subnet, epochs, qat, folder / "run")
            net, exact, answers = judged(found, inputs, folder)
            drop = paired_drop(start, argmax(answers) == images.labels)
            row[kind] = {
                "top1_fp32": float((argmax(exact) == images.labels).mean()),
                "snr_db": compare(exact, answers).snr_db,
                "drop": drop.drop,
                "low95": drop.low95,
                "high95": drop.high95,
            }
            if found.ranges:
                form = logits(settled_form(net, found.ranges), images, package.preprocessing(subnet.resolution))
                steps = np.abs(np.rint((answers - form) / found.ranges.values["logits"].scale))
                row["form_db"], row["one_step"] = compare(form, answers).snr_db, float((steps <= 1).mean())
    return row


def main() -> None:
    """Measure what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subnets", type=int, default=3)
    parser.add_argument("--epochs", type=float, default=0.25)
    given = parser.parse_args()
    package = open_supernet("fashion-mnist")
    rows = json.loads(QAT.read_text()) if QAT.exists() else []
    for subnet in subnets(package)[: given.subnets]:
        if any((row["subnet"], row["epochs"]) == (subnet.id, given.epochs) for row in rows):
            continue
        rows.append(measured(package, subnet, given.epochs))
        write_json(QAT, rows)
        print(rows[-1], file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
