"""ONNX without what describes the run that wrote it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def strip(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """Remove what describes the run rather than the network: producer, doc strings, metadata."""
    for field in ("producer_name", "producer_version", "doc_string", "metadata_props"):
        model.ClearField(field)
    graph = model.graph
    graph.name = "main"
    graph.ClearField("doc_string")
    for part in (*graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    return model
