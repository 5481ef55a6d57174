"""How long a latency model takes for 10,000 subnets: CPU seconds, the median of seven calls.

python benchmarks/latency.py
"""

import time

import numpy as np

from ofa_edge.latency import LatencyModel, load_latency_model
from ofa_edge.latency.lookup_yaml import tables_of
from ofa_edge.latency.table import TableModel
from ofa_edge.space import Space
from ofa_edge.targets import load_target

SUBNETS = 10_000


def main() -> None:
    """Print one line for each kind of model."""
    space = Space("w1.2", 1.2)
    analytic = load_latency_model(load_target("raspberry-pi-4"), space, "tflite", "fp32")
    table = TableModel(space, tables_of(analytic, space), analytic.key, analytic.provenance, 0.1)
    genomes = space.sample(np.random.default_rng(0), SUBNETS)
    models: tuple[LatencyModel, ...] = (analytic, table)
    for model in models:
        start = time.process_time()
        model.predict_many(genomes)
        first, times = time.process_time() - start, []
        for _ in range(7):
            start = time.process_time()
            model.predict_many(genomes)
            times.append(time.process_time() - start)
        print(f"{model.kind}: {np.median(times):.3f} s for {SUBNETS} subnets, {first:.3f} s the first time")


if __name__ == "__main__":
    main()
