"""The accelerators of a co-design: Arm's, a file's, within limits; and files that are wrong."""

import pytest

from ofa_edge.errors import ConfigError, UnknownNameError
from ofa_edge.export.vela.options import ACCELERATORS
from ofa_edge.targets import builtin_folder
from ofa_edge.workflows.codesign.accelerators import Limits, read_accelerators

SMALL = """
[accelerators.small]
accelerator = "ethos-u55-64"
config = "Arm/vela.ini"
system_config = "Ethos_U55_High_End_Embedded"
memory_mode = "Shared_Sram"
sram_bytes = 1048576
"""
ARRAY = f"""
[arrays.mine]
pointwise = "{builtin_folder() / "zu3eg.pointwise.yaml"}"
depthwise = "{builtin_folder() / "zu3eg.depthwise.yaml"}"
clock_mhz = 100.0
area_mm2 = 2.5
"""


def test_arms_series_are_accelerators_that_vela_knows():
    found = read_accelerators(None)
    assert [each.name for each in found] == [each.name for each in read_accelerators("ethos-u")]
    assert {each.target.npu.accelerator for each in found} < set(ACCELERATORS)
    assert len({each.name for each in found}) == len(found) > 8


def test_limits_keep_what_is_within_them():
    found = read_accelerators("ethos-u", Limits(macs=128))
    assert {each.size.macs_per_cycle for each in found} == {32, 64, 128}
    assert all(each.size.sram_bytes <= 400_000 for each in read_accelerators("ethos-u", Limits(sram=400_000)))
    with pytest.raises(ConfigError, match="within the limits") as caught:
        read_accelerators("ethos-u", Limits(macs=16))
    assert "32 MACs" in caught.value.why


def test_an_area_is_known_only_where_a_file_gives_it(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SMALL + ARRAY)
    assert [each.name for each in read_accelerators(str(path), Limits(area=3.0))] == ["mine"]
    with pytest.raises(ConfigError, match="within the limits") as caught:
        read_accelerators("ethos-u", Limits(area=1e6))
    assert "no source gives" in caught.value.why
    assert "area_mm2" in caught.value.hint


def test_arrays_stand_beside_arms(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SMALL + ARRAY)
    small, mine = read_accelerators(str(path))
    assert (small.size.macs_per_cycle, mine.size.macs_per_cycle) == (64, 8 * 12 * 12 + 4 * 12)
    assert mine.size.sram_bytes == 216 * 36 * 1024 // 8  # all block RAM of a ZU3EG: 7.6 Mb
    assert [each.name for each in read_accelerators("zigzag")] == ["zu3eg", "zu9eg"]
    assert read_accelerators("zigzag")[1].size.sram_bytes == 912 * 36 * 1024 // 8
    path.write_text(SMALL + ARRAY.replace("arrays.mine", "arrays.small"))
    with pytest.raises(ConfigError, match=r"mine\.toml") as caught:
        read_accelerators(str(path))
    assert "small is both" in caught.value.why


def test_a_files_accelerators_have_its_names(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SMALL + SMALL.replace("small", "other").replace("u55-64", "u55-256"))
    assert [(each.name, each.size.macs_per_cycle) for each in read_accelerators(str(path))] == [
        ("small", 64),
        ("other", 256),
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("sram_bytes", "sram_byte", "nearest known key: 'accelerators.small.sram_bytes'"),
        ("1048576", "-1", "sram_bytes = -1"),
        ("[accelerators.small]", "[accelerators]", "accelerators"),
        ('"ethos-u55-64"', "64", "accelerator = 64"),
        ("[accelerators.small]", "[accelerators.small", "Expected"),
    ],
)
def test_a_bad_file_is_named_with_key_and_fault(tmp_path, old, new, said):
    path = tmp_path / "mine.toml"
    path.write_text(SMALL.replace(old, new, 1))
    with pytest.raises(ConfigError, match=r"mine\.toml") as caught:
        read_accelerators(str(path))
    assert said in caught.value.why


def test_an_accelerator_without_a_number_is_named_before_limits_ask_for_it(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SMALL.replace("ethos-u55-64", "ethos-u55"))
    with pytest.raises(UnknownNameError, match="ethos-u55") as caught:
        read_accelerators(str(path), Limits(macs=64))
    assert "mine.toml" in caught.value.hint


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="cannot read accelerators"):
        read_accelerators(str(tmp_path / "none.toml"))
