"""What does `--tune` gain for each minute, and how much of another subnet does the database know already?

    python benchmarks/tune.py [--supernet fashion-mnist] [--tune 5m] [--nets 9]

Tunes one random subnet of a supernet with random weights for this machine's CPU, one thread, and prints the gain
against the minutes spent; then the share of the functions of other random subnets that a database knows after 1, 2, 4
and 8 of them were tuned in full, at the same resolution and at another. Times are CPU time of the calling thread, of
pairs that took turns; minutes are wall time, and grow with the load that is printed. Prints Markdown.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch

from ofa_edge.device.access import device_key
from ofa_edge.device.connections.local import LocalConnection
from ofa_edge.device.emulation.sysroot import cache_folder
from ofa_edge.device.measuring.turns import check_timeable, open_turns
from ofa_edge.device.runners.build import build_tvm_turns
from ofa_edge.export.onnx.export import export_onnx
from ofa_edge.export.tvm import compile as tvm
from ofa_edge.export.tvm.tuning.acceptance import compare
from ofa_edge.export.tvm.tuning.budget import Budget, parse_duration
from ofa_edge.export.tvm.tuning.database import Database, TunedFunction, place
from ofa_edge.export.tvm.tuning.functions import NetworkFunction, network_functions
from ofa_edge.export.tvm.tuning.tuner import Bench, tune, weigh
from ofa_edge.export.tvm.tuning.turns import MAIN, Turn, argument
from ofa_edge.runtimes.tuning import NETWORK_ROUNDS, ConnectionTimer
from ofa_edge.space import Space, Subnet
from ofa_edge.supernet.bn_recalibration import recalibrate_bn
from ofa_edge.supernet.fold import fold_batch_norm
from ofa_edge.supernet.static import StaticNet
from ofa_edge.supernet.zoo import DEFAULT, open_supernet

Keys = dict[str, int]  # work of one inference by function
_AFTER = (1, 2, 4, 8)


def say(*words: object) -> None:
    """Progress, not part of the result."""
    print(*words, file=sys.stderr, flush=True)


def export(space: Space, subnet: Subnet, path: Path) -> tuple[int, ...]:
    """Write a subnet with random weights; return its input's shape."""
    torch.manual_seed(0)
    shape = (1, space.in_channels, subnet.resolution, subnet.resolution)
    net = StaticNet(space, subnet).eval()
    recalibrate_bn(net, [torch.randn(4, *shape[1:])])
    export_onnx(fold_batch_norm(net), shape, path)
    return shape


def draw(space: Space, count: int, size: int) -> list[Subnet]:
    """Random subnets of one resolution."""
    return [space.subnet(genome) for genome in space.sample(np.random.default_rng(size), count, size)]


def gain(path: Path, shape: tuple[int, ...], seconds: float, folder: Path) -> None:
    """Tune one network and print its gain over time."""
    spec = tvm.host_target()
    target, connection = tvm.make_target(spec, "llvm"), LocalConnection()
    fingerprint = check_timeable(connection, str(target.attrs["mtriple"]).split("-")[0])
    where, database = place(device_key(fingerprint), target), Database(folder / "tuning.json")
    untuned = tvm.compile_cpu(path, folder / "untuned.so", spec).file.path
    functions = network_functions(path, target, "fp32")
    program = build_tvm_turns(fingerprint.arch, cache_folder())
    with open_turns(connection, program, 1) as turns:
        timer = ConnectionTimer(turns)
        networks = [Turn(untuned, MAIN, (argument("float32", shape),))]
        whole_us = float(np.median(timer.time(networks, 11, 60))) / 1e3
        budget, seen = Budget(seconds), list[tuple[float, TunedFunction]]()

        def done(record: TunedFunction) -> None:
            seen.append((budget.spent(), record))
            say(f"{budget.spent():.0f} s: {record.default_us:.1f} us -> {record.ratio:.3f} ({record.tried} tried)")

        ordered = weigh(functions, untuned, timer, 0.1 * seconds)
        sweep = tune(ordered, Bench(target, timer), database, where, budget, on_function=done)
        knobs = {record.key: record.knobs for record in sweep.tuned if not record.is_default}
        tuned = tvm.compile_cpu(path, folder / "tuned.so", spec, chooser=knobs.get).file.path
        image = (argument("float32", shape),)
        times = timer.time([Turn(untuned, MAIN, image), Turn(tuned, MAIN, image)], NETWORK_ROUNDS, 120)
    result = compare(times[:, 0], times[:, 1])
    _print_gain(functions, seen, whole_us, seconds)
    tried = sum(record.tried for record in sweep.tuned)
    print(
        f"\n{len(sweep.tuned)} of {len(functions)} functions reached, {len(knobs)} with knobs of their own, {tried} "
        f"schedules timed in {sweep.seconds / 60:.1f} minutes. Whole library, tuned / untuned in turn: "
        f"**{result.ratio:.3f}** (faster in {result.wins} of {result.rounds} rounds)."
    )


def _print_gain(
    functions: Sequence[NetworkFunction],
    seen: Sequence[tuple[float, TunedFunction]],
    whole_us: float,
    seconds: float,
) -> None:
    calls = {each.key: each.calls for each in functions}
    print("| minutes | functions | sum of their gains, share of the network's time |")
    print("|---|---|---|")
    last = max((spent for spent, _ in seen), default=seconds)
    for step in range(1, 9):
        limit = last * step / 8
        reached = [record for spent, record in seen if spent <= limit]
        saved = sum(calls[each.key] * each.default_us * (1 - each.ratio) for each in reached)
        print(f"| {limit / 60:.1f} | {len(reached)} | {100 * saved / whole_us:.1f} % |")


def keys_of(space: Space, subnets: Sequence[Subnet], folder: Path) -> list[Keys]:
    """The functions of each subnet."""
    target, found = tvm.make_target(tvm.host_target(), "llvm"), []
    for index, subnet in enumerate(subnets):
        export(space, subnet, folder / "net.onnx")
        functions = network_functions(folder / "net.onnx", target, "fp32")
        found.append({each.key: each.calls * each.work for each in functions})
        say(f"subnet {index} at {subnet.resolution}: {len(functions)} functions")
    return found


def _hits(known: Sequence[Keys], asked: Sequence[Keys]) -> tuple[float, float]:
    """Mean share of the functions, and of the work, of networks that others have."""
    keys = set().union(*known)
    functions = [len(keys & set(each)) / len(each) for each in asked]
    work = [sum(value for key, value in each.items() if key in keys) / sum(each.values()) for each in asked]
    return float(np.mean(functions)), float(np.mean(work))


def hit_rate(space: Space, count: int, folder: Path) -> None:
    """Print how much of other subnets is known."""
    size, other = space.resolutions[-1], space.resolutions[0]
    same, away = (keys_of(space, draw(space, number, each), folder) for number, each in ((count, size), (4, other)))
    print(f"\n| subnets tuned at {size} | functions of others at {size} | their work | at {other} | their work |")
    print("|---|---|---|---|---|")
    for number in (each for each in _AFTER if each < count):
        shares = (*_hits(same[:number], same[number:]), *_hits(same[:number], away))
        print(f"| {number} | " + " | ".join(f"{100 * share:.0f} %" for share in shares) + " |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--supernet", default=DEFAULT)
    parser.add_argument("--tune", default="5m", help="budget; 0 for the hit rate alone")
    parser.add_argument("--nets", type=int, default=9, help="for the hit rate; 0 for none")
    options = parser.parse_args()
    space = open_supernet(options.supernet, untrained=options.supernet != DEFAULT).space
    seconds = parse_duration(options.tune)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subnet = draw(space, 1, space.resolutions[-1])[0]
        print(f"## {options.supernet}, {subnet.resolution} px, budget {options.tune}, load {os.getloadavg()[0]:.1f}\n")
        if seconds:
            gain(folder / "tuned.onnx", export(space, subnet, folder / "tuned.onnx"), seconds, folder)
        if options.nets:
            hit_rate(space, options.nets, folder)


if __name__ == "__main__":
    main()
