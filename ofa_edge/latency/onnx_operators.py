"""Any ONNX network as a list of operators, as a runtime runs it: batch norms folded, plain activations fused.

An operator without a counterpart here is named, and counts as an elementwise one and as products with its weights.
What no published measurement has in it carries a doubt: how far its own share of the time may be off.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ofa_edge.cost import Operator, OperatorKind
from ofa_edge.errors import ConfigError
from ofa_edge.files import LARGEST_MODEL, read_regular
from ofa_edge.latency.onnx_kinds import (
    BINARY,
    COMPUTED,
    CONVOLUTIONS,
    DILATED,
    DOUBTS,
    FREE,
    FUSED,
    GATES,
    GROUPED,
    LONGEST_GATE,
    LOOPED,
    OTHER_RANK,
    PLAIN,
    PRODUCTS,
    RECURRENT,
    SIGMOIDS,
    STRANGE,
    WEIGHTED,
)
from ofa_edge.latency.onnx_shapes import with_shapes
from ofa_edge.onnx_weights import stored_types
from ofa_edge.shapes import Shape

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class NamedOperator:
    """An operator of a file: the node's name and its ONNX type beside it."""

    name: str
    op: str
    operator: Operator
    known: bool = True
    doubt: float = 0.0  # standard deviation of the logarithm of what it takes, beside what the coefficients know


@dataclass(frozen=True)
class OnnxNetwork:
    """What one inference of an ONNX file runs, in order."""

    input_shape: Shape
    operators: tuple[NamedOperator, ...]
    stored: Literal["fp32", "fp16", "int8"] = "fp32"  # how the file has its weights or computes

    @property
    def unknown(self) -> tuple[str, ...]:
        """ONNX types without a counterpart here, each once."""
        return tuple(dict.fromkeys(item.op for item in self.operators if not item.known))


def read_operators(path: Path, shapes: Mapping[str, Shape] | None = None) -> OnnxNetwork:
    """Read an ONNX file of one sample a call.

    Args:
        path: the file.
        shapes: of inputs by name, where the file leaves them free; "" is the first input.

    Raises:
        ConfigError: no ONNX file, more than one sample a call, nodes that wait for each other, or shapes that cannot be
            inferred.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(read_regular(path, LARGEST_MODEL))
        stored = _stored(model)
        model = with_shapes(model, path, shapes)
    except OSError as error:
        why = f"{path}: {error.strerror or error}"
        raise ConfigError(f"cannot read {path.name}", why, "give the path of an ONNX file") from error
    except (ValueError, onnx.onnx_cpp2py_export.shape_inference.InferenceError) as error:
        raise _unreadable(path, str(error)) from error
    except Exception as error:  # protobuf's own classes, which differ between its versions
        if isinstance(error, ConfigError):
            raise
        raise _unreadable(path, f"{type(error).__name__}: {error}") from error
    reader = _Reader(model.graph, path)
    operators = reader.read()
    if not operators:
        inside = ", ".join(sorted({node.op_type for node in model.graph.node} & {"If", "Loop", "Scan"}))
        why = f"its operators stand in the bodies of {inside}: which of them run is known only while running"
        raise _unreadable(path, why if inside else "it holds no operator")
    return OnnxNetwork(reader.shape(reader.input), operators, stored)


def _stored(model: "onnx.ModelProto") -> Literal["fp32", "fp16", "int8"]:
    """In which numbers a file computes: int8 where anything is quantised, fp16 where most weights are halves."""
    import onnx

    quantised = ("QuantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "QGemm")
    if any(node.op_type in quantised or node.op_type.startswith("QLinear") for node in model.graph.node):
        return "int8"
    sizes = stored_types(model)
    return "fp16" if sizes.get(onnx.TensorProto.FLOAT16, 0) > sizes.get(onnx.TensorProto.FLOAT, 0) else "fp32"


def _unreadable(path: Path, why: str) -> ConfigError:
    first = why.strip().splitlines()[0] if why.strip() else "no reason given"
    return ConfigError(f"cannot read {path.name} as an ONNX network", f"{path}: {first}", "export the network again")


def _ordered(graph: "onnx.GraphProto", path: Path) -> "list[onnx.NodeProto]":
    """The nodes, each after those that it needs (Kahn, 1962); the file's own order where that will do."""
    makers = {output: number for number, node in enumerate(graph.node) for output in node.output if output}
    if any(not node.output or not node.output[0] for node in graph.node):
        raise _unreadable(path, "a node has no output")
    needs = [{makers[name] for name in node.input if name in makers} for node in graph.node]
    if all(not each or max(each) < number for number, each in enumerate(needs)):
        return list(graph.node)
    readers: dict[int, list[int]] = {}
    for number, each in enumerate(needs):
        for maker in each:
            readers.setdefault(maker, []).append(number)
    missing = [len(each) for each in needs]
    order = [number for number, count in enumerate(missing) if not count]
    for number in order:  # it grows meanwhile
        for reader in readers.get(number, ()):
            missing[reader] -= 1
            if not missing[reader]:
                order.append(reader)
    if len(order) < len(needs):
        stuck = next(number for number, count in enumerate(missing) if count)
        name = graph.node[stuck].name or f"#{stuck}"
        count = len(needs) - len(order)
        raise _unreadable(path, f"{count} nodes wait for each other in a circle, or behind one: '{name}'")
    return [graph.node[number] for number in order]


class _Reader:
    def __init__(self, graph: "onnx.GraphProto", path: Path) -> None:
        self.graph, self.path = graph, path
        self.shapes: dict[str, Shape] = {}
        for value in (*graph.input, *graph.value_info, *graph.output):
            dims = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
            # A free batch size inside the graph is one image as well.
            self.shapes[value.name] = tuple(1 if i == 0 and not dim else dim for i, dim in enumerate(dims))
        self.constants = {tensor.name for tensor in graph.initializer}
        self.shapes.update({tensor.name: tuple(tensor.dims) for tensor in graph.initializer})
        self.input = next((value.name for value in graph.input if value.name not in self.constants), "")
        self.nodes = _ordered(graph, path)
        self.maker: dict[str, onnx.NodeProto] = {}
        self.skipped: set[str] = set()  # outputs that another operator computes on its way

    def read(self) -> tuple[NamedOperator, ...]:
        if not self.input:
            raise _unreadable(self.path, "it has no input")
        for node in self.nodes:
            if node.op_type in ("Constant", "Shape") or all(not n or n in self.constants for n in node.input):
                self.constants.update(node.output)
            for output in node.output:
                self.maker[output] = node
        for node in self.nodes:
            if node.op_type == "Mul":
                self.skipped.update(self.gate(node))
        found = []
        for number, node in enumerate(self.nodes):
            output = node.output[0]
            if output in self.constants or output in self.skipped or node.op_type in FREE:
                continue
            item = self.one(node)
            if item is not None:
                operator, known = item
                doubt = self.doubt(node, operator) if known else STRANGE
                found.append(NamedOperator(node.name or f"#{number}", node.op_type, operator, known, doubt))
        return tuple(found)

    def doubt(self, node: "onnx.NodeProto", operator: Operator) -> float:
        """How unsure the time of a known operator is, beside the coefficients."""
        kind, found = node.op_type, [DOUBTS.get(node.op_type, 0.0)]
        if kind in CONVOLUTIONS:
            facts = self.attributes(node)
            found += [GROUPED * (operator.groups > 1), OTHER_RANK * (len(self.shape(node.output[0])) != 4)]
            found.append(DILATED * (max(facts.get("dilations", (1,)) or (1,)) > 1))
        if operator.kind == "product":
            found.append(COMPUTED)
        if kind in RECURRENT:
            found.append(LOOPED)
        if kind == "Mul" and operator.kind == "scale" and self.gate(node):
            found.append(DOUBTS["Gelu"])
        return max(found)

    def shape(self, name: str) -> Shape:
        shape = self.shapes.get(name)
        if shape is None or any(dim < 1 for dim in shape):
            raise ConfigError(
                f"{self.path.name}: the shape of '{name}' is not known",
                f"{self.path}: ONNX infers {shape}",
                "export the network with fixed shapes, or simplify it (onnxsim)",
            )
        return shape

    def map(self, name: str) -> tuple[int, int, int]:
        """Channels, height and width of a value."""
        shape = self.shape(name)
        if len(shape) == 4:
            return shape[1], shape[2], shape[3]
        if len(shape) == 3:  # tokens: the features come last
            return shape[2], shape[1], 1
        return prod(shape[1:]) if len(shape) > 1 else prod(shape), 1, 1

    def inputs(self, node: "onnx.NodeProto") -> list[str]:
        """The computed inputs."""
        return [name for name in node.input if name and name not in self.constants]

    def one(self, node: "onnx.NodeProto") -> tuple[Operator, bool] | None:
        """The operator that a node becomes, and whether it is known; None where it costs nothing by itself."""
        kind = node.op_type
        if len(node.input) <= max(CONVOLUTIONS.get(kind, 0), PRODUCTS.get(kind, 0)):
            raise _unreadable(self.path, f"{kind} '{node.name}' has {len(node.input)} inputs")
        if kind in CONVOLUTIONS:
            return self.convolution(node, CONVOLUTIONS[kind]), True
        if kind in PRODUCTS:
            weighted = self.weight(node, PRODUCTS[kind]) or self.weight(node, 0)
            return (self.dense(node, PRODUCTS[kind]) if weighted else self.product(node)), True
        if kind in RECURRENT:
            return self.recurrent(node), True
        if kind in FUSED or (kind == "BatchNormalization" and self.follows(node, *WEIGHTED)) or self.squeezed(node):
            return None
        if kind in BINARY:
            return self.binary(node)
        known = next((name for name, kinds in PLAIN.items() if kind in kinds), None)
        return (self.plain(known, node), True) if known else (self.strange(node), False)

    def squeezed(self, node: "onnx.NodeProto") -> bool:
        """Whether it is the gate of a squeeze: one value a channel, and no model counts it."""
        return node.op_type in SIGMOIDS and self.map(node.output[0])[1:] == (1, 1)

    def weight(self, node: "onnx.NodeProto", place: int) -> bool:
        """Whether an input is a constant."""
        return len(node.input) > place and node.input[place] in self.constants

    def strange(self, node: "onnx.NodeProto") -> Operator:
        """An unknown operator: elementwise, or a product of what it takes with the largest constant that it has."""
        constants = [name for name in node.input if name in self.constants and len(self.shapes.get(name, ())) > 1]
        if not constants:
            return self.plain("scale", node)
        largest = max(constants, key=lambda name: prod(self.shapes[name]))
        out = max(1, self.shapes[largest][0])
        positions = max(1, prod(self.shape(node.output[0])) // out)
        return Operator("dense", prod(self.shapes[largest]) // out, out, positions, positions, in_width=1, out_width=1)

    def product(self, node: "onnx.NodeProto") -> Operator:
        """A product of two computed values, [..., M, K] and [..., K, N]."""
        names = self.inputs(node)
        out, first = self.shape(node.output[0]), self.shape(names[0])
        if len(out) < 2 or len(first) < 2:
            raise _unreadable(self.path, f"{node.op_type} '{node.name}' takes {list(first)} and gives {list(out)}")
        facts = self.attributes(node) if node.op_type == "Gemm" else {}
        inner, rows = first[-2 if facts.get("transA") else -1], out[-2]
        return Operator("product", inner, out[-1], rows, rows, in_width=1, out_width=1, batch=prod(out[:-2]))

    def recurrent(self, node: "onnx.NodeProto") -> Operator:
        """A recurrent layer, [steps, batch, features]: a product with all of its weights for every step."""
        steps = self.shape(node.input[0])[0]
        sizes = [prod(self.shape(name)) for name in node.input[1 : 1 + RECURRENT[node.op_type]]]
        features = self.shape(node.input[0])[-1]
        return Operator("dense", features, max(1, sum(sizes) // features), steps, steps, in_width=1, out_width=1)

    def follows(self, node: "onnx.NodeProto", *kinds: str) -> bool:
        names = self.inputs(node)
        return len(names) == 1 and names[0] in self.maker and self.maker[names[0]].op_type in kinds

    def binary(self, node: "onnx.NodeProto") -> tuple[Operator, bool] | None:
        names = self.inputs(node)
        if len(names) < 2:  # with a constant: a bias or a scale of what is in front, or an operator of its own
            return None if self.follows(node, *WEIGHTED) or self._halves(names) else (self.plain("scale", node), True)
        if chain := self.gate(node):
            soft = any(self.maker[name].op_type == "Erf" for name in chain)
            return self.plain("scale" if soft else "h_swish", node), True
        whole = all(self.shape(name) == self.shape(node.output[0]) for name in names)
        return self.plain("add" if whole else "scale", node), True

    def gate(self, node: "onnx.NodeProto") -> tuple[str, ...]:
        """Where a product is x times a gate of x itself (hard-swish or GELU spelt out): the values of the gate."""
        names = self.inputs(node)
        for gate, value in (names[::-1], names) if len(names) == 2 else ():
            value, halved = self._unscaled(value)  # noqa: PLW2901 - GELU halves either side
            chain: list[str] = []
            shaped = False
            while len(chain) < LONGEST_GATE and self._is_gate(gate) and gate != value:
                chain.append(gate)
                shaped |= self.maker[gate].op_type in ("Clip", "HardSigmoid", "Relu", "Erf")
                before = self.inputs(self.maker[gate])
                if len(before) != 1:
                    break
                gate = before[0]  # noqa: PLW2901 - one step up the chain
            if chain and shaped and gate == value:
                return (*chain, *halved)
        return ()

    def _halves(self, names: list[str]) -> bool:
        """Whether the one computed input is a GELU spelt out, which a constant halves."""
        maker = self.maker.get(names[0]) if names else None
        if maker is None or maker.op_type != "Mul":
            return False
        return any(self.maker[name].op_type == "Erf" for name in self.gate(maker))

    def _unscaled(self, name: str) -> tuple[str, tuple[str, ...]]:
        """What a constant was multiplied with to give a value, where that is what made it; and the value left out."""
        maker = self.maker.get(name)
        if maker is not None and maker.op_type == "Mul" and len(self.inputs(maker)) == 1:
            return self.inputs(maker)[0], (name,)
        return name, ()

    def _is_gate(self, name: str) -> bool:
        return name in self.maker and self.maker[name].op_type in GATES

    def plain(self, kind: OperatorKind, node: "onnx.NodeProto") -> Operator:
        names = self.inputs(node) or [node.output[0]]
        largest = max(names, key=lambda name: prod(self.shape(name)))
        channels, height, width = self.map(largest)
        out_channels, out_height, out_width = self.map(node.output[0])
        return Operator(kind, channels, out_channels, height, out_height, in_width=width, out_width=out_width)

    def dense(self, node: "onnx.NodeProto", place: int) -> Operator:
        """A product with weights, on either side."""
        facts = self.attributes(node) if node.op_type == "Gemm" else {}
        out = self.shape(node.output[0])
        right = self.weight(node, place)
        shape = self.shape(node.input[0 if right else place])
        if not shape or not out:
            raise _unreadable(self.path, f"{node.op_type} '{node.name}' takes {list(shape)} and gives {list(out)}")
        if not right:  # [M, K] weights times [..., K, N]
            inner = shape[-1 if facts.get("transB") else -2] if len(shape) > 1 else shape[0]
            positions = prod(out[:-2]) * out[-1] if len(out) > 1 else 1
            features = out[-2] if len(out) > 1 else out[0]
            return Operator("dense", inner, features, positions, positions, in_width=1, out_width=1)
        inner = shape[-2 if facts.get("transA") and len(shape) > 1 else -1]
        positions = prod(out[:-1])
        return Operator("dense", inner, out[-1], positions, positions, in_width=1, out_width=1)

    def attributes(self, node: "onnx.NodeProto") -> Mapping[str, Any]:
        """By name; of the types that the operator's own schema says."""
        import onnx

        read: Callable[[Any], Any] = onnx.helper.get_attribute_value
        known: Mapping[str, Any] = onnx.defs.get_schema(node.op_type).attributes
        for each in node.attribute:
            if each.name not in known or known[each.name].type.value != each.type:
                raise _unreadable(self.path, f"{node.op_type} '{node.name}': its attribute '{each.name}' is none of it")
        return {each.name: read(each) for each in node.attribute}

    def volume(self, name: str) -> tuple[int, int, int]:
        """Channels, rows and width of a map of one to three dimensions; a volume's rows are those of all slices."""
        shape = self.shape(name)
        if not 3 <= len(shape) <= 5:
            raise _unreadable(self.path, f"'{name}' is no map: {list(shape)}")
        return shape[1], prod(shape[2:-1]), shape[-1]

    def convolution(self, node: "onnx.NodeProto", place: int) -> Operator:
        facts = self.attributes(node)
        channels, height, width = self.volume(node.input[0])
        out_channels, out_height, out_width = self.volume(node.output[0])
        kernel = self.shape(node.input[place])[2:]
        groups, strides = int(facts.get("group", 1)), tuple(facts.get("strides", (1,)))
        if not 1 <= len(kernel) <= 3 or groups < 1 or channels % groups or not strides or min(strides) < 1:
            why = f"{node.op_type} '{node.name}': kernel {list(kernel)}, strides {list(strides)}, group {groups} of"
            raise _unreadable(self.path, f"{why} {channels} channels")
        transposed = node.op_type == "ConvTranspose"
        depthwise = groups == channels > 1 and not transposed
        kind: OperatorKind = "depthwise" if depthwise else "pointwise" if prod(kernel) == 1 else "conv"
        return Operator(
            "transposed" if transposed else kind,
            channels,
            out_channels,
            height,
            out_height,
            prod(kernel[:-1]),
            strides[0],
            in_width=width,
            out_width=out_width,
            kernel_width=kernel[-1],
            groups=1 if depthwise else groups,
        )
