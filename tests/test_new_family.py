"""A family of networks that nothing else knows: one entry of the registry, and all that is done with a space works."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from shaken import shake
from torch import nn

from ofa_edge import cost
from ofa_edge.latency.units import UnitTable
from ofa_edge.records.network import SubnetRecord
from ofa_edge.report.subnet import draw_subnet
from ofa_edge.space import FAMILIES, Family, Layer, Space, StageShape, Subnet
from ofa_edge.supernet.network import Supernet
from ofa_edge.supernet.sorting import sort_channels
from ofa_edge.workflows.calibrate.unit_models import module_of, pieces

MADE_UP = Family(
    parts=(
        Layer("front", "conv", 16, "relu", stride=0),
        Layer("front", "conv", 24, "h_swish", kernel=1),
        StageShape(None, "relu6", optional=True, expand=2, child="early"),
        Layer("shrink", "max_pool", stride=1),
        StageShape(24, "h_swish", squeeze=True, child="late"),
        StageShape(40, "relu", base_depth=1, child="late"),
        Layer("widen", "conv", 64, "h_swish", kernel=1),
        Layer("mean", "global_pool"),
        Layer("narrow", "conv", 32, "relu", kernel=1),
        Layer("classifier", "classifier"),
    ),
    bn_eps=1e-4,
    strides=(2, 2, 1, 2),
    kernels=(3, 5),
    expands=(1, 3),
    depths=(1, 2),
)
ENDS = {"in_channels": 1, "num_classes": 5, "resolutions": (20, 28)}
EXACT = {"rtol": 1e-9, "atol": 1e-9}


@pytest.fixture(params=[(), (0.5, 1.0)], ids=["fixed widths", "elastic widths"])
def space(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Space:
    monkeypatch.setitem(FAMILIES, "made_up", dataclasses.replace(MADE_UP, width_ratios=request.param))
    return Space.of("made_up", "tiny", **ENDS)


def subnets(space: Space) -> Iterator[Subnet]:
    yield from (space.largest(), space.smallest(space.resolutions[-1]))
    yield from map(space.subnet, space.sample(np.random.default_rng(0), 12, space.resolutions[-1]))


def test_subnets_are_drawn_written_and_read(space: Space) -> None:
    assert Space.from_json(space.to_json()) == space
    genomes = space.sample(np.random.default_rng(1), 200)
    assert len(np.unique(genomes[:, : 2 * len(space.blocks)], axis=0)) > 20
    drawn = [space.subnet(genome) for genome in genomes]
    assert np.array_equal(space.genome(drawn), genomes)
    assert [space.from_config(subnet.config()) for subnet in drawn] == drawn
    assert len({subnet.id for subnet in drawn}) == len(set(drawn))


def test_sums_over_blocks_are_what_its_operators_cost(space: Space) -> None:
    genomes = space.sample(np.random.default_rng(2), 50)
    wanted = [cost.macs(space, space.subnet(genome)) for genome in genomes]
    assert cost.macs_table(space)(genomes)[:, 0].tolist() == wanted


def test_in_place_extracted_and_counted_agree(space: Space) -> None:
    torch.manual_seed(0)
    net = Supernet(space).double().eval()
    shake(net, spread=0.3)
    images = torch.randn(2, 1, 28, 28, dtype=torch.float64)
    macs = 0

    def count(module: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal macs
        macs += module.get_parameter("weight")[0].numel() * output[0].numel()

    for subnet in subnets(space):
        static = net.extract(subnet)
        assert sum(each.numel() for each in static.parameters()) == cost.params(space, subnet)
        for module in static.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.register_forward_hook(count)
        with torch.no_grad():
            torch.testing.assert_close(static(images), net(images, subnet), **EXACT)
        assert macs == cost.macs(space, subnet)
        macs = 0
    with torch.no_grad():
        # A gate's own middle is sorted as a whole, so only the full network is sure to stay as it was.
        before = net(images, space.largest())
        sort_channels(net, (3,))
        torch.testing.assert_close(net(images, space.largest()), before, **EXACT)


def test_modules_have_the_names_of_the_family(space: Space) -> None:
    shallow, net = space.smallest(28), Supernet(space)
    assert [name for name, _ in net.named_children()] == list(dict.fromkeys(part.child for part in MADE_UP.parts))
    steps = [(step.source, step.target) for step in net.plan(shallow)]
    assert steps == [
        ("front.0", "front.0"), ("front.1", "front.1"), ("shrink", "shrink"),
        ("late.0", "late.0"), ("late.2", "late.1"), ("late.3", "late.2"),
        ("widen", "widen"), ("mean", "mean"), ("narrow", "narrow"), ("classifier", "classifier"),
    ]  # fmt: skip


def test_every_unit_is_cut_out_of_some_subnet(space: Space) -> None:
    table = UnitTable(space)
    found = pieces(space, table)
    assert set(found) == {unit.name for unit in table.units} - {"call"}
    for name in [*found][::7]:
        module, shape = module_of(space, found[name])
        operators = table.units[table.by_name[name]].operators
        assert sum(each.numel() for each in module.parameters()) == sum(each.params for each in operators)
        with torch.no_grad():
            out = module(torch.zeros(shape))
        assert out.shape[1] == operators[-1].out_channels


def test_its_drawing_names_stages_behind_the_stem(space: Space) -> None:
    drawing = str(draw_subnet(space, SubnetRecord.of(space, space.largest(28))))
    assert [name for name in ("in stem", "stage 1", "stage 2", "stage 3") if f">{name}<" in drawing] == [
        "in stem", "stage 1", "stage 2",
    ]  # fmt: skip
    assert ">24 ch, 7 px<" in drawing
    assert ">40 ch, 7 to 4 px<" in drawing


@pytest.mark.parametrize(
    "changes",
    [
        {"parts": MADE_UP.parts[:-1]},
        {"parts": (*MADE_UP.parts[:3], Layer("front", "conv", 8), *MADE_UP.parts[3:])},
        {"parts": MADE_UP.parts[1:]},
        {
            "parts": (MADE_UP.parts[0], *MADE_UP.parts[2:-1], Layer("mix", "mix", 8), MADE_UP.parts[-1]),
            "width_ratios": (1,),
        },
        {"depths": (0, 1)},
    ],
    ids=[
        "no classifier",
        "a child in two places",
        "no stride of the stem",
        "no elastic twin",
        "an empty stage with a width",
    ],
)
def test_a_family_that_could_not_run_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"a family|elastic|a stage"):
        dataclasses.replace(MADE_UP, **changes)
