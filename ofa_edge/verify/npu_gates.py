"""The gates of an artifact for an accelerator: all of it runs there, it fits, and two sets of kernels agree."""

from ofa_edge.records.manifest import Verdict
from ofa_edge.records.npu import NpuRecord


def npu_verdicts(found: NpuRecord) -> tuple[Verdict, ...]:
    """Whether every operator runs on the accelerator, whether it fits, and whether the kernels of two makers agree."""
    storage = _memory("storage", "flash or DRAM", found.storage_bytes, found.storage_limit)
    at = f"; most is taken at '{found.peak}'" if found.peak else ""
    sram = _memory("sram", "SRAM", found.sram_bytes, found.sram_limit, at)
    return (_operators(found), *filter(None, (sram, storage)), _kernels(found))


def _operators(found: NpuRecord) -> Verdict:
    if found.cpu_operators:
        words = f"{found.accelerator} leaves to the CPU: {'; '.join(found.cpu_operators)}"
        return Verdict(gate="delegation", outcome="fail", code="operators-on-cpu", reason=words)
    words = f"{found.accelerator} runs all {len(found.layers)} operators, by {found.compiler}"
    return Verdict(gate="delegation", outcome="pass", code="all-on-npu", reason=words)


def _memory(gate: str, what: str, taken: int, limit: int | None, at: str = "") -> Verdict | None:
    if limit is None:
        return None
    if taken > limit:
        words = f"{taken:,} bytes of {what}, {taken - limit:,} more than the {limit:,} there are{at}"
        return Verdict.model_validate({"gate": gate, "outcome": "fail", "code": "does-not-fit", "reason": words})
    words = f"{taken:,} bytes of {what}, of {limit:,}"
    return Verdict.model_validate({"gate": gate, "outcome": "pass", "code": "fits", "reason": words})


def _kernels(found: NpuRecord) -> Verdict:
    said = found.kernels
    if said is None:
        words = "tflite-micro is not installed, so its kernels were not compared with LiteRT's reference kernels"
        return Verdict(gate="kernels", outcome="unverified", code="no-such-kernels", reason=words)
    words = f"{said.kernels} beside {said.reference} on {said.images} images"
    if said.unequal:
        words = f"{said.unequal} output values differ, {words}"
        return Verdict(gate="kernels", outcome="fail", code="not-bit-exact", reason=words)
    return Verdict(gate="kernels", outcome="pass", code="bit-exact", reason=f"the same bits: {words}")
