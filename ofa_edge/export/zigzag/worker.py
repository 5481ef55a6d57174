"""Runs ZigZag over layers, in a process of its own: its imports take seconds, and it logs what it likes.

python -m ofa_edge.export.zigzag.worker JOBS
"""

import contextlib
import io
import json
import logging
import sys
from pathlib import Path
from typing import Any

from ofa_edge.errors import ConversionError
from ofa_edge.export.process import reported

# Loops are split into so many factors, where there are no more loops, before all their orders are tried. At 3 the
# cycles of a MobileNetV2 are the same within 0.01 %.
FACTORS = 4
_PRIME = (2, 3, 5, 7, 11, 13)  # kernels that ZigZag does not split
_STREAM = {"I": "I1", "O": "O"}


def main(path: str) -> list[dict[str, Any]]:
    """Answer the jobs of a JSON file, in order."""
    logging.disable(logging.CRITICAL)
    jobs = json.loads(Path(path).read_text())
    with contextlib.redirect_stdout(io.StringIO()):
        return [_answer(job) for job in jobs]


def _answer(job: dict[str, Any]) -> dict[str, Any]:
    from zigzag.mapping.temporal_mapping import TemporalMappingType
    from zigzag.parser.accelerator_factory import AcceleratorFactory
    from zigzag.parser.accelerator_validator import AcceleratorValidator
    from zigzag.parser.mapping_validator import MappingValidator
    from zigzag.parser.workload_factory import WorkloadFactory
    from zigzag.parser.workload_validator import WorkloadValidator
    from zigzag.stages.evaluation.cost_model_evaluation import CostModelStage
    from zigzag.stages.main import MainStage
    from zigzag.stages.mapping.spatial_mapping_generation import SpatialMappingGeneratorStage
    from zigzag.stages.mapping.temporal_mapping_generator_stage import TemporalMappingGeneratorStage
    from zigzag.stages.results.reduce_stages import MinimalLatencyStage
    from zigzag.stages.workload_iterator import WorkloadStage

    engine = _with_stream(job["engine"], job["streamed"])
    mapping = {
        "name": "default",
        "spatial_mapping": {dimension: list(loops) for dimension, loops in engine["dataflows"].items()},
        "memory_operand_links": {"O": "O", "W": "I2", "I": "I1"},
        "temporal_ordering": _inner_loops(job["workload"]),
    }
    workload = WorkloadFactory(
        WorkloadValidator([job["workload"]]).normalized_data, MappingValidator([mapping]).normalized_data
    ).create()
    stages = [
        WorkloadStage,
        MinimalLatencyStage,
        SpatialMappingGeneratorStage,
        MinimalLatencyStage,
        TemporalMappingGeneratorStage,
        CostModelStage,
    ]
    try:
        ((found, _),) = MainStage(
            stages,
            workload=workload,
            accelerator=AcceleratorFactory(AcceleratorValidator(engine).normalized_data).create(),
            loma_lpf_limit=FACTORS,
            loma_show_progress_bar=False,
            nb_mappings_generated=1,
            enable_mix_spatial_mapping_generation=False,
            access_same_data_considered_as_no_access=True,
            temporal_mapping_type=TemporalMappingType.UNEVEN,
        ).run()
    except Exception as error:  # its stages raise what they like
        raise ConversionError(
            f"ZigZag finds no mapping of {job['name']} on {engine['name']}",
            f"{type(error).__name__}: {error}"[:400],
            "larger memories in the engine's file",
        ) from error
    return _told(found, engine, job["streamed"])


def _inner_loops(workload: dict[str, Any]) -> list[list[str]]:
    """The taps of a kernel innermost, so that a sum stays in its register: few orders are left to try."""
    sizes = dict(zip(workload["loop_dims"], workload["loop_sizes"], strict=True))
    taps = [each for each in ("FX", "FY") if sizes[each] in _PRIME]
    return [[each, "*"] for each in taps]


def _told(found: Any, engine: dict[str, Any], streamed: str) -> dict[str, Any]:
    """Cycles, energy in pJ, bytes to and from off the chip, and bytes of shared memories that are taken."""
    off_chip = list(engine["memories"])[-2 if streamed else -1]
    width = max(port["bandwidth_max"] for port in engine["memories"][off_chip]["ports"])
    words = 0.0
    taken: dict[str, float] = {}
    for operand, link in (("I", "I1"), ("W", "I2"), ("O", "O")):
        levels = [name for name, memory in engine["memories"].items() if link in memory["operands"]]
        moved = found.memory_word_access[_key(found.memory_word_access, operand)]
        for name, each in zip(levels, moved, strict=True):
            words += sum(each.data.values()) if name == off_chip else 0
        shares = found.mem_utili_shared[_key(found.mem_utili_shared, operand)]
        taken |= {name: share * engine["memories"][name]["size"] for name, share in zip(levels, shares, strict=True)}
    array = set(engine["operational_array"]["dimensions"])
    shared = [
        name
        for name, memory in list(engine["memories"].items())[: -2 if streamed else -1]
        if set(memory["served_dimensions"]) == array
    ]
    return {
        "cycles": round(found.latency_total2),
        "energy_pj": float(found.energy_total),
        "offchip_bytes": round(words * width / 8),
        "sram_bytes": round(sum(taken.get(name, 0) for name in shared) / 8),
    }


def _key(table: Any, operand: str) -> Any:
    return next(each for each in table if each.name == operand)


def _with_stream(engine: dict[str, Any], streamed: str) -> dict[str, Any]:
    """The engine with another source or sink of one operand: the other engine, which is as wide as it needs to be."""
    if not streamed:
        return engine
    operand = _STREAM[streamed]
    changed: dict[str, Any] = json.loads(json.dumps(engine))
    last = list(changed["memories"].values())[-1]
    last["operands"] = [each for each in last["operands"] if each != operand]
    for port in last["ports"]:
        port["allocation"] = [each for each in port["allocation"] if not each.startswith(f"{operand}, ")]
    last["ports"] = [port for port in last["ports"] if port["allocation"]]
    directions = [f"{operand}, {way}" for way in (("fh", "tl") if streamed == "I" else ("fh", "tl", "fl", "th"))]
    wide = max(port["bandwidth_max"] for memory in engine["memories"].values() for port in memory["ports"])
    changed["memories"]["other_engine"] = {
        **{"size": last["size"], "r_cost": 0.0, "w_cost": 0.0, "area": 0.0, "latency": 1, "operands": [operand]},
        "ports": [
            {
                "name": "rw_port_1",
                "type": "read_write",
                "bandwidth_min": 8,
                "bandwidth_max": wide,
                "allocation": directions,
            }
        ],
        "served_dimensions": last["served_dimensions"],
    }
    return changed


if __name__ == "__main__":
    sys.exit(reported(lambda: main(sys.argv[1])))
