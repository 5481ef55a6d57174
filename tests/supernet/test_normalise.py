"""Batch norm over several processes is batch norm of the whole batch."""

import pytest
import torch
from tiny_runs import ended, start_world
from torch.nn import functional as F

from ofa_edge.supernet.normalise import BatchNorm, synchronise

CHANNELS, ACTIVE, ROWS = 6, 4, 5


def layer(dtype=torch.float32):
    generator = torch.Generator().manual_seed(3)
    norm = BatchNorm(CHANNELS, eps=1e-5, momentum=0.1)
    with torch.no_grad():
        norm.weight.copy_(torch.rand(CHANNELS, generator=generator) + 0.5)
        norm.bias.copy_(torch.randn(CHANNELS, generator=generator))
    return norm.to(dtype)


def whole_batch(offset):
    generator = torch.Generator().manual_seed(4)
    scale = torch.tensor([0.1, 1.0, 10.0, 2.0]).view(1, -1, 1, 1)
    x = torch.randn(2 * ROWS, ACTIVE, 3, 3, generator=generator) * scale + offset
    return x, torch.randn(x.shape, generator=generator)


def pass_through(norm, x, weights):
    """Two training passes on the first channels; what came out and what flowed back."""
    for _ in range(2):
        norm.zero_grad()
        x = x.detach().requires_grad_()
        out = norm.normalise(
            x, norm.weight[:ACTIVE], norm.bias[:ACTIVE], norm.running_mean[:ACTIVE], norm.running_var[:ACTIVE]
        )
        (F.hardswish(out) * weights).sum().backward()
    return {
        "out": out.detach(),
        "x": x.grad,
        "weight": norm.weight.grad,
        "bias": norm.bias.grad,
        "mean": norm.running_mean.clone(),
        "var": norm.running_var.clone(),
        "batches": norm.num_batches_tracked.clone(),
    }


def over_processes(folder, offset):
    import torch.distributed as dist

    dist.init_process_group("gloo")
    rank = dist.get_rank()
    norm = layer().train()
    synchronise(torch.nn.Sequential(norm), dist.group.WORLD)
    x, weights = whole_batch(offset)
    rows = slice(rank * ROWS, (rank + 1) * ROWS)
    torch.save(pass_through(norm, x[rows], weights[rows]), folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_two_processes_normalise_the_whole_batch(tmp_path, offset):
    processes = start_world(over_processes, tmp_path, offset, folder=tmp_path)
    for rank, process in enumerate(processes):
        assert ended(process) == 0, (tmp_path / f"out-{rank}").read_text()
    wanted = pass_through(layer(torch.float64).train(), *(part.double() for part in whole_batch(offset)))
    parts = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    tolerance = 1e-5 if offset == 0 else 1e-3  # float32 holds seven digits: two are the offset's here
    for name in ("out", "x"):
        together = torch.cat([part[name] for part in parts])
        torch.testing.assert_close(together.double(), wanted[name], rtol=tolerance, atol=10 * tolerance)
    for name in ("weight", "bias"):
        torch.testing.assert_close(
            (parts[0][name] + parts[1][name]).double(), wanted[name], rtol=tolerance, atol=10 * tolerance
        )
    for name in ("mean", "var", "batches"):
        assert torch.equal(parts[0][name], parts[1][name])
        torch.testing.assert_close(parts[0][name].double(), wanted[name].double(), rtol=1e-5, atol=1e-5)


def test_one_process_is_torchs_own():
    x, _ = whole_batch(1.0)
    ours, theirs = layer().train(), torch.nn.BatchNorm2d(CHANNELS).train()
    theirs.load_state_dict(ours.state_dict())
    full = torch.cat([x, x[:, :2] * 2], dim=1)
    assert torch.equal(ours(full), theirs(full))
    assert all(torch.equal(one, other) for one, other in zip(ours.buffers(), theirs.buffers(), strict=True))
    assert torch.equal(ours.eval()(full), theirs.eval()(full))


def test_inactive_channels_keep_their_statistics():
    norm = layer().train()
    x, weights = whole_batch(2.0)
    result = pass_through(norm, x, weights)
    assert torch.equal(result["mean"][ACTIVE:], torch.zeros(CHANNELS - ACTIVE))
    assert torch.equal(result["var"][ACTIVE:], torch.ones(CHANNELS - ACTIVE))
    assert torch.equal(result["weight"][ACTIVE:], torch.zeros(CHANNELS - ACTIVE))
    assert result["batches"] == 2
