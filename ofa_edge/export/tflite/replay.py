"""An int8 TFLite file run over images step by step: what comes later may still be changed."""

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.pixels import quantise
from ofa_edge.export.tflite.flatbuffer import pack
from ofa_edge.export.tflite.native_log import without_lines
from ofa_edge.export.tflite.running import LITERT_BANNER, laid_out


class Replay:
    """The values of a file's tensors on some images, as far as its operators were run."""

    def __init__(self, model: Any, images: NDArray[np.float32]) -> None:
        """Begin before the first operator.

        Args:
            model: the schema's `ModelT`, of one graph. Constants are read when their operator is run.
            images: as of `run_tflite`.
        """
        self._model, self._graph, self._done = model, model.subgraphs[0], 0
        inputs = [self._graph.tensors[each] for each in self._graph.inputs]
        rows = [laid_out(image, [each.shape for each in inputs]) for image in images]
        self._values: dict[int, list[NDArray[Any]]] = {}
        for at, (number, tensor) in enumerate(zip(self._graph.inputs, inputs, strict=True)):
            found = tensor.quantization
            steps = float(found.scale[0]), int(found.zeroPoint[0])
            self._values[int(number)] = [quantise(row[at], np.int8, *steps) for row in rows]
        self._last = {int(each): place for place, op in enumerate(self._graph.operators) for each in op.inputs}

    def run_to(self, place: int) -> None:
        """Run all operators before this one."""
        if place <= self._done:
            return
        operators = self._graph.operators[self._done : place]
        made = [int(each) for op in operators for each in op.outputs]
        read = dict.fromkeys(int(each) for op in operators for each in op.inputs)
        inputs = [each for each in read if each in self._values]
        outputs = [each for each in made if self._last.get(each, -1) >= place]
        run = self._started(operators, inputs, outputs)
        sources, sinks = run.get_input_details(), run.get_output_details()
        for each in outputs:
            self._values[each] = []
        for row in range(len(next(iter(self._values.values())))):
            for each, detail in zip(inputs, sources, strict=True):
                run.set_tensor(detail["index"], self._values[each][row])
            run.invoke()
            for each, detail in zip(outputs, sinks, strict=True):
                self._values[each].append(run.get_tensor(detail["index"]))
        self._done = place
        self._values = {each: rows for each, rows in self._values.items() if self._last.get(each, -1) >= place}

    def values(self, tensor: int) -> list[NDArray[Any]]:
        """The integers of a tensor that is yet to be read, of each image."""
        return self._values[tensor]

    def _started(self, operators: list[Any], inputs: list[int], outputs: list[int]) -> Any:
        """An interpreter of these operators alone."""
        from ai_edge_litert.interpreter import Interpreter

        model, graph = copy.copy(self._model), copy.copy(self._graph)
        model.subgraphs, model.signatureDefs, model.metadata = [graph], None, None
        graph.tensors, graph.operators, model.buffers = [], [], self._model.buffers[:1]
        places: dict[int, int] = {}

        def placed(number: int) -> int:
            if number >= 0 and number not in places:
                tensor = copy.copy(self._graph.tensors[number])
                places[number] = len(graph.tensors)
                data = self._model.buffers[tensor.buffer].data
                tensor.buffer = len(model.buffers) if data is not None and len(data) else 0
                if tensor.buffer:
                    model.buffers.append(self._model.buffers[self._graph.tensors[number].buffer])
                graph.tensors.append(tensor)
            return places.get(number, -1)

        for op in map(copy.copy, operators):
            op.inputs = [placed(int(each)) for each in op.inputs]
            op.outputs = [placed(int(each)) for each in op.outputs]
            graph.operators.append(op)
        graph.inputs, graph.outputs = [placed(each) for each in inputs], [placed(each) for each in outputs]
        with without_lines(LITERT_BANNER):
            run = Interpreter(model_content=pack(model), num_threads=1)
            run.allocate_tensors()
        return run
