"""A subnet by name, by JSON, by a file in either layout, by a build."""

import json
from pathlib import Path

import net_configs
import numpy as np
import pytest

from ofa_edge.errors import ConfigError
from ofa_edge.space import Space
from ofa_edge.supernet.given_subnet import read_subnet

SIZES = (64, 68, 72)
SPACES = {
    "mobile": Space("mobile", 0.5, 1, 5, resolutions=SIZES),
    "proxyless": Space.of("ofa_proxyless", "proxyless", width_mult=0.5, resolutions=SIZES),
    "resnet": Space.of("ofa_resnet", "resnet", resolutions=SIZES, width_ratios=(0.25, 0.5, 1.0)),
}


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_a_subnet_in_every_layout(space: Space, tmp_path: Path) -> None:
    assert read_subnet("smallest", space, 68) == space.smallest(68)
    assert read_subnet("largest", space) == space.largest()
    file = tmp_path / "subnet"
    for row in space.sample(np.random.default_rng(3), 4):
        wanted = space.subnet(row)
        config, layers = wanted.config(), net_configs.of(space, wanted)
        recorded = {"stages": wanted.stages, "resolution": wanted.resolution, "widths": wanted.widths}
        for value in (config, {"subnet": config}, {"subnet": recorded}):
            file.write_text(json.dumps(value))
            assert read_subnet(json.dumps(value), space) == read_subnet(str(file), space) == wanted
            assert read_subnet(str(file), space, 68) == wanted.at(68)
        for value in (layers, net_configs.older(layers)) if space is not SPACES["resnet"] else (layers,):
            file.write_text(json.dumps(value))  # without the resolution: it is not part of it
            assert read_subnet(str(file), space) == wanted.at(72)
            assert read_subnet(json.dumps(value), space, wanted.resolution) == wanted


def test_a_builds_folder(tmp_path: Path) -> None:
    wanted = SPACES["mobile"].uniform(5, 4, 3, 68)
    record = {"subnet": {"stages": wanted.stages, "resolution": wanted.resolution}}
    (tmp_path / "manifest.json").write_text(json.dumps(record))
    assert read_subnet(str(tmp_path), SPACES["mobile"]) == wanted


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", ""),
        ("[]", "wanted keys and values"),
        ("7", "wanted keys and values"),
        ("[" * 100_000, ""),
        ('{"ks": [3]}', "no 'd', only ks"),
        ('{"ks": 3, "e": 3, "d": 2, "size": 64}', "unknown key 'size'"),
        ('{"subnet": null}', "its network is not of a search space"),
        ('{"subnet": [1]}', "wanted keys and values"),
        ('{"stages": [[[3, 9]]], "resolution": 64}', "1 stages, wanted 5"),
        ('{"stages": [[[3]]], "resolution": 64}', "ValueError"),
        ('{"stages": 5, "resolution": 64}', "TypeError"),
        ('{"name": "MobileNetV9", "classifier": {}}', "wanted one of MobileNetV3"),
        ('{"name": "MobileNetV3", "classifier": {}}', "first_conv"),
    ],
)
def test_what_is_no_subnet_is_told(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "subnet.json"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_subnet(str(file), SPACES["mobile"])
    assert why in caught.value.why
    assert caught.value.hint


def test_a_net_config_of_another_space_says_how_it_differs() -> None:
    other = Space("wide", 1.0, 1, 5, resolutions=SIZES)
    text = json.dumps(net_configs.of(other, other.largest()))
    with pytest.raises(ConfigError, match="of no space that is known") as caught:
        read_subnet(text, SPACES["mobile"])
    assert "channels" in caught.value.why
    with pytest.raises(ConfigError, match="another family"):
        read_subnet(text, SPACES["proxyless"])


def test_a_file_that_is_not_there() -> None:
    for text in ("nowhere.json", "x" * 5000, "a\0b"):
        with pytest.raises(ConfigError, match="not a subnet"):
            read_subnet(text, SPACES["mobile"])
