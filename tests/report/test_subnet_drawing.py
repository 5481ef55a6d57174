"""The drawing of subnets of every family."""

import re

import pytest
from manifests import manifest

from ofa_edge.records.manifest import Manifest
from ofa_edge.records.network import SubnetRecord
from ofa_edge.report.subnet import TALLEST, WIDTH, subnet_drawing
from ofa_edge.space import FAMILIES, Space, Subnet


def drawn(space: Space, subnet: Subnet) -> str:
    base = manifest()
    supernet = base.supernet.model_copy(update={"space": space.to_json(), "space_hash": space.hash})
    record = SubnetRecord.model_validate_json(SubnetRecord.of(space, subnet).model_dump_json())
    assert Subnet(record.stages, record.resolution, record.widths) == subnet
    changed: Manifest = base.model_copy(update={"supernet": supernet, "subnet": record})
    return str(subnet_drawing(changed))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_block_has_its_place(family: str) -> None:
    space = Space.of(family, "drawn")
    for subnet in (space.smallest(224), space.largest()):
        text = drawn(space, subnet)
        kept = sum(subnet.depths)
        assert len(re.findall(r'class="block k\d"', text)) == kept
        assert text.count('class="skipped"') == len(space.blocks) - kept
        assert max(float(x) for x in re.findall(r' x="([\d.]+)"', text)) < WIDTH


@pytest.mark.parametrize("family", FAMILIES)
def test_no_block_is_taller_than_the_largest_ratio(family: str) -> None:
    """The stem's convolution in ResNets has ratio 1 of a space whose largest is 0.35."""
    text = drawn(space := Space.of(family, "drawn"), space.largest())
    heights = [float(height) for height in re.findall(r'height="([\d.]+)" rx="3" class="block', text)]
    assert len(heights) == len(space.blocks)
    assert max(heights) <= TALLEST


def test_active_widths_are_named() -> None:
    space = Space.of("ofa_resnet", "drawn")
    text = drawn(space, space.smallest(224))
    assert all(
        f">{size}<" in text
        for size in ("24 ch", "168 ch, 56 px", "336 ch, 56 to 28 px", "664 ch, 28 to 14 px", "1328 ch")
    )
    assert ">in stem<" in text
    assert ">stage 4<" in text
    assert ">stage 5<" not in text
