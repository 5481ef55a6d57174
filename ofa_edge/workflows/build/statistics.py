"""The evidence that a network's batch norm statistics are those of the data (see `verify.statistics`)."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ofa_edge.cache import CacheEntry
from ofa_edge.data.dataset import Images
from ofa_edge.data.sampling import stratified, stratified_order
from ofa_edge.errors import DataError
from ofa_edge.metrics import argmax, paired_drop, top1
from ofa_edge.records.manifest import DropRecord, ExpectedRecord, StatisticsRecord
from ofa_edge.runtimes.answers import LOGITS, load_logits, save_array
from ofa_edge.search.load_predictor import Predictor
from ofa_edge.space import Subnet
from ofa_edge.supernet import zoo
from ofa_edge.supernet.zoo import SupernetPackage
from ofa_edge.training.pairs import read_pairs
from ofa_edge.verify.statistics import nearness_db, suspicions
from ofa_edge.workflows.build.images import BuildData
from ofa_edge.workflows.build.stages import STATIC, StageRunner, require_finite

OTHERS, JUDGED, COMPARED = 5, 2, 200
"""Other calibrations; how many of them are judged by top-1; test images that all answers are compared on."""
_COMPARED = "compared.npy"


@dataclass(frozen=True)
class Judged:
    """What is judged: a subnet of a package, the images of the build, what predicts the package's top-1."""

    package: SupernetPackage
    subnet: Subnet
    data: BuildData[Images]
    predictor: Predictor | None


def check_statistics(
    runner: StageRunner, judged: Judged, static: CacheEntry, answers: NDArray[np.float32]
) -> StatisticsRecord:
    """Hold a network's answers [N, classes] to the test images against those of the same weights, calibrated anew."""
    data, package = judged.data, judged.package
    others = other_calibrations(data)
    found, compared = _answers(runner, package, data.test, static, others)
    whose = f"subnet {judged.subnet.id} of '{package.name}', calibrated on {len(others[0])} other images"
    for each in (found, compared):
        require_finite(each, whose)
    near, others_near = nearness_db(answers[stratified(data.test.labels, COMPARED, 0)], compared)
    labels = data.test_labels
    odd = suspicions(
        data.calibration.pixels,
        data.calibration.labels if data.labelled else None,
        package.space.num_classes,
        package.mean,
        package.std,
    )
    tops: tuple[float, ...] = ()
    drop = None
    if labels is not None:
        right = argmax(answers) == labels
        tops = tuple(top1(other, labels) for other in found)
        nearest = found[int(np.argmin(np.abs(np.array(tops) - right.mean())))]
        drop = DropRecord(**asdict(paired_drop(argmax(nearest) == labels, right)))
    return StatisticsRecord(
        images=len(others[0]),
        snr_db=near,
        others_snr_db=others_near,
        top1=tops,
        drop=drop,
        expected=None if labels is None else _expected(judged),
        suspicions=tuple(item.words for item in odd),
        certain=next((item.code for item in odd if item.certain), None),
    )


def other_calibrations(data: BuildData[Images]) -> tuple[Images, ...]:
    """Five disjoint sets of other images of the data, as many in each as calibrated the network, where there are.

    They come from the validation and test images: batch norm statistics ask for no labels.
    """
    both = (data.validation, data.test)
    pool = Images(*(np.concatenate([getattr(part, name) for part in both]) for name in ("pixels", "labels")))
    parts = np.array_split(stratified_order(pool.labels, 0), OTHERS)  # every stretch of that order is a fair sample
    least = max(1, min(len(data.calibration), *map(len, parts)))
    return tuple(pool.take(part).sample(least) for part in parts)


def _answers(
    runner: StageRunner, package: SupernetPackage, test: Images, static: CacheEntry, others: tuple[Images, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Answers of the network under other calibrations: two to all test images [2, N, classes], all to a sample."""

    def produce(folder: Path) -> None:
        from ofa_edge.supernet.bn_recalibration import recalibrate_bn
        from ofa_edge.supernet.evaluate import batches, logits
        from ofa_edge.supernet.weights import load_static

        chosen = stratified(test.labels, COMPARED, 0)
        by_top1, compared = [], []
        for number, images in enumerate(others):
            net = load_static(static.path(STATIC))
            sizes = package.preprocessing(net.subnet.resolution)
            recalibrate_bn(net, batches(images, sizes))
            if number < JUDGED:
                by_top1.append(logits(net, test, sizes))
                compared.append(by_top1[-1][chosen])
            else:
                compared.append(logits(net, test.take(chosen), sizes))
        save_array(folder / LOGITS, np.stack(by_top1))
        save_array(folder / _COMPARED, np.stack(compared))

    inputs = {
        "network": static.files[STATIC],
        "others": [images.digest for images in others],
        "test": test.digest,
    }
    entry = runner.run("statistics", inputs, ("torch",), produce)
    return load_logits(entry), load_logits(entry, _COMPARED)


def _unusable(package: SupernetPackage, name: str, error: Exception) -> DataError:
    """The build would go on without its gate, and nobody would know."""
    why = f"{package.file(name)}: {error}; the accuracy is held against what it says"
    hint = f"restore {name}, or remove it to do without that gate"
    return DataError(f"{name} of '{package.name}' cannot be used", why, hint)


def _expected(judged: Judged) -> ExpectedRecord | None:
    """What the package's training says of this subnet's top-1: measured, or else predicted from what was measured.

    Nothing where it measured balanced accuracy: where classes are uneven the two may lie far apart either way.
    """
    package, subnet, same = judged.package, judged.subnet, not judged.data.own
    if (facts := package.record(zoo.FINETUNED)) is not None:
        try:
            return ExpectedRecord(
                top1=facts["top1_after"],
                images=facts["test_images"],
                source="fine-tuning measured",
                same_data=same,
            )
        except (ValueError, KeyError) as error:  # pydantic's is a ValueError
            raise _unusable(package, zoo.FINETUNED, error) from error
    pairs = package.file(zoo.PAIRS)
    predictor = judged.predictor
    if pairs is None or predictor is None or predictor.rmse_source != "held-out" or predictor.metric != "top1":
        return None
    known = {pair.subnet: pair.top1 for pair in read_pairs(pairs, package.space)}
    images = (package.record(zoo.PAIRS) or {}).get("images")
    if type(images) is not int or images < 1:
        raise _unusable(package, zoo.PAIRS, ValueError(f"images = {images!r:.40}"))
    if subnet in known:
        source = "the training run measured"
        return ExpectedRecord(top1=known[subnet], images=images, source=source, same_data=same)
    predicted = float(np.clip(predictor.predict(package.space.genome([subnet]))[0], 0, 1))
    source = "expected of what the training run measured"
    return ExpectedRecord(top1=predicted, images=images, error=predictor.rmse, source=source, same_data=same)
