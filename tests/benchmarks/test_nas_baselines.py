"""The searches of other papers: latencies add up to the model's, choices become subnets, budgets are kept."""

import json
import shutil
import sys

import numpy as np
import pytest
import torch
from places import ROOT

from ofa_edge.latency.load import load_latency_model
from ofa_edge.space import Space
from ofa_edge.targets import load_target

FOLDER = ROOT / "benchmarks" / "nas_baselines"
SPACE = Space("proof", 0.25, 1, 10, (1, 2, 2, 2, 1, 1), (16,))


@pytest.fixture(scope="module")
def mixture():
    sys.path.insert(0, str(FOLDER))
    try:
        import mixture

        yield mixture
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def model():
    return load_latency_model(load_target("raspberry-pi-4"), SPACE, "tflite", "fp32")


def choices_of(mixture, subnet) -> list[int]:
    pairs = mixture.pairs(SPACE)
    stages = [(subnet.stages[spec.stage], spec.position) for spec in SPACE.blocks]
    return [pairs.index(stage[place]) if place < len(stage) else len(pairs) for stage, place in stages]


def test_choices_add_up_to_the_models_latency_and_become_their_subnet(mixture, model):
    latencies = mixture.Latencies.of(model, SPACE)
    for row in SPACE.sample(np.random.default_rng(0), 30):
        subnet = SPACE.subnet(row)
        choices = choices_of(mixture, subnet)
        assert latencies.total(choices) == pytest.approx(float(model.predict(subnet).ms), rel=1e-9)
        assert mixture.subnet_of(SPACE, choices) == subnet
    spread = [torch.full((len(block),), 1 / len(block)) for block in latencies.blocks]
    mean = latencies.fixed + sum(float(block.mean()) for block in latencies.blocks)
    assert latencies.expected(spread).item() == pytest.approx(mean, rel=1e-5)


def test_what_is_derived_keeps_the_budget_and_gives_up_the_least(mixture, model):
    latencies = mixture.Latencies.of(model, SPACE)
    rng = np.random.default_rng(1)
    scores = [np.log(rng.dirichlet(np.ones(len(block)))) for block in latencies.blocks]
    likeliest = [int(row.argmax()) for row in scores]
    roomy = mixture.derive(scores, latencies, latencies.total(likeliest) + 1e-9)
    assert roomy == likeliest
    budget = 0.9 * latencies.total(likeliest)
    kept = mixture.derive(scores, latencies, budget)
    assert latencies.total(kept) <= budget
    ample = mixture.derive(scores, latencies, 1.5 * latencies.total(likeliest))
    assert 0.9 <= latencies.total(ample) / (1.5 * latencies.total(likeliest)) <= 1
    assert sum(one != other for one, other in zip(kept, likeliest, strict=True)) < len(likeliest) / 2


def test_results_under_another_budget_are_not_set_beside_the_others(mixture, tmp_path):
    import table

    shutil.copytree(FOLDER / "results", tmp_path / "results")
    assert "| FBNet" in table.page(tmp_path / "results")
    path = tmp_path / "results" / "fbnet-0.result.json"
    result = json.loads(path.read_text())
    path.write_text(json.dumps(result | {"budget_ms": 1.01 * result["budget_ms"]}))
    page = table.page(tmp_path / "results")
    assert "| FBNet" not in page
    assert "FBNet: Gumbel-softmax" in page.splitlines()[-1]


def test_one_candidate_alone_is_the_plain_network(mixture):
    torch.manual_seed(0)
    net = mixture.Mixture(SPACE).eval()
    x = torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        alone = net(x, lambda index: [(0, None)])
        weighted = net(x, lambda index: [(0, torch.ones(())), (1, torch.zeros(()))])
    assert alone.shape == (2, 10)
    assert torch.allclose(alone, weighted)
