"""Inspection of a TFLite file: what it is, what LiteRT does with it, what the rules find, and what that costs."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ofa_edge.export.inspect.findings import Finding, Inspection
from ofa_edge.export.inspect.litert import Delegation, ask_litert, version
from ofa_edge.export.inspect.promised import promised_inputs
from ofa_edge.export.inspect.tflite_model import LAYERS, QUANTISED, Model, Tensor, read_model
from ofa_edge.export.inspect.tflite_ranges import range_findings, range_words, worst_layers
from ofa_edge.export.inspect.tflite_rules import apply_rules

_SAID = {"int8-hard-swish", "hybrid-depthwise", "suppression-inside"}  # they say already that nobody takes the operator


def inspect_tflite(path: Path, profile: bool = False) -> Inspection:
    """Inspect a TFLite file of any origin. Raises ModelFileError where it is damaged."""
    model = read_model(path)
    delegation = ask_litert(path, profile)
    found = apply_rules(model)
    found += range_findings(model, promised_inputs(path, model))
    found += tuple(_delegation_findings(model, delegation, found))
    operators = model.subgraphs[0].operators
    labels = {index: operators[index].label for index in delegation.ms}
    return Inspection(
        path.name,
        "tflite",
        path.stat().st_size,
        _facts(model, delegation),
        dict(Counter(op.name for op in model.operators).most_common()),
        tuple(_with_cost(each, {labels[index]: ms for index, ms in delegation.ms.items()}) for each in found),
        {labels[index]: ms for index, ms in delegation.ms.items()},
    ).sorted()


def _facts(model: Model, delegation: Delegation) -> dict[str, str]:
    main = model.subgraphs[0]
    facts = {
        "precision": precision_of(model),
        "inputs": ", ".join(map(_tensor_words, main.inputs)),
        "outputs": ", ".join(map(_tensor_words, main.outputs)),
        "weights": f"{model.weights:,} bytes"
        + (f", {model.weights_behind:,} of them behind the flatbuffer" if model.weights_behind else ""),
    }
    if worst := worst_layers(model):
        facts["channel scales apart"] = worst
    if len(model.subgraphs) > 1:
        facts["subgraphs"] = f"{len(model.subgraphs)}; partitions are those of the first"
    if not delegation.refused:
        partitions = f"{delegation.partitions} XNNPACK partition{'' if delegation.partitions == 1 else 's'}"
        taken = delegation.operators - len(delegation.kept) - len(delegation.once)
        once = f", {len(delegation.once)} run once, when it is loaded" if delegation.once else ""
        facts["LiteRT " + version()] = f"{partitions}, {taken} of {delegation.operators} operators delegated{once}"
    if delegation.ms:
        facts["profile"] = _profile_words(model, delegation)
    return facts


def precision_of(model: Model) -> str:
    """In words: by what the convolutions and matrices hold, and what runs through them."""
    weights, activations = Counter[str](), Counter[str]()
    for op in model.subgraphs[0].operators:
        if op.name in LAYERS and op.name != "TRANSPOSE_CONV":
            weights[op.inputs[1].kind] += 1
            activations[op.inputs[0].kind] += 1
    halves = any(each.kind == "FLOAT16" and each.constant for op in model.subgraphs[0].operators for each in op.inputs)
    if not weights:
        return "no layers with weights"
    if set(activations) <= QUANTISED:
        return "int8: weights and activations"
    if set(activations) & QUANTISED:
        return "mixed: some layers quantised, some float"
    if set(weights) & QUANTISED:
        return "dynamic range: int8 weights, float activations"
    return "fp16 weights" if halves else "fp32"


def _tensor_words(tensor: Tensor) -> str:
    sizes = ", ".join("?" if size < 0 else str(size) for size in tensor.shape)
    return f"{tensor.name} {tensor.kind.lower()} [{sizes}]{range_words(tensor)}"


def _profile_words(model: Model, delegation: Delegation) -> str:
    """What a profile covers, beside the whole."""
    operators = model.subgraphs[0].operators
    left = [op.label for op in operators if op.index not in delegation.ms]
    words = f"{len(delegation.ms)} of {len(operators)} operators alone: {sum(delegation.ms.values()):.3f} ms in sum; "
    words += f"the whole file: {delegation.whole_ms:.3f} ms"
    return words + (f"; not timed (constant, or not to be run alone): {', '.join(left)}" if left else "")


def _delegation_findings(model: Model, delegation: Delegation, ruled: tuple[Finding, ...]) -> Iterator[Finding]:
    """What LiteRT itself shows: a refusal, operators left to it, and the cuts that they make."""
    if delegation.refused:
        fix = "load it where its custom operators are registered" if _has_custom(model) else "convert the network again"
        yield Finding("not-loadable", "fault", f"LiteRT does not run it here: {delegation.refused}", fix)
        return
    known = {node for each in ruled if each.code in _SAID for node in each.nodes}
    operators = model.subgraphs[0].operators
    kept = [op for op in (operators[index] for index in delegation.kept) if op.label not in known]
    for name in dict.fromkeys(op.name for op in kept):
        nodes = tuple(op.label for op in kept if op.name == name)
        what = f"{name} is not delegated: LiteRT's own kernel runs it, mostly on one thread"
        fix = "write it with operators that XNNPACK takes, and with fixed shapes"
        yield Finding("undelegated-operator", "fault", what, fix, nodes)
    if delegation.partitions > 1:
        what = f"the graph is cut into {delegation.partitions} XNNPACK partitions: data is handed over at each cut"
        yield Finding("several-partitions", "fault", what, "mend the undelegated operators")
    if delegation.operators and not delegation.partitions:
        yield Finding("nothing-delegated", "fault", "XNNPACK takes no part of it", "mend the undelegated operators")


def _has_custom(model: Model) -> bool:
    return any(op.name.startswith("custom ") for op in model.operators)


def _with_cost(finding: Finding, ms: dict[str, float]) -> Finding:
    """With the share of its nodes in the operators' time, where that was measured."""
    measured = [ms[node] for node in finding.nodes if node in ms]
    if not measured or not sum(ms.values()):
        return finding
    share = sum(measured) / sum(ms.values())
    words = (
        f"{100 * share:.0f} % of the operators' time ({sum(measured):.3g} of {sum(ms.values()):.3g} ms, each alone "
        f"here, one thread, LiteRT {version()})"
    )
    return replace(finding, cost=words)
