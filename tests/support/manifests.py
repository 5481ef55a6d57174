"""A complete manifest for tests of the schema and of the report."""

import datetime
import json
from collections.abc import Sequence
from typing import Any

from ofa_edge import cost
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.records.classes import ClassesRecord, ClassRecord
from ofa_edge.records.manifest import (
    DeviceMeasurement,
    FileRecord,
    LatencyPrediction,
    Manifest,
    ModelledCyclesRecord,
    Rung,
    StageRecord,
    TargetRecord,
    Tolerance,
    Verdict,
)
from ofa_edge.records.network import InputRecord, NetworkRecord, OutputRecord, SubnetRecord, SupernetRecord
from ofa_edge.records.search import CandidateRecord, CorrectionRecord, FrontPoint, SearchRecord
from ofa_edge.space import Space, Subnet

SPACE = Space("fashion", 0.25, 1, 10, (1, 2, 2, 2, 1, 1), (20, 24, 28))
STAGES = (((3, 4), (5, 6), (3, 3)), ((3, 4), (5, 4)), ((7, 6), (5, 4), (3, 4), (3, 6)), ((3, 6), (5, 6)), ((5, 4),) * 3)
SUBNET = Subnet(STAGES, 24)
NET = SUBNET.id


def rungs() -> tuple[Rung, ...]:
    gate = Tolerance(max_abs=1e-3, snr_db=60.0, accuracy_drop=0.005)
    common: dict[str, Any] = {"argmax_agreement": 1.0, "top1": 0.918, "images": 2000, "outcome": "pass"}
    return (
        Rung(name="supernet slice", **common),
        Rung(name="BN folded", reference="supernet slice", max_abs=3.1e-6, snr_db=112.4, tolerance=gate, **common),
        Rung(
            name="onnx",
            reference="BN folded",
            file="model.onnx",
            size=1_900_000,
            max_abs=5.5e-6,
            snr_db=108.0,
            tolerance=gate,
            **common,
        ),
        Rung(
            name="tflite fp32",
            reference="supernet slice",
            file="model.tflite",
            size=1_900_000,
            max_abs=6.0e-6,
            snr_db=107.1,
            tolerance=gate,
            **common,
        ),
        Rung(
            name="on device",
            reference="tflite fp32",
            max_abs=6.1e-6,
            snr_db=107.0,
            tolerance=gate,
            note="emulated cortex-a72",
            **common,
        ),
    )


def corrected(search: SearchRecord) -> SearchRecord:
    """The same search with a correction, intervals and a cloud."""
    candidates = tuple(
        item.model_copy(
            update={
                "foreseen_top1": item.score - 0.001,
                "expected_top1": item.score + 0.0003,
                "expected_sd": 0.001,
                "round": 1 + index // 2,
            }
        )
        for index, item in enumerate(search.candidates)
    )
    front = tuple(
        point.model_copy(update={"low90": 0.8 * point.latency_ms, "high90": 1.25 * point.latency_ms})
        for point in search.front
    )
    record = CorrectionRecord(
        measurements=len(candidates),
        rounds=2,
        stopped="settled",
        images=2000,
        shift=-0.002,
        difference_sd=0.003,
        process_sd=0.001,
        compared=len(candidates),
        kendall_predicted=0.3,
        kendall_foreseen=0.5,
        rmse_predicted=0.004,
        rmse_foreseen=0.003,
    )
    cloud = tuple((10.0 + index, 0.91 + 0.001 * index) for index in range(9))
    return SearchRecord.model_validate(
        {**search.model_dump(), "front": front, "candidates": candidates, "correction": record, "cloud": cloud}
    )


def network(space: Space, subnet: Subnet, *, trained: bool = True) -> NetworkRecord:
    """What a manifest says of the network of a subnet."""
    channels = space.in_channels
    preprocessing = Preprocessing(subnet.resolution, channels, (72.9,) * channels, (90.0,) * channels)
    return NetworkRecord(
        kind="subnet",
        source="fashion",
        sha256="0" * 64,
        macs=cost.macs(space, subnet),
        params=cost.params(space, subnet),
        trained=trained,
        dataset="Fashion-MNIST test, 2,000 images" if trained else None,
        inputs=(
            InputRecord(
                name="input",
                shape=(1, channels, subnet.resolution, subnet.resolution),
                layout="NCHW",
                dtype="float32",
                preprocessing=preprocessing.to_json(),
            ),
        ),
        outputs=(OutputRecord(name="logits", shape=(1, space.num_classes), task="classify"),),
    )


def facts() -> dict[str, Any]:
    """Keyword arguments of a Manifest whose every part is filled."""
    front = tuple(
        FrontPoint(latency_ms=8 + 2.5 * i, score=0.93 - 0.025 * 0.75**i, subnet=f"{i:012x}") for i in range(12)
    )
    return {
        "version": "0.1.0",
        "created": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
        "command": ("ofa-edge", "build", "--target", "raspberry-pi-4"),
        "seed": 0,
        "labels": ("emulated",),
        "target": TargetRecord(
            name="raspberry-pi-4",
            description="Raspberry Pi 4 Model B, 4x Cortex-A72 1.8 GHz, 64-bit OS",
            arch="aarch64",
            cpu="cortex-a72",
            runtime="tflite",
            threads=4,
            precision="fp32",
        ),
        "supernet": SupernetRecord(
            name="fashion",
            space=SPACE.to_json(),
            space_hash=SPACE.hash,
        ),
        "subnet": SubnetRecord.of(SPACE, SUBNET),
        "network": network(SPACE, SUBNET),
        "budget_ms": 20.4,
        "prediction": LatencyPrediction(
            ms=18.6,
            low50=17.9,
            high50=19.3,
            low90=16.9,
            high90=20.4,
            kind="fitted",
            provenance="published",
            source="MLPerf Inference v1.0, Raspberry Pi 4",
        ),
        "search": SearchRecord(
            objective="top1",
            budget_ms=20.4,
            budget_source="relative",
            relative_budget=0.6,
            fastest_ms=7.2,
            largest_ms=34.0,
            evaluations=20_000,
            predictor_rmse=0.0031,
            measured_images=2000,
            front=front,
            candidates=(
                CandidateRecord(subnet=NET, latency_ms=18.6, score=0.9205, measured_top1=0.9212),
                CandidateRecord(subnet="0" * 12, latency_ms=20.1, score=0.9210, measured_top1=0.9195),
                CandidateRecord(subnet="1" * 12, latency_ms=19.7, score=0.9201, measured_top1=0.9190),
            ),
        ),
        "ladder": rungs(),
        "measurements": (
            DeviceMeasurement(
                name="emulated",
                kind="emulated",
                connection="qemu-user",
                fingerprint={"cpu": "cortex-a72", "qemu": "7.2"},
                instructions_per_inference=3_440_000,
                modelled_cycles=ModelledCyclesRecord(
                    per_inference=5_860_000, core=4_440_000, missed_lines=10_000, model="LLVM 14.0.6, cortex-a72"
                ),
                emulation_wall_ms=31.0,
            ),
        ),
        "verdicts": (
            Verdict(gate="parity", outcome="pass", code="within-tolerance", reason="every rung is within tolerance"),
            Verdict(gate="accuracy", outcome="pass", code="no-drop", reason="91.8 % on 2,000 images at every rung"),
            Verdict(
                gate="latency",
                outcome="unverified",
                code="emulated-device",
                reason="an emulated device gives no milliseconds",
            ),
        ),
        "stages": (
            StageRecord(name="search", seconds=2.1, cached=False, key="a" * 64, produced_seconds=2.1),
            StageRecord(name="calibrate", seconds=6.4, cached=False),
            StageRecord(name="onnx", seconds=0.1, cached=True, key="b" * 64, produced_seconds=9.0),
            StageRecord(name="tflite", seconds=17.5, cached=False),
            StageRecord(name="verify", seconds=4.0, cached=False),
        ),
        "inputs": (FileRecord(path="fashion.safetensors", role="weights", sha256="c" * 64, size=2_400_000),),
        "outputs": (
            FileRecord(path="model.tflite", role="artifact", sha256="d" * 64, size=1_900_000),
            FileRecord(path="labels.txt", role="labels", sha256="e" * 64, size=80),
        ),
        "versions": {"python": "3.11.7", "torch": "2.6.0", "tensorflow": "2.19.0"},
    }


NAMES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


def classes(names: Sequence[str] = NAMES) -> ClassesRecord:
    """Ten classes of the ladder above, 200 test images each; 1,836 right, as 1,836 others were before."""
    wrong = {0: {6: 30, 2: 4}, 2: {4: 20}, 4: {2: 20, 6: 10}, 6: {0: 40, 2: 20, 4: 20}}
    matrix = tuple(
        tuple(
            200 - sum(wrong.get(row, {}).values()) if row == column else wrong.get(row, {}).get(column, 0)
            for column in range(10)
        )
        for row in range(10)
    )
    found = [
        ClassRecord(
            name=name,
            calibration=50,
            validation=400,
            test=200,
            right_before=row[number],
            right=row[number],
            lost=0,
            won=0,
        )
        for number, (name, row) in enumerate(zip(names, matrix, strict=True))
    ]
    found[0] = found[0].model_copy(update={"right_before": 170, "lost": 8, "won": 4})
    found[1] = found[1].model_copy(update={"right_before": 196, "won": 4})
    return ClassesRecord(start="supernet slice", artifact="on device", classes=tuple(found), matrix=matrix)


def manifest(**changes: Any) -> Manifest:
    """The manifest above with some fields changed."""
    return Manifest(**{**facts(), **changes})


def change(parts: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """`parts` as JSON with the value at a dotted path replaced."""
    whole = json.loads(manifest(**parts).model_dump_json())
    *way, last = path.split(".")
    inner: Any = whole
    for step in way:
        inner = inner[int(step)] if step.isdigit() else inner[step]
    inner[int(last) if last.isdigit() else last] = value
    return whole
