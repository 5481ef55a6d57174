"""Subnets as networks through the front door."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_package import copied_package, images, shared_package

import ofa_edge as oe
from ofa_edge.supernet.evaluate import measure_top1
from ofa_edge.supernet.weights import save_static

SIZES = (32, 48)
SPACES = [
    oe.Space("mobile", 0.5, 1, 5, resolutions=SIZES),
    oe.Space.of("ofa_proxyless", "proxyless", width_mult=0.5, resolutions=SIZES),
    oe.Space.of("ofa_resnet", "resnet", resolutions=SIZES),
]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> oe.SupernetPackage:
    return oe.open_supernet(shared_package(tmp_path_factory))


def test_samples_are_of_the_seed_and_the_resolution(package: oe.SupernetPackage) -> None:
    space = package.space
    drawn = oe.sample(space, 20, seed=4)
    assert drawn == oe.sample(space, 20, seed=4) != oe.sample(space, 20, seed=5)
    assert {subnet.resolution for subnet in drawn} == set(space.resolutions)
    assert {subnet.resolution for subnet in oe.sample(space, 20, resolution=14)} == {14}
    with pytest.raises(oe.ConfigError, match="no such resolution") as caught:
        oe.sample(space, 1, resolution=15)
    assert caught.value.why == "resolution 15, wanted one of 14, 16"


def test_a_subnet_is_measured_as_training_measures_it(package: oe.SupernetPackage) -> None:
    subnet, bands = package.space.smallest(16), images(80, 9)
    test = oe.Images(bands.pixels, np.where(np.arange(80) < 30, 0, bands.labels))  # too easy as they are
    supernet = package.load()
    net = oe.extract(supernet, subnet)
    with pytest.raises(oe.WeightsError, match="not calibrated"):
        oe.evaluate(net, package)
    calibration = package.images("calibration")
    wanted = measure_top1(supernet, subnet, calibration, test, package.preprocessing(16))
    assert oe.evaluate(oe.calibrate(net, package), package, test) == wanted
    again = oe.calibrate(oe.extract(package, subnet), package, calibration)
    assert oe.evaluate(again, package, test, metric="top1") == wanted
    assert oe.evaluate(again, package, test, metric="balanced") != wanted


def test_a_package_of_one_network_gives_that_one(package: oe.SupernetPackage, tmp_path: Path) -> None:
    folder = copied_package(package.folder, tmp_path / "one")
    net = oe.calibrate(oe.extract(package, package.space.smallest(16)), package)
    header = {"labels": json.dumps(package.labels), "mean": "[72.9]", "std": "[90.0]", "dataset": "bands"}
    save_static(folder / "network.safetensors", net, header)
    (folder / "supernet.safetensors").unlink()
    one = oe.open_supernet(folder)
    found = oe.extract(one, one.subnet)
    for name, value in net.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], value, rtol=0, atol=0)
    assert oe.evaluate(found, one) == oe.evaluate(net, package)
    with pytest.raises(oe.WeightsError, match="one network"):
        oe.extract(one, package.space.largest())


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_net_configs_are_read_as_they_were_written(space: oe.Space, tmp_path: Path) -> None:
    for subnet in oe.sample(space, 10, seed=1):
        (tmp_path / "net.config").write_text(json.dumps(oe.to_net_config(space, subnet)))
        for config in (tmp_path / "net.config", oe.to_net_config(space, subnet)):
            found = oe.from_net_config(config, space, subnet.resolution)
            assert (found.stages, found.resolution) == (subnet.stages, subnet.resolution)
            # Two ratios may round to one width: the network is the same.
            assert space.active_widths(found.widths) == space.active_widths(subnet.widths)
    assert oe.from_net_config(tmp_path / "net.config", space).resolution == 48


def test_a_subnet_of_another_space_is_refused() -> None:
    mobile, proxyless, _ = SPACES
    with pytest.raises(oe.ConfigError, match="not of space"):
        oe.to_net_config(proxyless, mobile.largest())
    with pytest.raises(oe.ConfigError, match="another family"):
        oe.from_net_config(oe.to_net_config(mobile, mobile.largest()), proxyless)
    with pytest.raises(oe.ConfigError, match=r"cannot read net\.config"):
        oe.from_net_config(Path("nowhere/net.config"), mobile)


def test_images_of_ones_own(package: oe.SupernetPackage) -> None:
    net = oe.calibrate(oe.extract(package, package.space.largest()), package)
    wrong = oe.Images(np.zeros((4, 16, 16, 3), np.uint8), np.zeros(4, np.int64))
    with pytest.raises(oe.DataError):
        oe.evaluate(net, package, wrong)
