"""Fit the size models of ofa_edge/cost/bytes.py to the artifacts that benchmarks/artifacts.py recorded.

    python benchmarks/artifact_sizes.py

Prints the models as they stand in the module, and for each kind of artifact the largest error over all networks, and
over each network by a fit without it. Least squares of relative errors, no coefficient below 0.
"""

import json
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from ofa_edge.cost import operators
from ofa_edge.cost.bytes import SizeModel, size_terms
from ofa_edge.space import Space
from ofa_edge.supernet import zoo

RECORDED = Path(__file__).parent / "artifacts_results"
KINDS = {  # the tool's name in the records -> runtime and precision, and bytes of a weight
    "ours-fp32": ("tflite", "fp32", 4),
    "ours-fp16": ("tflite", "fp16", 2),
    "ours-int8": ("tflite", "int8", 1),
    "tvm": ("tvm", "fp32", 4),
}
SPACES = {"w1.0": "ofa_mbv3_d234_e346_k357_w1.0", "default": zoo.DEFAULT}


def recorded() -> dict[str, list[tuple[Space, dict, int]]]:
    """Space, subnet and bytes of each artifact, by kind."""
    found: dict[str, list[tuple[Space, dict, int]]] = {kind: [] for kind in KINDS}
    spaces = {group: zoo.open_space(name) for group, name in SPACES.items()}
    for path in sorted(RECORDED.glob("*-*.json")):
        facts = json.loads(path.read_text())
        for kind, items in found.items():
            if kind in facts["tools"]:
                items.append((spaces[facts["group"]], facts["subnet"], facts["tools"][kind]["size"]))
    return found


def fit(terms: np.ndarray, sizes: np.ndarray, weight: float) -> np.ndarray:
    """Coefficients of all terms but the first, whose bytes are the format's."""
    rest = (sizes - weight * terms[:, 0]) / sizes
    return np.append(weight, nnls(terms[:, 1:] / sizes[:, None], rest)[0])


def main() -> None:
    """Print models and errors."""
    for kind, items in recorded().items():
        runtime, precision, weight = KINDS[kind]
        terms = np.array([[*size_terms(operators(space, space.from_config(net))), 1] for space, net, _ in items])
        sizes = np.array([size for *_, size in items], dtype=float)
        coefficients = fit(terms, sizes, weight)
        error = np.abs(terms @ coefficients / sizes - 1).max()
        apart = [
            abs(float(terms[i] @ fit(np.delete(terms, i, 0), np.delete(sizes, i), weight)) / sizes[i] - 1)
            for i in range(len(sizes))
        ]
        model = SizeModel(*(round(float(each), 2) for each in coefficients), error=round(float(error) + 0.0005, 3))
        numbers = ", ".join(f"{value:g}" for value in vars(model).values())
        print(f'        ("{runtime}", "{precision}"): SizeModel({numbers}),')
        print(f"        # {len(sizes)} artifacts; a network left out of the fit: within {100 * max(apart):.1f} %")


if __name__ == "__main__":
    main()
