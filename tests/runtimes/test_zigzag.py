"""The runtime of described arrays: searched for, never built for, and a target's file that lacks what it has to say."""

import pytest
from builds import Workshop
from tiny_package import shared_package

from ofa_edge.cache import StageCache
from ofa_edge.cost import macs, operators
from ofa_edge.errors import ConfigError, UnsupportedError
from ofa_edge.runtimes import runtime_named
from ofa_edge.runtimes.registry import require
from ofa_edge.supernet import zoo
from ofa_edge.targets import builtin_folder, load_target, read_target

RUNTIME = runtime_named("zigzag")


def test_nothing_is_built_for_a_description_and_nothing_is_left(tmp_path_factory, tmp_path):
    workshop = Workshop(shared_package(tmp_path_factory), tmp_path / "cache")
    with pytest.raises(UnsupportedError, match="nothing can be built for zu3eg") as caught:
        workshop.build(tmp_path / "out", target="zu3eg", runtime=None, precision=None)
    assert "codesign" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_what_is_told_of_a_network_adds_up(tmp_path):
    pytest.importorskip("zigzag.stages", reason="the extra zigzag is not installed")
    space = zoo.open_space(zoo.DEFAULT)
    subnet, target = space.smallest(), load_target("zu3eg")
    path = tmp_path / "model.json"
    path.write_bytes(RUNTIME.turns.draw(operators(space, subnet)))
    account = RUNTIME.cycle_account(target)
    (found,) = account.told([path], StageCache(tmp_path / "cache"))
    assert (account.kind, account.clock_hz) == ("modelled", 281e6)
    assert found.macs == macs(space, subnet)
    assert found.cycles >= found.macs / RUNTIME.array_size(target).macs_per_cycle
    for figure in ("cycles", "macs", "offchip_bytes"):
        assert sum(getattr(each, figure) for each in found.layers) == getattr(found, figure)
    assert found.sram_bytes <= RUNTIME.array_size(target).sram_bytes
    assert found.offchip_gbps == pytest.approx(30 * 0.281)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[array]\n", "[array]\nclock = 1.0\n", "clock"),
        ("clock_mhz = 281.0", "clock_mhz = 0.0", "array.clock_mhz"),
        ("zu3eg.pointwise.yaml", "none.yaml", "none.yaml"),
    ],
)
def test_a_bad_table_is_named(tmp_path, old, new, said):
    for each in ("pointwise.yaml", "depthwise.yaml", "latency.json"):
        (tmp_path / f"zu3eg.{each}").write_bytes((builtin_folder() / f"zu3eg.{each}").read_bytes())
    path = tmp_path / "mine.toml"
    text = (builtin_folder() / "zu3eg.toml").read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        require(read_target(path), "zigzag", "int8")
    assert said in caught.value.what + caught.value.why


def test_a_target_without_the_table(tmp_path):
    text = (builtin_folder() / "zu3eg.toml").read_text()
    head, rest = text.split("[array]")
    path = tmp_path / "mine.toml"
    path.write_text(head + rest[rest.index("[identity]") :])
    with pytest.raises(ConfigError, match=r"mine\.toml has no \[array\]"):
        require(read_target(path), "zigzag", "int8")
