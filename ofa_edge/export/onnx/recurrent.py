"""Recurrent operators of ONNX as what they are made of: LSTM, GRU and RNN over a sequence of known length.

Inputs of all steps are multiplied by their weights at once; what is left in a step is small. Gates are ordered as in
ONNX: input, output, forget, cell (LSTM); update, reset, hidden (GRU).
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.onnx.nodes import Node

Array = NDArray[Any]
_USUAL = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
_ACTIVATIONS = ("Relu", "Sigmoid", "Tanh")
RECURRENT = frozenset(_USUAL)
_MOST_STEPS = 512  # of one direction: each is a dozen nodes
_TIME, _PLACE = 0, 2  # axes of [T, N, I]


def unrolled(node: Node, outputs: tuple[str, ...], constants: dict[str, Array], shape: tuple[int, ...]) -> list[Node]:
    """The nodes that stand for a recurrent one.

    Args:
        node: of RECURRENT.
        outputs: Y [T, D, N, H], Y_h [D, N, H] and Y_c, as far as they are named.
        constants: gets those that the new nodes read.
        shape: of its input [T, N, I].

    Raises:
        NodeRefusedError: weights that are computed, a sequence of its own length for each sample, clipping, activations
            with parameters, a batch as the first axis, or weights that do not fit.
    """
    try:
        return _Unrolling(node, next(filter(None, outputs), ""), constants, shape).nodes(outputs)
    except (LookupError, ValueError, TypeError) as error:
        why = f"its weights, attributes and input do not fit together: {type(error).__name__}: {error}"
        raise node.refused(why, "export the network again") from error


@dataclass
class _Unrolling:
    node: Node
    output: str  # what new values are named after: names of nodes need not be unique
    constants: dict[str, Array]
    shape: tuple[int, ...]
    made: list[Node] = field(default_factory=list)

    def nodes(self, outputs: tuple[str, ...]) -> list[Node]:
        self._check()
        ran = [_Direction(self, number, *way).run() for number, way in enumerate(self._ways())]
        named = dict(zip(("Y", "Y_h", "Y_c"), outputs, strict=False))
        if whole := named.get("Y"):
            self._join(whole, [self._seen(f"d{number}", each.states) for number, each in enumerate(ran)], 1)
        if last := named.get("Y_h"):
            self._join(last, [each.hidden for each in ran], 0)
        if cells := named.get("Y_c"):
            self._join(cells, [each.cell for each in ran], 0)
        return self.made

    def _seen(self, tag: str, states: "list[str]") -> str:
        """Hidden states [1, N, H] of all steps as [T, 1, N, H]."""
        joined = self.add("Concat", f"{tag}/all", *states, axis=_TIME)
        return self.add("Unsqueeze", f"{tag}/seen", joined, np.asarray([1], np.int64))

    def _join(self, output: str, parts: list[str], axis: int) -> None:
        """What all directions give, under the output's own name."""
        self.made.append(Node("Concat", f"{self.node.name}/{output}", tuple(parts), output, {"axis": axis}))

    def _ways(self) -> list[tuple[bool, tuple[str, ...]]]:
        """Of each direction whether it goes backwards, and its activations."""
        of, usual = self.node.attributes, _USUAL[self.node.op]
        direction = _text(of.get("direction", "forward"))
        backwards = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[direction]
        named = [_text(each) for each in of.get("activations", ())] or [*usual] * len(backwards)
        size = len(usual)
        return [(back, tuple(named[at * size : (at + 1) * size])) for at, back in enumerate(backwards)]

    def _check(self) -> None:
        node, of, steps = self.node, self.node.attributes, self.shape[_TIME]
        if steps > _MOST_STEPS:
            raise node.refused(f"{steps} steps, of which each is made by itself", f"shorter sequences: {_MOST_STEPS}")
        if of.get("layout", 0):
            raise node.refused(
                "its batch is the first axis (layout 1), which ONNX Runtime does not run either",
                "export it with layout 0",
            )
        if any(name not in _ACTIVATIONS for _, names in self._ways() for name in names):
            raise node.refused("its activations are unusual", f"{', '.join(_ACTIVATIONS)} are mapped")
        if of.get("clip") or of.get("input_forget"):
            raise node.refused("it clips or couples gates", "export it without")
        lengths = self.given(4)
        if lengths is not None and not (isinstance(lengths, np.ndarray) and (lengths == steps).all()):
            raise node.refused("each sample has its own length of the sequence", "export it without sequence_lens")

    def given(self, position: int) -> "Array | str | None":
        """An input: a constant, the name of a computed value, or None where it is left out."""
        name = self.node.inputs[position] if position < len(self.node.inputs) else ""
        return self.constants.get(name, name) if name else None

    def weight(self, position: int, direction: int) -> Array:
        """A direction's part of a weight."""
        found = self.given(position)
        if not isinstance(found, np.ndarray):
            raise self.node.refused(f"its input {position} is not a constant", "make it a weight of the network")
        return np.asarray(found[direction], np.float32)

    def add(self, op: str, tag: str, *inputs: "str | Array", **attributes: Any) -> str:
        """A node more; its output's name."""
        output = f"{self.output}/{tag}"
        names = [self._named(f"{output}/{at}", each) for at, each in enumerate(inputs)]
        self.made.append(Node(op, f"{self.node.name}/{tag}", tuple(names), output, attributes))
        return output

    def part(self, tag: str, x: str, axis: int, begin: int, end: int) -> str:
        """A slice."""
        places = (np.asarray([value], np.int64) for value in (begin, end, axis))
        return self.add("Slice", tag, x, *places)

    def _named(self, name: str, value: "str | Array") -> str:
        if isinstance(value, str):
            return value
        self.constants[name] = np.ascontiguousarray(value)
        return name


@dataclass(frozen=True)
class _Ran:
    """Names of the hidden states [1, N, H] of all steps, and of the last one and the last cell."""

    states: list[str]
    hidden: str
    cell: str


class _Direction:
    """One direction of one recurrent node."""

    def __init__(self, of: _Unrolling, number: int, backwards: bool, activations: tuple[str, ...]) -> None:
        self._of, self._tag, self._number, self._backwards = of, f"d{number}", number, backwards
        self._activations = activations
        self._recurrence = of.weight(2, number).T
        self._size = len(self._recurrence)
        self._bias, self._inside = self._biases()
        self._peepholes = of.weight(7, number) if of.given(7) is not None else None  # of input, output, forgetting
        if self._peepholes is not None and self._peepholes.shape != (3 * self._size,):
            raise ValueError(f"peepholes {self._peepholes.shape} of {self._size} cells")

    def run(self) -> _Ran:
        """Over all steps."""
        of, steps = self._of, self._of.shape[_TIME]
        projected = of.add("MatMul", f"{self._tag}/x", of.node.inputs[0], of.weight(1, self._number).T)
        projected = of.add("Add", f"{self._tag}/xb", projected, self._bias)
        hidden, cell = self._start(5), self._start(6)
        states: dict[int, str] = {}
        take = {"LSTM": self._lstm, "GRU": self._gru, "RNN": self._rnn}[of.node.op]
        for step in reversed(range(steps)) if self._backwards else range(steps):
            self._step = f"{self._tag}/{step}"
            hidden, cell = take(of.part(f"{self._step}/x", projected, _TIME, step, step + 1), hidden, cell)
            states[step] = hidden
        return _Ran([states[step] for step in range(steps)], hidden, str(cell))

    def _biases(self) -> tuple[Array, Array | None]:
        """What is added to the inputs' product; and to the hidden state's, in a GRU that resets what comes of it."""
        rows, of = self._recurrence.shape[1], self._of
        both = of.weight(3, self._number) if of.given(3) is not None else np.zeros(2 * rows, np.float32)
        own, recurrent = both[:rows], both[rows:]
        if not (of.node.op == "GRU" and of.node.attributes.get("linear_before_reset", 0)):
            return own + recurrent, None
        gates = 2 * self._size
        return np.concatenate([(own + recurrent)[:gates], own[gates:]]), recurrent[gates:]

    def _start(self, position: int) -> Any:
        """The state before the first step [1, N, H]: a constant, a name, or None for zeros."""
        if position == 6 and self._of.node.op != "LSTM":
            return None
        found = self._of.given(position)
        if isinstance(found, np.ndarray):
            own = found[self._number : self._number + 1].astype(np.float32)
            return own if own.any() else None
        return found and self._of.part(f"{self._tag}/start{position}", found, 0, self._number, self._number + 1)

    def _do(self, op: str, tag: str, *inputs: Any, **attributes: Any) -> str:
        return self._of.add(op, f"{self._step}/{tag}", *inputs, **attributes)

    def _gate(self, of: str, number: int, tag: str) -> str:
        return self._of.part(f"{self._step}/{tag}", of, _PLACE, number * self._size, (number + 1) * self._size)

    def _with_state(self, x: str, hidden: Any, columns: slice, tag: str) -> str:
        """The inputs' product and the hidden state's."""
        if hidden is None:
            return x
        return self._do("Add", f"{tag}/sum", x, self._product(hidden, columns, tag))

    def _product(self, hidden: Any, columns: slice, tag: str) -> Any:
        weights = self._recurrence[:, columns]
        return hidden @ weights if isinstance(hidden, np.ndarray) else self._do("MatMul", f"{tag}/h", hidden, weights)

    def _lstm(self, x: str, hidden: Any, cell: Any) -> tuple[str, str]:
        squash, bend, out = self._activations
        total = self._with_state(x, hidden, slice(None), "iofc")
        if self._peepholes is not None:
            return self._peeping_lstm(total, cell)
        gates = self._do(squash, "gates", self._of.part(f"{self._step}/iof", total, _PLACE, 0, 3 * self._size))
        fresh = self._do(bend, "fresh", self._gate(total, 3, "c"))
        kept = self._do("Mul", "new", self._gate(gates, 0, "i"), fresh)
        if cell is not None:
            kept = self._do("Add", "cell", kept, self._do("Mul", "old", self._gate(gates, 2, "f"), cell))
        return self._do("Mul", "hidden", self._gate(gates, 1, "o"), self._do(out, "bent", kept)), kept

    def _peeping_lstm(self, total: str, cell: Any) -> tuple[str, str]:
        """Gates see the cell: that of input and forgetting the last one, that of the output the new one."""
        squash, bend, out = self._activations
        gate = [self._peep(self._gate(total, at, f"{tag}x"), at, cell, tag) for at, tag in ((0, "i"), (2, "f"))]
        fresh = self._do(bend, "fresh", self._gate(total, 3, "c"))
        kept = self._do("Mul", "new", self._do(squash, "i", gate[0]), fresh)
        if cell is not None:
            kept = self._do("Add", "cell", kept, self._do("Mul", "old", self._do(squash, "f", gate[1]), cell))
        shown = self._do(squash, "o", self._peep(self._gate(total, 1, "ox"), 1, kept, "o"))
        return self._do("Mul", "hidden", shown, self._do(out, "bent", kept)), kept

    def _peep(self, x: str, number: int, cell: Any, tag: str) -> str:
        """A gate's sum, with the cell through its peephole."""
        if cell is None:
            return x
        assert self._peepholes is not None
        weights = self._peepholes[number * self._size : (number + 1) * self._size]
        seen = cell * weights if isinstance(cell, np.ndarray) else self._do("Mul", f"{tag}/seen", cell, weights)
        return self._do("Add", f"{tag}/peeped", x, seen)

    def _gru(self, x: str, hidden: Any, cell: Any) -> tuple[str, Any]:
        squash, bend = self._activations
        size = self._size
        gates = self._with_state(
            self._of.part(f"{self._step}/zrx", x, _PLACE, 0, 2 * size), hidden, slice(2 * size), "zr"
        )
        gates = self._do(squash, "gates", gates)
        update, reset, fresh = self._gate(gates, 0, "z"), self._gate(gates, 1, "r"), self._gate(x, 2, "hx")
        columns = slice(2 * size, None)
        if self._inside is not None:
            product: Any = self._inside
            if hidden is not None:
                of_state = self._product(hidden, columns, "h")
                product = (
                    of_state + product if isinstance(of_state, np.ndarray) else self._do("Add", "hb", of_state, product)
                )
            fresh = self._do("Add", "hsum", fresh, self._do("Mul", "hr", reset, product))
        elif hidden is not None:
            fresh = self._with_state(fresh, self._do("Mul", "rh", reset, hidden), columns, "h")
        fresh = self._do(bend, "fresh", fresh)
        # (1 - z) * fresh + z * hidden: a difference of states that hardly move would have no int8 range of use.
        new = self._do("Mul", "new", self._do("Sub", "less", np.ones(1, np.float32), update), fresh)
        return new if hidden is None else self._do("Add", "hidden", new, self._do("Mul", "kept", update, hidden)), cell

    def _rnn(self, x: str, hidden: Any, cell: Any) -> tuple[str, Any]:
        return self._do(self._activations[0], "hidden", self._with_state(x, hidden, slice(None), "h")), cell


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
