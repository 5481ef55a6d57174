"""The tools that are compared, and which of them takes which network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench_artifacts.networks import CALIBRATION, STATIC, Network

Runtime = Literal["torch", "onnxruntime", "litert", "ncnn", "tvm", "tvm-cortex-a72", "tvm-cortex-a76", "none"]
COUNTED_CORES = ("cortex-a72", "cortex-a76")
ONNX, PROGRAM = "onnx", "program"
_EVERY = 1000


@dataclass(frozen=True)
class Tool:
    """One way from a trained network to something that runs.

    Attributes:
        name: in files.
        title: in the page.
        runtime: what runs the result; "none": only other tools read it. TVM's cores are emulated, never timed.
        source: the tool whose file it starts from; None: the network itself.
        suffix: of the file it makes; empty: it makes none.
        precision: of its result.
        threads: that it is timed with.
        most: how many networks of each group take it, the first by rank: {group: count}; others take it all.
        counted: whether its instructions are counted on the emulated cores.
        peer: the environment that it needs; None: the project's own.
    """

    name: str
    title: str
    runtime: Runtime
    source: str | None
    suffix: str
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    threads: int = 1
    most: tuple[tuple[str, int], ...] = ()
    counted: bool = False
    peer: str | None = None

    def takes(self, network: Network) -> bool:
        """Whether this network is among those that the tool is shown with."""
        return network.rank < dict(self.most).get(network.group.name, _EVERY)

    def inputs(self) -> tuple[str, ...]:
        """Files of the network's folder that it reads besides its source."""
        return (*((STATIC,) if self.source is None else ()), *((CALIBRATION,) if self.precision == "int8" else ()))

    @property
    def timed(self) -> bool:
        """Whether this machine can run its result."""
        return self.runtime in ("torch", "onnxruntime", "litert", "ncnn", "tvm")

    def file(self, folder: Path) -> Path:
        """What it makes, in the network's folder."""
        return folder / STATIC if self.runtime == "torch" else folder / self.name / f"model{self.suffix}"


_COUNTED = (("w1.0", 4), ("default", 0))
_PEERS = (("w1.0", 4), ("default", 5))
_FEW = (("w1.0", 4), ("default", 2))

TOOLS = (
    Tool("torch", "torch", "torch", None, ""),
    Tool(ONNX, "ONNX Runtime", "onnxruntime", None, ".onnx"),
    Tool(PROGRAM, "torch.export", "none", None, ".pt2", most=_PEERS),
    Tool("ort-int8", "ONNX Runtime int8", "onnxruntime", ONNX, ".onnx", "int8"),
    Tool("ncnn", "ncnn", "ncnn", ONNX, ".zip"),
    Tool("plain-fp32", "plain TFLite fp32", "litert", ONNX, ".tflite", counted=True),
    Tool("ours-fp32", "our TFLite fp32", "litert", ONNX, ".tflite", counted=True),
    Tool("ours-fp16", "our TFLite fp16", "litert", ONNX, ".tflite", "fp16"),
    Tool("plain-int8", "plain TFLite int8", "litert", ONNX, ".tflite", "int8", most=_FEW, counted=True),
    Tool("ours-int8", "our TFLite int8", "litert", ONNX, ".tflite", "int8", counted=True),
    Tool("litert-torch-fp32", "litert-torch fp32", "litert", PROGRAM, ".tflite", most=_PEERS, peer="litert-torch"),
    Tool(
        "litert-torch-int8", "litert-torch int8", "litert", PROGRAM, ".tflite", "int8", most=_PEERS, peer="litert-torch"
    ),
    Tool("onnx2tf-fp32", "onnx2tf fp32", "litert", ONNX, ".tflite", most=_PEERS, peer="onnx2tf"),
    Tool("onnx2tf-int8", "onnx2tf int8", "litert", ONNX, ".tflite", "int8", most=_PEERS, peer="onnx2tf"),
    Tool("tvm-default", "TVM default", "tvm", ONNX, ".so", most=_FEW),
    Tool("tvm", "our TVM, 1 thread", "tvm", ONNX, ".so"),
    Tool("tvm-2", "our TVM, 2 threads", "tvm", ONNX, ".so", threads=2),
    Tool("tvm-a72", "our TVM", "tvm-cortex-a72", ONNX, ".so", most=_COUNTED, counted=True),
    Tool("tvm-a76", "our TVM", "tvm-cortex-a76", ONNX, ".so", most=_COUNTED, counted=True),
)


def tools_for(network: Network) -> list[Tool]:
    """The tools that take a network, each after the one whose file it reads."""
    return [tool for tool in TOOLS if tool.takes(network)]


def cores_for(tool: Tool, network: Network) -> tuple[str, ...]:
    """The emulated cores on which a tool's instructions are counted for a network."""
    if not tool.counted or network.rank >= dict(_COUNTED)[network.group.name]:
        return ()
    return tuple(core for core in COUNTED_CORES if tool.runtime in ("litert", f"tvm-{core}"))
