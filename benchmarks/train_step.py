"""Training steps of the supernet beside the reference's: the largest net, and four subnets with summed gradients.

    python benchmarks/train_step.py [--on cuda] [--json]

Both train OFA-MobileNetV3 from the same weights on the same batches and subnets, one thread, in turn in one process;
the figure is the ratio of the medians. A turn is two steps, the second of which is timed; ours keeps freed memory, as
`ofa-edge train` does. Needs the reference package: pip install --no-deps ofa==0.1.0.post202307202001
"""

import argparse
import contextlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from reference_package import RELEASE, reference_package

from ofa_edge.space import Space, Subnet
from ofa_edge.supernet.network import Supernet
from ofa_edge.training.freed_memory import kept
from ofa_edge.training.optimizer import make_optimizer

SETTINGS = ((0.25, 32, 128), (1.0, 128, 16), (1.0, 224, 8))  # width, pixels, batch
ROUNDS = 5


def vectors(space: Space, subnet: Subnet) -> dict[str, list[int]]:
    """A subnet as the reference wants it: an entry for every block of the supernet."""
    pairs = [list(stage) + [stage[-1]] * (space.depths[-1] - len(stage)) for stage in subnet.stages]
    flat = [pair for stage in pairs for pair in stage]
    return {"ks": [k for k, _ in flat], "e": [e for _, e in flat], "d": list(subnet.depths)}


def timed(step: Callable[[], None], device: str) -> float:
    """Seconds of one step."""
    start = time.perf_counter()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def compare(width: float, pixels: int, batch: int, device: str) -> list[dict[str, object]]:
    """Both implementations on one setting."""
    torch.manual_seed(0)
    space = Space("benchmark", width, 3, 1000, resolutions=(pixels,))
    theirs = reference_package().networks.OFAMobileNetV3(
        n_classes=1000, width_mult=width, ks_list=[3, 5, 7], expand_ratio_list=[3, 4, 6], depth_list=[2, 3, 4],
        dropout_rate=0.0,
    )  # fmt: skip
    ours = Supernet(space)
    ours.load_state_dict(theirs.state_dict(), strict=False)
    ours.to(device, memory_format=torch.channels_last)
    theirs.to(device)
    images, labels = (
        torch.randn(batch, 3, pixels, pixels, device=device),
        torch.randint(0, 1000, (batch,), device=device),
    )
    fast = images.contiguous(memory_format=torch.channels_last)
    rng = np.random.default_rng(0)
    mixed = [space.subnet(row) for row in space.sample(rng, 4)]
    optimizers = [make_optimizer(net, 0.9, 3e-5) for net in (ours, theirs)]
    amp = torch.autocast(device, torch.bfloat16, enabled=device == "cuda")

    def our_step(subnets: list[Subnet]) -> None:
        optimizers[0].zero_grad()
        for subnet in subnets:
            with amp:
                loss = F.cross_entropy(ours(fast, subnet), labels)
            loss.backward()
        optimizers[0].step()

    def their_step(subnets: list[Subnet]) -> None:
        optimizers[1].zero_grad()
        for subnet in subnets:
            theirs.set_active_subnet(**vectors(space, subnet))
            with amp:
                loss = F.cross_entropy(theirs(images), labels)
            loss.backward()
        optimizers[1].step()

    rows: list[dict[str, object]] = []
    ours.train(), theirs.train()
    for name, subnets in (("largest", [space.largest()]), ("four random", mixed)):
        seconds: tuple[list[float], list[float]] = ([], [])
        for _ in range(ROUNDS):
            for index, (step, memory) in enumerate(((our_step, kept), (their_step, contextlib.nullcontext))):
                with memory():  # as `ofa-edge train` steps
                    step(subnets)  # warms up
                    seconds[index].append(timed(lambda run=step, chosen=subnets: run(chosen), device))
        mine, reference = (statistics.median(values) for values in seconds)
        ratios = sorted(b / a for a, b in zip(*seconds, strict=True))
        rows.append({
            "width": width, "pixels": pixels, "batch": batch, "step": name,
            "images_per_second": round(batch / mine, 1), "reference_images_per_second": round(batch / reference, 1),
            "ratio": round(reference / mine, 2), "ratio_range": [round(ratios[0], 2), round(ratios[-1], 2)],
        })  # fmt: skip
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--on", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for setting in SETTINGS for row in compare(*setting, options.on)]
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"against ofa {RELEASE}, {options.on}, one thread, {ROUNDS} rounds in turn\n")
    print("| width | pixels | batch | step | images/s | reference | ratio | range |\n|---|---|---|---|---|---|---|---|")
    for row in rows:
        low, high = row["ratio_range"]
        print(
            f"| {row['width']} | {row['pixels']} | {row['batch']} | {row['step']} | {row['images_per_second']} "
            f"| {row['reference_images_per_second']} | {row['ratio']} | {low}-{high} |"
        )


if __name__ == "__main__":
    main()
