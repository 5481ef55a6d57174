"""Fine-tuning: a subnet of a supernet, trained on by itself, becomes a package of one network that `build` takes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ofa_edge import __version__, cost
from ofa_edge.errors import ConfigError
from ofa_edge.files import parse_json, sha256_file, write_bytes, write_json
from ofa_edge.metrics import top1
from ofa_edge.space import Space, Subnet
from ofa_edge.supernet import zoo
from ofa_edge.supernet.calibrate import calibrate
from ofa_edge.supernet.evaluate import batches, extract_calibrated, logits
from ofa_edge.supernet.static import StaticNet
from ofa_edge.supernet.weights import save_static
from ofa_edge.supernet.zoo import SupernetPackage
from ofa_edge.training.claim import claim_run
from ofa_edge.training.distributed import World
from ofa_edge.training.package_data import CALIBRATION_IMAGES, TrainingData
from ofa_edge.training.run import Progress
from ofa_edge.training.single import SingleRecipe, SingleTrainer

FACTS = zoo.FINETUNED


def read_subnet(text: str, space: Space, resolution: int | None) -> Subnet:
    """A subnet from what a user names it by.

    Args:
        text: `largest`, `smallest`, a JSON file with a configuration (of ours or of the reference), or the folder or
            manifest of a build.
        space: the supernet's.
        resolution: input size; by default the configuration's, or the space's largest.
    """
    if text in ("largest", "smallest"):
        size = resolution or space.resolutions[-1]
        return space.largest(size) if text == "largest" else space.smallest(size)
    path = Path(text)
    path = path / "manifest.json" if path.is_dir() else path
    try:
        value = parse_json(path.read_bytes())
        record = value.get("subnet", value)
        if "stages" in record:
            stages = tuple(tuple((int(k), e) for k, e in stage) for stage in record["stages"])
            subnet = Subnet(stages, int(record["resolution"]), tuple(record.get("widths", ())))
            subnet = space.check(subnet)
        else:
            subnet = space.from_config(record)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            "not a subnet",
            f"{path}: {error}",
            "largest, smallest, a JSON file with ks, e and d, or the folder of a build",
        ) from error
    return space.check(subnet.at(resolution)) if resolution else subnet


def finetune(
    package: SupernetPackage,
    subnet: Subnet,
    data: TrainingData,
    recipe: SingleRecipe,
    folder: Path,
    *,
    device: str = "cpu",
    world: World | None = None,
    on_step: Callable[[Progress], None] = lambda _: None,
) -> dict[str, Any]:
    """Train a subnet by itself in `folder`, which then is a package of one network for `--supernet`.

    It starts from the supernet's weights, calibrated, and learns the labels and, with `recipe.distill`, the predictions
    of the supernet's largest net. A run of the same subnet and recipe found in the folder is continued.

    Returns:
        Top-1 on the test images before and after, and what was done.
    """
    world = world or World()
    supernet = package.load()
    facts = {
        "subnet": subnet.config(),
        "supernet": package.space.hash,
        "supernet_weights_sha256": sha256_file(package.weights) if package.weights else None,
        "recipe": recipe.model_dump(mode="json"),
    }
    if world.first:
        claim_run(folder, FACTS, facts, tuple(facts))
    sizes = package.preprocessing(subnet.resolution)
    calibration = data.train.sample(CALIBRATION_IMAGES)

    def accuracy(net: StaticNet) -> float:
        return round(top1(logits(net, data.test, sizes), data.test.labels), 4)

    net = extract_calibrated(supernet, subnet, calibration, sizes)
    before = accuracy(net) if world.first else 0.0
    teacher = None
    if recipe.distill:
        teacher = extract_calibrated(supernet, supernet.space.largest(subnet.resolution), calibration, sizes)
    trainer = SingleTrainer(net, recipe, data.train, sizes, folder, teacher=teacher, device=device, world=world)
    trainer.resume()
    trainer.run(on_step).to("cpu")
    if not world.first:
        return {}
    calibrate(net, batches(calibration, sizes))
    figures = {
        "version": __version__,
        **facts,
        "macs": cost.macs(package.space, subnet),
        "test_images": len(data.test),
        "top1_before": before,
        "top1_after": accuracy(net),
    }
    _write(folder, package, net, figures)
    return figures


def _write(folder: Path, package: SupernetPackage, net: StaticNet, figures: dict[str, Any]) -> None:
    header = {
        "labels": json.dumps(package.labels),
        "mean": json.dumps(package.mean),
        "std": json.dumps(package.std),
        "dataset": package.dataset or "",
        "reading": json.dumps(package.reading.to_json()),
    }
    images = package.file(zoo.IMAGES)
    if images is not None:
        write_bytes(folder / zoo.IMAGES, images.read_bytes())
    write_bytes(folder / zoo.LABELS, ("\n".join(package.labels) + "\n").encode())
    save_static(folder / zoo.NETWORK, net, header)
    write_json(folder / FACTS, {**figures, "weights_sha256": sha256_file(folder / zoo.NETWORK)})
