import numpy as np
import pytest

from ofa_edge.cost import macs, macs_table, operators
from ofa_edge.latency.units import UnitTable
from ofa_edge.space import Space

SPACES = (
    Space("fashion", 0.25, 1, 10, (1, 2, 2, 2, 1, 1), (20, 24, 28)),
    Space.of("ofa_proxyless", "proxyless", resolutions=(128, 224)),
    Space.of("ofa_resnet", "resnet", resolutions=(128,)),
)


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_the_units_of_a_network_are_all_of_its_operators(space: Space) -> None:
    table = UnitTable(space)
    genomes = space.sample(np.random.default_rng(0), 6)
    arithmetic = np.array([sum(each.macs for each in unit.operators) for unit in table.units], dtype=np.float64)
    counts = table.counts(genomes)
    assert counts[:, -1].tolist() == [1.0] * 6
    assert (counts @ arithmetic).tolist() == macs_table(space)(genomes)[:, 0].tolist()
    subnet = space.subnet(genomes[0])
    assert counts[0] @ arithmetic == macs(space, subnet)
    length = counts[0] @ np.array([len(unit.operators) for unit in table.units])
    assert length == len(operators(space, subnet))


def test_blocks_of_one_shape_are_one_unit() -> None:
    space = SPACES[0]
    names = [unit.name for unit in UnitTable(space).units]
    assert len(names) == len(set(names))
    blocks = sum(name.startswith("block") for name in names)
    # Of each stage's blocks only the first differs; the last stages have one map size for several resolutions.
    assert blocks <= len(space.resolutions) * 5 * 2 * 9
    assert names[-1] == "call"


def test_rows_hold_a_skipped_block_as_the_number_behind_the_last() -> None:
    space = SPACES[0]
    table = UnitTable(space)
    row = table.rows(space.genome([space.smallest()]))[0]
    assert (row == len(table.units)).sum() == len(space.blocks) - sum(space.smallest().depths)
