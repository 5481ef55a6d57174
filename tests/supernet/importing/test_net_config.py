"""net.config and run.config: both generations of names, and what is refused by the key's name."""

import json
from pathlib import Path
from typing import Any

import net_configs
import pytest

from ofa_edge.errors import ConfigError
from ofa_edge.space import Space
from ofa_edge.supernet.importing.net_config import parse_net_config, read_image_size, read_net_config

SPACE = Space("mobile", 0.25, 1, 5, resolutions=(32,))
CONFIG = net_configs.of(SPACE, SPACE.smallest())


def changed(*path: Any, value: Any) -> dict[str, Any]:
    config = json.loads(json.dumps(CONFIG))
    part = config
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return config


def test_both_generations_of_names_mean_the_same() -> None:
    def without_names(config: dict[str, Any]) -> Any:
        return json.loads(parse_net_config(config, "x").model_dump_json(exclude={"blocks": {"__all__": {"name"}}}))

    newer, old = without_names(CONFIG), without_names(net_configs.older(CONFIG))
    for config in (newer, old):
        for block in config["blocks"]:
            del block["conv"]["name"]
    assert newer == old


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"name": "EfficientNet"}, "'EfficientNet'"),
        ([1], "name = None"),
        (changed("blocks", value=[]), "blocks"),
        (changed("blocks", 2, "conv", "name", value="ZeroLayer"), "blocks.2.conv"),
        (changed("blocks", 2, "conv", "kernel_size", value=9), "kernel_size"),
        (changed("blocks", 2, "conv", "groups", value=4), "groups"),
        (changed("blocks", 2, "shortcut", value={"name": "ConvLayer"}), "blocks.2.shortcut.name"),
        (changed("first_conv", "bias", value=True), "first_conv.bias"),
        (changed("first_conv", "out_channels", value=1 << 40), "first_conv.out_channels"),
        (changed("classifier", "out_features", value=10**12), "classifier.out_features"),
        (changed("bn", "eps", value=0), "bn.eps"),
    ],
)
def test_what_no_space_has_is_refused_by_key(config: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_net_config(config, "dir/net.config")
    assert words in caught.value.why
    assert "dir/net.config" in caught.value.why


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\xff"])
def test_files_that_are_no_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "net.config").write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match="cannot read"):
        read_net_config(tmp_path / "net.config")


@pytest.mark.parametrize(("value", "size"), [(224, 224), ([176], 176)])
def test_image_sizes(tmp_path: Path, value: Any, size: int) -> None:
    (tmp_path / "run.config").write_text(json.dumps({"image_size": value, "n_epochs": 1}))
    assert read_image_size(tmp_path / "run.config") == size


@pytest.mark.parametrize("value", [None, "224", [128, 224], 0, 1 << 20, 2.5])
def test_image_sizes_that_are_none(tmp_path: Path, value: Any) -> None:
    (tmp_path / "run.config").write_text(json.dumps({"image_size": value}))
    with pytest.raises(ConfigError, match="no image size"):
        read_image_size(tmp_path / "run.config")
