"""Two builds read back and held against each other, operator by operator."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ofa_edge.builds import Build
from ofa_edge.errors import ConfigError
from ofa_edge.files import LARGEST_MODEL, parse_json, read_regular
from ofa_edge.report import difference
from ofa_edge.report.aligned import Operator, OperatorChange, aligned
from ofa_edge.report.difference import Difference, OperatorTime


def diff(before: Path, after: Path, profiles: Sequence[Path] = ()) -> Difference:
    """What moved from one build to the other.

    Args:
        before: folder of a build.
        after: folder of the other.
        profiles: what `ofa-edge profile --json` said of each, for the operators' times; none, or two.

    Raises:
        ConfigError: a folder is no build, or was changed after it; a profile is none.
    """
    builds = [Build.open(folder) for folder in (before, after)]
    one, other = (build.manifest for build in builds)
    return Difference(
        before=str(before),
        after=str(after),
        network=difference.network_rows(one, other),
        figures=difference.figures(one, other),
        operators=_operators(builds),
        times=_times(profiles),
        parts=difference.predicted_parts(one, other),
        gates=difference.gate_rows(one, other),
        environment=difference.environment_rows(one, other),
    )


def _operators(builds: Sequence[Build]) -> tuple[OperatorChange, ...]:
    files = [build.fp32 for build in builds]
    if files[0] is None or files[1] is None:
        return ()
    return tuple(aligned(operators_of(files[0]), operators_of(files[1])))


def operators_of(file: Path) -> list[Operator]:
    """The operators of an ONNX file in its order, constants left out."""
    import onnx

    model = onnx.shape_inference.infer_shapes(onnx.load(file))
    graph = model.graph
    shapes = {value.name: _shape(value) for value in (*graph.value_info, *graph.output)}
    return [
        Operator(node.name or node.output[0], _what(node), ", ".join(shapes.get(name, "?") for name in node.output))
        for node in graph.node
        if node.op_type != "Constant"
    ]


def _shape(value: Any) -> str:
    dims = value.type.tensor_type.shape.dim
    return "x".join(str(dim.dim_value or dim.dim_param or "?") for dim in dims) or "one number"


def _what(node: Any) -> str:
    """A type, and what of its attributes makes it another operator."""
    import onnx

    facts = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    kernel = "x".join(map(str, facts.get("kernel_shape", ())))
    stride = max(facts.get("strides", (1,)), default=1)
    words = [
        node.op_type,
        kernel,
        f"stride {stride}" if stride > 1 else "",
        "grouped" if facts.get("group", 1) > 1 else "",
    ]
    return " ".join(word for word in words if word)


def _times(profiles: Sequence[Path]) -> tuple[OperatorTime, ...]:
    if not profiles:
        return ()
    before, after = (_profile(path) for path in profiles)
    return difference.times(before, after)


def _profile(path: Path) -> dict[str, float]:
    """Milliseconds by operator of a file that `profile --json` wrote. Raises ConfigError."""
    try:
        found: dict[str, float] = {}
        for item in parse_json(read_regular(path, LARGEST_MODEL))["functions"]["items"]:
            found[str(item["name"])] = found.get(str(item["name"]), 0.0) + float(item["ms"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path.name} holds no times of operators",
            f"{path}: {type(error).__name__}: {error}",
            "ofa-edge profile FOLDER --device NAME --json > FILE",
        ) from error
    return found
