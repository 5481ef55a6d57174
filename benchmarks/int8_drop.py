"""What int8 costs in accuracy: random subnets of the default supernet, fp32 and int8 on the same test images.

    python benchmarks/int8_drop.py [--subnets 10] [--seed 0] [--supernet fashion-mnist]

Prints a Markdown table as the rows come. Each subnet is extracted, its batch norms calibrated, exported and converted
as `ofa-edge build --precision int8` does it; the fp32 column is ONNX Runtime's answers of the same network. Accuracies
do not depend on the machine, but for the last digits of float arithmetic.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ofa_edge.metrics import PairedDrop, argmax, paired_drop
from ofa_edge.space import Subnet
from ofa_edge.supernet.zoo import SupernetPackage, open_supernet
from ofa_edge.verify.parity import compare

GOAL = 0.5  # points, on average
CALIBRATION_IMAGES = 500


def logits_of(
    package: SupernetPackage, subnet: Subnet, folder: Path
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(fp32, int8) answers on the package's test images."""
    from ofa_edge.export.onnx.export import export_onnx
    from ofa_edge.export.onnx.fold import fold_batch_norm
    from ofa_edge.export.onnx.run import run_onnx
    from ofa_edge.export.tflite.convert import convert, run_tflite
    from ofa_edge.supernet.evaluate import extract_calibrated

    preprocessing = package.preprocessing(subnet.resolution)
    calibration = package.images("calibration").sample(CALIBRATION_IMAGES)
    net = extract_calibrated(package.load(), subnet, calibration, preprocessing)
    size = subnet.resolution
    onnx, tflite = folder / "model.onnx", folder / "model.tflite"
    export_onnx(fold_batch_norm(net), (1, package.space.in_channels, size, size), onnx)
    convert(onnx, tflite, "int8", preprocessing.apply(calibration.pixels), preprocessing=preprocessing)
    test = preprocessing.apply(package.images("test").pixels)
    return run_onnx(onnx, test), run_tflite(tflite, test)


def row(subnet: Subnet, drop: PairedDrop, first: float, snr_db: float) -> str:
    """One line of the table."""
    depths = ",".join(map(str, subnet.depths))
    return (
        f"| {subnet.id} | {depths} | {subnet.resolution} | {100 * first:.2f} | {100 * (first - drop.drop):.2f} "
        f"| {100 * drop.drop:+.2f} | {100 * drop.low95:+.2f} to {100 * drop.high95:+.2f} | {drop.lost} / {drop.won} "
        f"| {snr_db:.1f} |"
    )


def main() -> None:
    """Convert, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subnets", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--supernet", default="fashion-mnist")
    arguments = parser.parse_args()
    package = open_supernet(arguments.supernet)
    labels = package.images("test").labels
    print(f"{package.name}, {arguments.subnets} random subnets (seed {arguments.seed}), {len(labels)} test images\n")
    print("| subnet | d | r | fp32 top-1 | int8 top-1 | drop | 95 % | lost / won | SNR dB |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    genomes = package.space.sample(np.random.default_rng(arguments.seed), arguments.subnets)
    drops = []
    for subnet in map(package.space.subnet, genomes):
        with tempfile.TemporaryDirectory() as folder:
            exact, quantised = logits_of(package, subnet, Path(folder))
        right = argmax(exact) == labels
        drop = paired_drop(right, argmax(quantised) == labels)
        drops.append(100 * drop.drop)
        print(row(subnet, drop, float(right.mean()), compare(exact, quantised).snr_db), flush=True)
    mean = statistics.fmean(drops)
    error = statistics.stdev(drops) / len(drops) ** 0.5 if len(drops) > 1 else float("nan")
    verdict = "met" if mean <= GOAL else "missed"
    print(f"\nmean drop {mean:+.2f} points (standard error over subnets {error:.2f}); goal {GOAL} or less: {verdict}")


if __name__ == "__main__":
    main()
