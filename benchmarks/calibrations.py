"""Sound and wrong calibrations of the embedded supernet, and what the statistics gate says of each.

    python benchmarks/calibrations.py [--subnet smallest] [--test 400]

Prints a Markdown table: top-1 on test images, beside those of the same weights under two other calibrations; how many
times as far its answers are from theirs as theirs are from each other; and the verdict (docs/verification.md).
"""

import argparse
import dataclasses
import tempfile
from pathlib import Path

import numpy as np

from ofa_edge.cache import StageCache
from ofa_edge.data.dataset import Images
from ofa_edge.metrics import top1
from ofa_edge.verify.statistics import statistics_verdict
from ofa_edge.workflows.build import stages
from ofa_edge.workflows.build.base import BuildOptions
from ofa_edge.workflows.build.images import BuildData
from ofa_edge.workflows.build.plan import make_plan
from ofa_edge.workflows.build.stages import StageRunner
from ofa_edge.workflows.build.statistics import Judged, check_statistics


def cases(data: BuildData) -> dict[str, Images]:
    """Calibration images by name: sound ones first."""
    own, other = data.calibration, data.validation

    def changed(pixels: np.ndarray) -> Images:
        return Images(np.ascontiguousarray(pixels, dtype=np.uint8), own.labels)

    random = np.random.default_rng(0)
    return {
        "the package's own 500": own,
        **{f"{count} other images": other.sample(count, 5) for count in (20, 50, 100)},
        "one class": other.take(np.flatnonzero(other.labels == 3)).sample(500),
        "two classes of ten": other.take(np.flatnonzero(other.labels < 2)).sample(500),
        "five classes of ten": other.take(np.flatnonzero(other.labels < 5)).sample(500),
        "black": changed(0 * own.pixels),
        "stored as 0 and 1": changed(own.pixels // 128),
        "half as bright": changed(own.pixels // 2),
        "inverted": changed(255 - own.pixels),
        "turned by 90 degrees": changed(np.rot90(own.pixels, 1, (1, 2))),
        "blurred to 7 px": own.resized(7).resized(own.pixels.shape[1]),
        "noise": changed(random.integers(0, 256, own.pixels.shape)),
    }


def main() -> None:
    """Judge and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subnet", choices=["largest", "smallest"], default="smallest")
    parser.add_argument("--test", type=int, default=400, help="test images")
    options = parser.parse_args()
    plan = make_plan(BuildOptions(target="raspberry-pi-4", device="none"), claim=False)
    package, space = plan.package, plan.package.space
    subnet = (space.largest if options.subnet == "largest" else space.smallest)(space.resolutions[-1])
    data = dataclasses.replace(plan.data, test=plan.data.test.sample(options.test))
    print("| calibration images | top-1 | under two others | times as far | verdict |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        runner = StageRunner(StageCache(Path(folder)))
        for name, images in cases(data).items():
            judged = Judged(package, subnet, dataclasses.replace(data, calibration=images), plan.search.predictor)
            static = stages.extract(runner, package, subnet, images)
            answers = stages.run_torch(runner, package, static, data.test, folded=False)
            record = check_statistics(runner, judged, static, answers)
            right = top1(answers, data.test.labels)
            verdict = statistics_verdict(record, right, len(answers))
            times = 10 ** ((record.others_snr_db - record.snr_db) / 20)
            others = ", ".join(f"{100 * value:.1f}" for value in record.top1)
            print(
                f"| {name} | {100 * right:.1f} | {others} | {times:.1f} | {verdict.outcome}: {verdict.code} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
