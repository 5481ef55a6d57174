import dataclasses
import json

import numpy as np
import pytest
import torch

from ofa_edge.data.dataset import Images
from ofa_edge.errors import SpaceMismatchError
from ofa_edge.space import Space
from ofa_edge.training import pairs as pairs_module
from ofa_edge.training.pairs import Pair, measure_pairs, read_pairs, sample_subnets, write_pairs

SPACE = Space("tiny", 0.25, 1, 3, (2, 2, 2, 2, 1, 1), (12, 16), depths=(1, 2))
OTHER = Space("tiny", 0.25, 1, 4, (2, 2, 2, 2, 1, 1), (12, 16), depths=(1, 2))
IMAGES = Images(np.zeros((60, 4, 4, 1), dtype=np.uint8), np.zeros(60, dtype=np.int64))


class Measured:
    """Stands in for calibration and measuring: a subnet's top-1 is a function of its id."""

    def __init__(self):
        self.subnets = []

    def __call__(self, examined, subnet, preprocessing, metric):
        self.subnets.append(subnet)
        self.metric = metric
        return int(subnet.id[:4], 16) / 0xFFFF


class Net:
    """Stands in for a supernet: its space, and weights that tell it from others."""

    space = SPACE

    def __init__(self, weight=0.0):
        self.weight = weight

    def state_dict(self):
        return {"weight": torch.tensor([self.weight])}


@pytest.fixture
def measured(monkeypatch):
    stand_in = Measured()
    monkeypatch.setattr(pairs_module, "measure", stand_in)
    return stand_in


def measure(subnets, file, net=None, images=IMAGES, calibration=IMAGES, **options):
    return measure_pairs(net or Net(), subnets, calibration, images, None, file, **options)


def test_pairs_of_other_weights_or_images_are_measured_again(measured, tmp_path):
    subnets = sample_subnets(SPACE, 6, seed=1)
    for net, images in ((Net(), IMAGES), (Net(), IMAGES), (Net(1.0), IMAGES), (Net(1.0), IMAGES.sample(30))):
        measure(subnets, tmp_path / "pairs.json", net, images)
    assert len(measured.subnets) == 3 * len(subnets)
    measure(subnets, tmp_path / "pairs.json", Net(1.0), IMAGES.sample(30), IMAGES.sample(10))
    assert len(measured.subnets) == 4 * len(subnets)


def test_pairs_that_do_not_say_what_they_are_of_are_measured_again(measured, tmp_path):
    subnets = sample_subnets(SPACE, 6, seed=1)
    write_pairs(tmp_path / "pairs.json", SPACE, measure(subnets, tmp_path / "pairs.json"), len(IMAGES))
    measure(subnets, tmp_path / "pairs.json")
    assert len(measured.subnets) == 2 * len(subnets)


def test_pairs_of_another_metric_are_measured_again(measured, tmp_path):
    subnets, file = sample_subnets(SPACE, 6, seed=1), tmp_path / "pairs.json"
    measure(subnets, file)
    assert measured.metric == "top1"
    found = measure(subnets, file, metric="balanced")
    assert measured.metric == "balanced"
    measure(subnets, file, metric="balanced")
    assert len(measured.subnets) == 2 * len(subnets)
    assert read_pairs(file, SPACE) == found
    value = json.loads(file.read_bytes())
    assert value["metric"] == "balanced"
    assert "top1" not in value["pairs"][0]
    measure(subnets, file)
    assert len(measured.subnets) == 3 * len(subnets)


def test_a_sample_holds_both_ends_of_every_size_and_no_subnet_twice():
    subnets = sample_subnets(SPACE, 30, seed=1)
    assert len(subnets) == len(set(subnets)) == 30
    assert subnets[:4] == [SPACE.largest(12), SPACE.smallest(12), SPACE.largest(16), SPACE.smallest(16)]
    assert {subnet.resolution for subnet in subnets[4:]} == {12, 16}
    assert all(SPACE.check(subnet) == subnet for subnet in subnets)


def test_of_many_sizes_a_few_have_their_ends_in_the_sample():
    space = dataclasses.replace(SPACE, resolutions=tuple(range(128, 225, 4)))
    subnets = sample_subnets(space, 40, seed=1)
    ends = {subnet.resolution for subnet in subnets[:16]}
    assert ends == {128, 140, 156, 168, 184, 196, 212, 224}
    assert {space.largest(size) for size in ends} | {space.smallest(size) for size in ends} == set(subnets[:16])
    assert len({subnet.resolution for subnet in subnets[16:]} - ends) > 5
    assert sample_subnets(space, 24, seed=1) == subnets[:24]


def test_a_sample_is_repeatable_and_grows_at_its_end():
    subnets = sample_subnets(SPACE, 30, seed=1)
    assert sample_subnets(SPACE, 30, seed=1) == subnets
    assert sample_subnets(SPACE, 12, seed=1) == subnets[:12]
    assert sample_subnets(SPACE, 3, seed=1) == subnets[:3]
    assert sample_subnets(SPACE, 30, seed=2)[4:] != subnets[4:]


def test_pairs_are_measured_in_order_and_kept(measured, tmp_path):
    subnets = sample_subnets(SPACE, 25, seed=1)
    seen = []
    found = measure(subnets, tmp_path / "pairs.json", on_pair=lambda done, total: seen.append((done, total)))
    assert measured.subnets == subnets
    assert [pair.subnet for pair in found] == subnets
    assert seen == [(done, 25) for done in range(1, 26)]
    kept = read_pairs(tmp_path / "pairs.json", SPACE)
    assert [pair.subnet for pair in kept] == subnets
    assert [pair.top1 for pair in kept] == pytest.approx([pair.top1 for pair in found], abs=1e-6)
    assert json.loads((tmp_path / "pairs.json").read_bytes())["images"] == 60


def test_what_was_measured_is_not_measured_again(measured, tmp_path):
    subnets = sample_subnets(SPACE, 25, seed=1)
    file = tmp_path / "pairs.json"
    measure(subnets[:20], file)
    before = read_pairs(file, SPACE)
    measured.subnets.clear()
    found = measure(subnets, file)
    assert measured.subnets == subnets[20:]
    assert found[:20] == before
    raw = file.read_bytes()
    assert measure(subnets, file) == read_pairs(file, SPACE)
    assert file.read_bytes() == raw
    measured.subnets.clear()
    assert [pair.subnet for pair in measure(subnets[::-1][:7], file)] == subnets[::-1][:7]  # in the order asked for
    assert measured.subnets == []


def test_a_killed_run_keeps_what_was_written(measured, tmp_path):
    subnets = sample_subnets(SPACE, 25, seed=1)

    def kill(done, total):
        if done == 17:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(subnets, tmp_path / "pairs.json", on_pair=kill)
    assert [pair.subnet for pair in read_pairs(tmp_path / "pairs.json", SPACE)] == subnets[:10]
    measured.subnets.clear()
    measure(subnets, tmp_path / "pairs.json")
    assert measured.subnets == subnets[10:]


def test_measuring_and_reading_give_the_same_pairs(measured, tmp_path):
    """Else a predictor fitted after a resumed run differs from the first one by a little, and every digest by a lot."""
    subnets = sample_subnets(SPACE, 5, seed=1)
    assert measure(subnets, tmp_path / "pairs.json") == read_pairs(tmp_path / "pairs.json", SPACE)


def test_pairs_of_another_space_are_refused(measured, tmp_path):
    file = tmp_path / "pairs.json"
    write_pairs(file, OTHER, [Pair(OTHER.largest(), 0.5)], 60)
    with pytest.raises(SpaceMismatchError) as caught:
        measure([SPACE.largest()], file)
    assert OTHER.hash[:12] in caught.value.why
    assert SPACE.hash[:12] in caught.value.why
    assert measured.subnets == []


def test_the_same_pairs_give_the_same_bytes(tmp_path):
    pairs = [Pair(subnet, index / 9) for index, subnet in enumerate(sample_subnets(SPACE, 9, 0))]
    for name in ("a", "b"):
        write_pairs(tmp_path / name, SPACE, pairs, 60)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert [pair.subnet for pair in read_pairs(tmp_path / "a", SPACE)] == [pair.subnet for pair in pairs]
