"""Subnets with a head of their own: solved when a subnet is calibrated, kept in the weights' header."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_package import images, recipe, shared_package

import ofa_edge as oe
from ofa_edge.errors import WeightsError
from ofa_edge.supernet.evaluate import batches, extract_calibrated, logits
from ofa_edge.supernet.header import pack, read_weights_file
from ofa_edge.supernet.own_data import subnet_for
from ofa_edge.supernet.weights import load_supernet, save_supernet
from ofa_edge.supernet.zoo import open_supernet

SIZES = recipe().preprocessing(16)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return open_supernet(str(shared_package(tmp_path_factory)))


@pytest.fixture
def owning(package):
    net = package.load()
    net.own_head = 10.0
    return net


def without_head(net):
    return {key: value for key, value in net.state_dict().items() if not key.startswith("classifier.")}


def features(net, shown):
    """By a network of all modules in front of the classifier."""
    with torch.no_grad():
        *front, _ = net.children()
        x = torch.cat(list(batches(shown, SIZES.at(net.subnet.resolution))))
        for child in front:
            for layer in child if isinstance(child, torch.nn.ModuleList) else (child,):
                x = layer(x)
        return torch.flatten(x, 1).double().numpy()


@pytest.mark.parametrize("end", ["smallest", "largest"])
def test_each_subnet_has_the_best_head_for_its_own_features(package, owning, end):
    """Beside ridge regression of the features by hand; what is in front of the head is the supernet's."""
    train, subnet = images(90, 3), getattr(package.space, end)()
    net, shared = (extract_calibrated(each, subnet, train, SIZES) for each in (owning, package.load()))
    assert all(torch.equal(value, without_head(shared)[key]) for key, value in without_head(net).items())
    x, classes = features(net, train), package.space.num_classes
    weight = 1 / np.bincount(train.labels)[train.labels]
    weight *= len(train) / weight.sum()
    mean = weight @ x / weight.sum()
    aims = 4.0 * (np.eye(classes)[train.labels] - 1 / classes)
    gram = (x - mean).T @ ((x - mean) * weight[:, None])
    slopes = np.linalg.solve(
        gram + 10.0 * np.mean(np.diag(gram)) * np.eye(len(gram)), ((x - mean) * weight[:, None]).T @ aims
    )
    wanted = weight @ aims / weight.sum() + (x - mean) @ slopes
    np.testing.assert_allclose(logits(net, train, SIZES.at(subnet.resolution)), wanted, atol=1e-4)


def test_it_is_in_the_file_and_in_what_python_cuts_out(package, owning, tmp_path):
    save_supernet(tmp_path / "w.safetensors", owning, {})
    again = load_supernet(tmp_path / "w.safetensors")
    assert again.own_head == 10.0
    assert load_supernet(package.weights).own_head is None
    subnet = package.space.smallest()
    one = oe.calibrate(oe.extract(again, subnet), package)
    other = extract_calibrated(owning, subnet, package.images("calibration"), package.preprocessing(16))
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items())


def test_images_from_elsewhere_calibrate_batch_norms_and_leave_the_head(package, owning):
    """Three images, one a class, would make a poor head."""
    train = images(60, 4)
    few = train.take(np.array([np.flatnonzero(train.labels == label)[0] for label in range(3)]))
    subnet = package.space.smallest()
    own, found = (
        subnet_for(package, owning, subnet, package.images("calibration")),
        subnet_for(package, owning, subnet, few),
    )
    norms = extract_calibrated(package.load(), subnet, few, package.preprocessing(16)).state_dict()
    for key, value in found.state_dict().items():
        wanted = own.state_dict() if key.startswith("classifier.") else norms
        assert torch.equal(value, wanted[key]), key


def test_images_that_lack_a_class_leave_the_shared_head(package, owning):
    train = images(60, 4)
    train = train.take(np.flatnonzero(train.labels > 0))
    subnet = package.space.smallest()
    net, shared = (extract_calibrated(each, subnet, train, SIZES) for each in (owning, package.load()))
    assert all(torch.equal(value, shared.state_dict()[key]) for key, value in net.state_dict().items())


@pytest.mark.parametrize("value", ["0", "-1", "true", '"10"', "NaN", "[1]", "{", "1e400"])
def test_a_damaged_ridge_is_a_damaged_header(owning, tmp_path, value):
    path = tmp_path / "w.safetensors"
    save_supernet(path, owning, {})
    tensors, facts = load_file(path), dict(read_weights_file(path).facts)
    save_file(tensors, path, pack({**facts, "own_head": value}))
    with pytest.raises(WeightsError, match="damaged weights header"):
        load_supernet(path)
