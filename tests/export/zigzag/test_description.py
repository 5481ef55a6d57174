"""Engines' files: what is read of them against counting by hand, and files that are wrong."""

import pytest

from ofa_edge.errors import ConfigError
from ofa_edge.export.zigzag.description import read_engine
from ofa_edge.targets import builtin_folder

TEXT = (builtin_folder() / "zu3eg.pointwise.yaml").read_text()


@pytest.mark.parametrize(
    ("name", "multipliers", "blocks", "gbps"),
    [  # pixels x channels in x channels out; blocks of 36 Kb; the memory's own figure
        ("zu3eg.pointwise", 8 * 12 * 12, 72 + 96, 8.53),
        ("zu3eg.depthwise", 4 * 12, 8 + 40, 8.53),
        ("zu9eg.pointwise", 3 * 8 * 16 * 16, 288 + 432, 17.07),
        ("zu9eg.depthwise", 3 * 4 * 16, 32 + 160, 17.07),
    ],
)
def test_what_ships_has_its_parts_resources(name, multipliers, blocks, gbps):
    found = read_engine(builtin_folder() / f"{name}.yaml")
    assert found.multipliers == multipliers
    assert found.sram_bytes == blocks * 36 * 1024 // 8  # registers of the multipliers are not among them
    assert found.offchip_bits / 8 * 281e6 / 1e9 == pytest.approx(gbps, rel=0.02)


def test_the_order_of_memories_is_part_of_an_engine(tmp_path):
    path = tmp_path / "engine.yaml"
    head, weights = TEXT.split("  weight_bram:\n")
    block, rest = weights.split("  map_bram:\n")
    maps, tail = rest.split("  off_chip:\n")
    path.write_text(f"{head}  map_bram:\n{maps}  weight_bram:\n{block}  off_chip:\n{tail}")
    assert read_engine(path).digest != read_engine(builtin_folder() / "zu3eg.pointwise.yaml").digest
    path.write_text(f"# a comment\n{TEXT}")
    assert read_engine(path).digest == read_engine(builtin_folder() / "zu3eg.pointwise.yaml").digest


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("unit_energy", "unit_energi", "nearest known key: 'operational_array.unit_energy'"),
        ("sizes: [8, 12, 12]", "sizes: [8, 12]", "3 dimensions and 2 sizes"),
        ("sizes: [8, 12, 12]", "sizes: [8, 0, 12]", "operational_array.sizes.1 = 0"),
        ("operands: [I1, I2, O]", "operands: [I1, O]", "the last memory, off_chip"),
        ("D3: [", "D4: [", "D4 is no dimension"),
        ("size: 32", "auto_cost_extraction: true\n    size: 32", "auto_cost_extraction"),  # would start a program
        ("name: zu3eg_pointwise", "name: &a zu3eg_pointwise", "anchor"),
        ("size: 32", "size: .inf", "size"),
        ("memories:", "memories", "mapping values|could not find"),
    ],
)
def test_a_bad_file_is_named_with_key_and_fault(tmp_path, old, new, said):
    path = tmp_path / "engine.yaml"
    assert old in TEXT
    path.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(ConfigError, match=r"engine\.yaml") as caught:
        read_engine(path)
    assert any(each in caught.value.why for each in said.split("|"))
    assert "zu3eg.pointwise.yaml" in caught.value.hint


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read the engine none\.yaml"):
        read_engine(tmp_path / "none.yaml")
