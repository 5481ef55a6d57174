"""A folder of one's own images, class by class, from training to int8: CIFAR-10 (JPEG) in six settings.

    python benchmarks/own_data.py run --images CIFAR [--setting full] [--folder runs/own_data]
    python benchmarks/own_data.py table > docs/benchmarks/own_data.md

CIFAR holds train/CLASS/*.jpg and test/CLASS/*.jpg. `run` makes a folder of each setting (all images, 200, 50 or 20 a
class, 30:1 imbalance with and without balanced sampling), trains a small supernet on it as `ofa-edge train` does, in
1,000 steps or 400, and measures on the test images what users get: largest, smallest and five random subnets under
the packaged calibration and under five others of the same size from unseen images, top-1 and balanced accuracy, the
predictor, and int8 beside fp32. One thread; killed, it goes on. Results lie in own_data_results.json; `table` prints
the page.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ofa_edge.data.dataset import Images
from ofa_edge.data.picture import read_picture
from ofa_edge.files import write_json
from ofa_edge.metrics import argmax, paired_drop
from ofa_edge.space import Subnet
from ofa_edge.supernet import zoo
from ofa_edge.supernet.bn_recalibration import recalibrate_bn
from ofa_edge.supernet.evaluate import batches, logits
from ofa_edge.supernet.network import Supernet
from ofa_edge.training.data import load_data, resolve
from ofa_edge.training.plan import steps_per_epoch
from ofa_edge.training.recipe import Recipe
from ofa_edge.training.recipe_files import load_recipe
from ofa_edge.workflows.train import train

RESULTS = Path(__file__).with_name("own_data_results.json")
RECIPE = Path(__file__).with_name("own_data.toml")
GOAL = 0.5  # points between the packaged calibration and the mean of the others
STEPS = {"largest": 700, "sandwich": 300}
SHORT = {"largest": 280, "sandwich": 120}  # of all settings but the first two
OTHERS, RANDOM, TEST_IMAGES, INT8_IMAGES = 5, 5, 2000, 2000
RARE, COMMON = 50, 1500  # images of the rarest and of the most common class of an uneven set
SETTINGS: dict[str, int | None] = {"full": None, "200": 200, "50": 50, "20": 20, "uneven": None, "uneven-sampler": None}


def counts_of(setting: str, available: list[int]) -> list[int]:
    """Training images of each class."""
    if setting.startswith("uneven"):
        return np.geomspace(COMMON, RARE, len(available)).round().astype(int).tolist()
    wanted = SETTINGS[setting]
    return [count if wanted is None else wanted for count in available]


def make_folder(images: Path, folder: Path, setting: str) -> Path:
    """train/CLASS/ with so many files of each class, and the test part, as links to the files."""
    names = sorted(path.name for path in (images / "train").iterdir())
    files = {name: sorted((images / "train" / name).iterdir()) for name in names}
    counts = counts_of(setting, [len(files[name]) for name in names])
    for name, count in zip(names, counts, strict=True):
        chosen = np.random.default_rng(0).permutation(len(files[name]))[:count]
        (folder / "train" / name).mkdir(parents=True, exist_ok=True)
        for index in chosen:
            target = folder / "train" / name / files[name][index].name
            if not target.exists():
                target.symlink_to(files[name][index].resolve())
    if not (folder / "test").exists():
        (folder / "test").symlink_to((images / "test").resolve())
    return folder


def steps_of(setting: str) -> dict[str, int]:
    """Steps of each phase."""
    return STEPS if setting in ("full", "200") else SHORT


def recipe_of(setting: str, images: int) -> Recipe:
    """The recipe with so many steps, whatever the size of the set; a tenth is held out."""
    held_out = max(1, min(2000, images // 10))
    values = load_recipe(str(RECIPE), None, {"data": {"held_out": held_out}}).model_dump()
    values["name"] = f"own-data-{setting}"
    if setting.endswith("sampler"):
        values["data"]["balance"] = "sampler"
    per_epoch = steps_per_epoch(images - held_out, values["batch"], 1)
    for phase in values["phases"]:
        phase["epochs"] = steps_of(setting)[phase["name"]] / per_epoch
    return Recipe.model_validate(values)


def run(setting: str, images: Path, folder: Path) -> dict[str, Any]:
    """Train and measure one setting."""
    place = make_folder(images, folder / f"{setting}-images", setting)
    count = sum(1 for _ in (place / "train").rglob("*.jpg"))
    recipe = recipe_of(setting, count)
    data = load_data(recipe, place)
    recipe = resolve(recipe, data).recipe
    started = time.monotonic()
    figures = train(recipe, data, folder / setting)
    seconds = time.monotonic() - started
    package = zoo.open_supernet(str(folder / setting))
    test = data.test.sample(TEST_IMAGES)
    packaged = package.images("calibration")
    others = unused_images(images, place, packaged, recipe)
    if not others:  # all images are used: other ones of the training part
        train_images, _ = data.split(recipe.data.held_out_images, recipe.data.split_seed)
        others = [train_images.sample(len(packaged), 100 + seed) for seed in range(OTHERS)]
    rows = measure(package, test, others)
    return {
        "training_images": np.bincount(data.train.labels).tolist(),
        "test_images": len(test),
        "steps": sum(steps_of(setting).values()),
        "seconds": round(seconds),
        "predictor": figures["predictor"],
        "subnets": rows,
        "int8": [int8(package, which, test.sample(INT8_IMAGES)) for which in ("largest", "smallest")],
    }


def unused_images(images: Path, place: Path, packaged: Images, recipe: Recipe) -> list[Images]:
    """Calibration sets as large as the packaged one, class by class, of images that the setting never saw."""
    pixels: list[list[Any]] = [[] for _ in range(OTHERS)]
    for label, name in enumerate(sorted(path.name for path in (images / "train").iterdir())):
        used = {path.name for path in (place / "train" / name).iterdir()}
        unused = sorted(path for path in (images / "train" / name).iterdir() if path.name not in used)
        count = int((packaged.labels == label).sum())
        if len(unused) < OTHERS * count:
            return []
        order = iter(np.random.default_rng([label, 1]).permutation(len(unused)))
        for chosen in pixels:
            size = recipe.space.resolutions[-1]
            chosen += [(read_picture(unused[next(order)], 3, size).pixels, label) for _ in range(count)]
    sets = [Images(np.stack([each[0] for each in chosen]), np.array([each[1] for each in chosen])) for chosen in pixels]
    return [each.sample(None) for each in sets]


def measure(package: zoo.SupernetPackage, test: Images, others: list[Images]) -> list[dict[str, Any]]:
    """Every subnet under the packaged calibration and under the others."""
    space, supernet = package.space, package.load()
    rng = np.random.default_rng(0)
    size = space.resolutions[-1]
    subnets = {"largest": space.largest(size), "smallest": space.smallest(size)}
    subnets |= {f"random {index + 1}": space.subnet(space.sample(rng, 1, size)[0]) for index in range(RANDOM)}
    packaged = package.images("calibration")
    rows = []
    for name, subnet in subnets.items():
        own = scores(package, supernet, subnet, packaged, test)
        rest = [scores(package, supernet, subnet, images, test) for images in others]
        rows.append({"subnet": name, "packaged": own, "others": rest})
        print(f"  {name}: {100 * own[0]:.2f}, others {', '.join(f'{100 * top:.2f}' for top, _ in rest)}", flush=True)
    return rows


def scores(
    package: zoo.SupernetPackage, supernet: Supernet, subnet: Subnet, calibration: Images, test: Images
) -> tuple[float, float]:
    """Top-1 and mean recall over the classes, counted here and not by the package's own metrics."""
    sizes = package.preprocessing(subnet.resolution)
    net = recalibrate_bn(supernet.extract(subnet), batches(calibration, sizes))
    right = logits(net, test, sizes).argmax(1) == test.labels
    recalls = [right[test.labels == label].mean() for label in np.unique(test.labels)]
    return round(float(right.mean()), 5), round(float(np.mean(recalls)), 5)


def int8(package: zoo.SupernetPackage, which: str, test: Images) -> dict[str, Any]:
    """What int8 costs, on a sample of the test images, calibrated with what the package holds."""
    import tempfile

    from ofa_edge.export.onnx.export import export_onnx
    from ofa_edge.export.onnx.run import run_onnx
    from ofa_edge.export.tflite.convert import convert, run_tflite
    from ofa_edge.supernet.evaluate import extract_calibrated
    from ofa_edge.supernet.fold import fold_batch_norm

    size = package.space.resolutions[-1]
    subnet = package.space.largest(size) if which == "largest" else package.space.smallest(size)
    sizes, calibration = package.preprocessing(size), package.images("calibration")
    net = extract_calibrated(package.load(), subnet, calibration, sizes)
    with tempfile.TemporaryDirectory() as name:
        onnx, tflite = Path(name) / "model.onnx", Path(name) / "model.tflite"
        export_onnx(fold_batch_norm(net), (1, package.space.in_channels, size, size), onnx)
        convert(onnx, tflite, "int8", sizes.apply(calibration.pixels), preprocessing=sizes)
        inputs = sizes.apply(test.pixels)
        first, second = (argmax(each) == test.labels for each in (run_onnx(onnx, inputs), run_tflite(tflite, inputs)))
    drop = paired_drop(first, second)
    return {
        "subnet": which,
        "calibration": len(calibration),
        "fp32": round(float(first.mean()), 5),
        "int8": round(float(second.mean()), 5),
        "drop": [round(value, 5) for value in (drop.drop, drop.low95, drop.high95)],
    }


_HEAD = """# Your own images: what a folder of classes gives

Printed by `python benchmarks/own_data.py table` from `benchmarks/own_data_results.json`, which `run` wrote.
CIFAR-10 (JPEG): JPEG copies of CIFAR-10's images, 10 classes, as class folders; none of the test images took
part in training. A small supernet (width 0.25, 20 and 24 px, colour) is trained for minutes of one core, which is
not the best that the data can give; rows of equal steps compare.

*Packaged* is the calibration that the package carries and every build uses; *others* are five other sets of the same
size and classes, of images that the setting never saw (of the full set: of other training images). Goal: the packaged
one within {goal} points of the mean of the others, everywhere.

"""


def page(results: dict[str, Any]) -> str:
    """docs/benchmarks/own_data.md."""
    known = {name: results[name] for name in SETTINGS if name in results}
    lines = [_HEAD.format(goal=GOAL)]
    lines += [
        "| setting | steps | training images a class | test images | subnet | packaged, top-1 | others: mean (range) "
        "| packaged less mean | balanced accuracy |\n|---|---|---|---|---|---|---|---|---|\n"
    ]
    gaps = []
    for name, found in known.items():
        counts = found["training_images"]
        images = f"{counts[0]:,}" if len(set(counts)) == 1 else f"{max(counts):,} to {min(counts):,}"
        for row in found["subnets"]:
            rest = 100 * np.array([top for top, _ in row["others"]])
            own, balanced = (100 * value for value in row["packaged"])
            gaps.append(own - rest.mean())
            lines.append(
                f"| {name} | {found['steps']:,} | {images} | {found['test_images']:,} | {row['subnet']} | {own:.2f} "
                f"| {rest.mean():.2f} ({rest.min():.2f} .. {rest.max():.2f}) | {gaps[-1]:+.2f} | {balanced:.2f} |\n"
            )
    worst = min(gaps)
    kept = sum(abs(gap) <= GOAL for gap in gaps)
    lines.append(
        f"\nWithin {GOAL} points of the mean: {kept} of {len(gaps)} (lowest {worst:+.2f}, highest {max(gaps):+.2f}). "
        f"Goal {'met' if kept == len(gaps) else 'missed'}.\n"
    )
    lines.append(
        "\n## int8 beside fp32\n\nOn a sample of the test images, the same for both; the drop with its paired 95 % "
        "interval.\n\n"
        "| setting | subnet | calibration images | fp32 | int8 | drop, points |\n|---|---|---|---|---|---|\n"
    )
    for name, found in known.items():
        for row in found["int8"]:
            drop, low, high = (100 * value for value in row["drop"])
            lines.append(
                f"| {name} | {row['subnet']} | {row['calibration']} | {100 * row['fp32']:.2f} "
                f"| {100 * row['int8']:.2f} | {drop:+.2f} ({low:+.2f} .. {high:+.2f}) |\n"
            )
    lines.append(
        "\n## The accuracy predictor of each run\n\nOn pairs that its fit did not see.\n\n"
        "| setting | pairs | RMSE, points | Kendall's tau |\n|---|---|---|---|\n"
    )
    for name, found in known.items():
        told = found["predictor"]
        lines.append(f"| {name} | {told['pairs']} | {100 * told['rmse']:.2f} | {told['kendall']:+.2f} |\n")
    return "".join(lines)


def main() -> None:
    """Run settings, or print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["run", "table"])
    parser.add_argument("--images", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("runs/own_data"))
    parser.add_argument("--setting", choices=[*SETTINGS], action="append")
    options = parser.parse_args()
    results = json.loads(RESULTS.read_bytes()) if RESULTS.is_file() else {}
    if options.part == "table":
        print(page(results), end="")
        return
    torch.set_num_threads(1)
    for setting in options.setting or SETTINGS:
        print(setting, flush=True)
        results[setting] = run(setting, options.images, options.folder)
        write_json(RESULTS, results)


if __name__ == "__main__":
    main()
