"""The co-design table of the Once-For-All paper, repeated in shape: subnets searched for an accelerator, beside others.

    python benchmarks/codesign.py run [--accelerator NAME ...] [--space NAME ...]
    python benchmarks/codesign.py table > docs/benchmarks/codesign.md

Needs the extras train, ethos-u and zigzag. What a run records stays in benchmarks/codesign_results.json; a run of
everything takes some twenty CPU minutes, most of them ZigZag's, and what was told once is in the cache.
"""

import argparse
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ofa_edge.cache import StageCache, default_root
from ofa_edge.cost import macs_table, operators
from ofa_edge.cost.well_known import mnasnet, mobilenet_v2
from ofa_edge.files import write_bytes
from ofa_edge.records.codesign import NetworkRecord
from ofa_edge.search.evolution import SearchOptions, search_front
from ofa_edge.space import Space
from ofa_edge.supernet import zoo
from ofa_edge.targets import load_target
from ofa_edge.workflows.codesign.accelerators import Accelerator
from ofa_edge.workflows.codesign.codesign import cycle_model
from ofa_edge.workflows.codesign.compiled import compiled

RESULTS = Path(__file__).with_name("codesign_results.json")
ACCELERATORS = ("zu3eg", "zu9eg", "ethos-u55-256", "ethos-u85-256", "ethos-u65-256", "ethos-u55-128")
SPACES = {"ProxylessNAS": "ofa_proxyless_d234_e346_k357_w1.3", "MobileNetV3": "ofa_mbv3_d234_e346_k357_w1.0"}
RIVALS = {"MobileNetV2": mobilenet_v2, "MnasNet": mnasnet}
SIZE = 224
RANDOM = 5  # subnets of as many MACs, beside the chosen one
_EVALUATIONS = 6000
_TRIED = 8  # of a front, compiled in full: the model that chose them is a fit
_EQUAL = 0.02  # how far from the rival what is called equal may be
# Once-For-All (ICLR 2020), section 4 and figures 12 and 13: gains over MobileNetV2 and MnasNet, in percent.
PAPER = {"intensity": (33, 48), "GOPS/s": (70, 92)}


def space_of(name: str) -> Space:
    """A published space at one resolution, that of the rivals."""
    return dataclasses.replace(zoo.open_space(name), resolutions=(SIZE,))


def run(accelerator: str, space_name: str, cache: StageCache) -> dict[str, Any]:
    """Rivals, the subnets found for them, and random subnets, on one accelerator."""
    each = Accelerator.of(accelerator, load_target(accelerator))
    space = space_of(SPACES[space_name])
    model, mape = cycle_model(space, each, cache, 0)
    table = macs_table(space)
    front = search_front(
        space,
        lambda genomes: np.asarray(model.predict_many(genomes).ms),
        lambda genomes: table(genomes)[:, 0] / 1e9,  # the more the better: what accuracy rises with
        options=dataclasses.replace(SearchOptions(), evaluations=_EVALUATIONS),
    ).genomes
    counts, ms = table(front)[:, 0], np.asarray(model.predict_many(front).ms)
    rows = []
    for rival, make in RIVALS.items():
        (own,) = compiled(each, [(rival, make(size=SIZE))], cache)
        rows.append(
            {
                "rival": row(own),
                "equal latency": best_of(each, space, front[nearest(ms, own.ms)], "latency", own, cache),
                "equal MACs": best_of(each, space, front[nearest(counts, own.macs)], "MACs", own, cache),
                "random": random_of(each, space, own, cache),
            }
        )
    return {"mape": mape, "compiler": model.key.version, "kind": model.provenance.kind, "rows": rows}


def nearest(values: np.ndarray, wanted: float) -> np.ndarray:
    """Places of the values around one, in order."""
    return np.sort(np.argsort(np.abs(np.log(values / wanted)))[:_TRIED])


def best_of(
    accelerator: Accelerator, space: Space, genomes: np.ndarray, equal: str, own: NetworkRecord, cache: StageCache
) -> dict[str, Any]:
    """The best of a few subnets compiled in full: most MACs as fast as a rival, or the fastest of as many MACs.

    Where none is equal, that which is nearest to it.
    """
    subnets = [space.subnet(genome) for genome in genomes]
    found = compiled(accelerator, [(subnet.id, operators(space, subnet)) for subnet in subnets], cache)
    shares = np.array([[each.ms / own.ms, each.macs / own.macs] for each in found])
    off = np.abs(np.log(shares[:, 0 if equal == "latency" else 1]))
    worth = shares[:, 1] if equal == "latency" else -shares[:, 0]
    place = int(np.where(off <= _EQUAL, worth, -np.inf).argmax() if off.min() <= _EQUAL else off.argmin())
    kernels = [block.kernel for block in space.active_blocks(subnets[place])]
    return row(found[place]) | {"kernels": {str(size): kernels.count(size) for size in sorted(set(kernels))}}


def random_of(accelerator: Accelerator, space: Space, own: NetworkRecord, cache: StageCache) -> dict[str, float]:
    """The medians of random subnets whose MACs are the nearest to a rival's: what is no search's doing."""
    genomes = space.sample(np.random.default_rng(1), 2000)
    order = np.argsort(np.abs(np.log(macs_table(space)(genomes)[:, 0] / own.macs)))[:RANDOM]
    subnets = [space.subnet(genome) for genome in genomes[order]]
    found = compiled(accelerator, [(subnet.id, operators(space, subnet)) for subnet in subnets], cache)
    rows = [row(each) for each in found]
    return {key: float(np.median([each[key] for each in rows])) for key in FIGURES}


FIGURES = ("macs", "ms", "intensity", "gops", "utilisation")


def row(each: NetworkRecord) -> dict[str, Any]:
    """What is kept of a network."""
    return {"name": each.role, **{key: float(getattr(each, key)) for key in FIGURES}, "energy_uj": each.energy_uj}


# -- the page ---------------------------------------------------------------------------------------------------------

HEAD = """# Subnets for an accelerator, beside networks for none

Printed by `python benchmarks/codesign.py table` from `benchmarks/codesign_results.json`, which `python
benchmarks/codesign.py run` wrote. Once-For-All (ICLR 2020, section 4, figures 11 to 14) searched subnets for two
FPGAs and measured on them, beside MobileNetV2 and MnasNet, {low_i} to {high_i} % more operations for each byte and
{low_g} to {high_g} % more operations a second. This page has the same comparison with models of accelerators:
nothing was measured.

`zu3eg` and `zu9eg` are descriptions of arrays with those FPGAs' resources (modelled: ZigZag), the others Arm's
(estimated: Vela's cycles at the accelerator's clock). All networks take 224 x 224 images, int8, one at a time.
Weights are random and do not matter. No accuracy is in it. Of {tried} subnets of the front near a rival, compiled in
full, *equal latency* is the one with most MACs that takes as long within {equal:.0%}, *equal MACs* the fastest with as
many within {equal:.0%}; where none is so near, the nearest. *random* is the median of {random} random subnets with as
many MACs, which no search chose. MnasNet is B1, without squeeze-and-excite, as the FPGAs' compiler took
none. ops/byte: two for each multiply-accumulate, over bytes to and from what is not on the chip. In parentheses:
more than the rival.
"""


WHY = """
## Where this differs from the paper, and why

- *The kernels agree.* The paper's subnets for FPGAs have 3x3 kernels alone although larger ones are in the space
  (figure 14), and so have those of the ProxylessNAS space here: the depthwise engine is what takes longest.
- *The gains of the ProxylessNAS space have the paper's sign and are smaller.* ZigZag sends every map off the chip
  between steps, where AMD's compiler keeps small ones there: what a subnet saves in bytes counts for less here. MACs
  stand for accuracy, where the paper searched with an accuracy predictor; its networks are not published with these
  figures.
- *The MobileNetV3 space loses on the arrays.* A gate of squeeze-and-excite needs the whole map before the pointwise
  layer can start: the engines wait for each other, and the map goes off the chip and comes back. AMD's compiler of
  that time did not take such networks, so the paper has no such row.
- *`zu9eg` is used less than `zu3eg`.* Its three cores share the rows of one image; the paper's have an image each.
- *An Ethos-U is another machine.* On the U55s the ProxylessNAS space gains over MnasNet and little or nothing over
  MobileNetV2, on the U65-256 over both, on the U85-256 over neither. Vela keeps maps in SRAM as it can, and these
  arrays run depthwise layers on the same multipliers, so that the rivals' shapes fit them better than the FPGAs'. What
  makes the U85-256 and the U65-256 differ so much was not looked into.
- Nothing here was measured.
"""


def page(record: dict[str, Any]) -> str:
    """The whole page."""
    (low_i, high_i), (low_g, high_g) = PAPER["intensity"], PAPER["GOPS/s"]
    parts = [
        HEAD.format(low_i=low_i, high_i=high_i, low_g=low_g, high_g=high_g, random=RANDOM, tried=_TRIED, equal=_EQUAL),
        _gains(record),
    ]
    parts += [_section(*each) for each in _recorded(record)]
    return "\n".join([*parts, _kernels(record), WHY]) + "\n"


def _recorded(record: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What was run, in order: accelerator, space, what was found."""
    for accelerator in ACCELERATORS:
        for space in SPACES:
            if found := record.get(accelerator, {}).get(space):
                yield accelerator, space, found


def _gain(found: dict[str, Any], rival: dict[str, Any], key: str) -> float:
    return 100 * (found[key] / rival[key] - 1)


def _gains(record: dict[str, Any]) -> str:
    lines = [
        "## More than MobileNetV2 and MnasNet, at equal latency",
        "",
        "| accelerator | space | ops/byte, % | GOPS/s, % | the paper: ops/byte, GOPS/s |",
        "|---|---|---|---|---|",
    ]
    (low_i, high_i), (low_g, high_g) = PAPER["intensity"], PAPER["GOPS/s"]
    for accelerator, space, found in _recorded(record):
        pairs = [(each["equal latency"], each["rival"]) for each in found["rows"]]
        own = [" and ".join(f"{_gain(*pair, key):+.0f}" for pair in pairs) for key in ("intensity", "gops")]
        paper = f"+{low_i} to {high_i}, +{low_g} to {high_g}" if accelerator.startswith("zu") else "-"
        lines.append(f"| {accelerator} | {space} | {own[0]} | {own[1]} | {paper} |")
    return "\n".join([*lines, ""])


def _section(accelerator: str, space: str, found: dict[str, Any]) -> str:
    lines = [
        f"## {accelerator}, {space} space",
        "",
        f"{found['compiler']}, {found['kind']}; the latency model that chose: {100 * found['mape']:.1f} % mean error "
        "over networks held out. The rows are compiled in full.",
        "",
        "| network | M MACs | ms | ops/byte | GOPS/s | utilisation |",
        "|---|---|---|---|---|---|",
    ]
    for each in found["rows"]:
        rival = each["rival"]
        for name in ("rival", "equal latency", "equal MACs", "random"):
            values = each[name]
            words = rival["name"] if name == "rival" else f"{name} as {rival['name']}"
            more = [
                "" if name == "rival" else f" ({_gain(values, rival, key):+.0f} %)" for key in ("intensity", "gops")
            ]
            lines.append(
                f"| {words} | {values['macs'] / 1e6:.0f} | {values['ms']:.3g} | {values['intensity']:.3g}{more[0]} | "
                f"{values['gops']:.3g}{more[1]} | {100 * values['utilisation']:.1f} % |"
            )
    return "\n".join([*lines, ""])


def _kernels(record: dict[str, Any]) -> str:
    lines = [
        "## Kernels of the subnets at equal latency",
        "",
        "| accelerator | space | 3x3 | 5x5 | 7x7 |",
        "|---|---|---|---|---|",
    ]
    for accelerator, space, found in _recorded(record):
        counts = [sum(each["equal latency"]["kernels"].get(size, 0) for each in found["rows"]) for size in "357"]
        lines.append(f"| {accelerator} | {space} | {counts[0]} | {counts[1]} | {counts[2]} |")
    return "\n".join(lines)


def main() -> None:
    """Run a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "table"))
    parser.add_argument("--accelerator", action="append", choices=ACCELERATORS)
    parser.add_argument("--space", action="append", choices=tuple(SPACES))
    options = parser.parse_args()
    record = json.loads(RESULTS.read_bytes()) if RESULTS.is_file() else {}
    if options.command == "table":
        print(page(record), end="")
        return
    cache = StageCache(default_root())
    for accelerator in options.accelerator or ACCELERATORS:
        for space in options.space or SPACES:
            record.setdefault(accelerator, {})[space] = run(accelerator, space, cache)
            write_bytes(RESULTS, (json.dumps(record, indent=1) + "\n").encode())
            print(accelerator, space, flush=True)


if __name__ == "__main__":
    main()
