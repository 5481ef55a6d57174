"""torch -> ONNX: exported, simplified, checked, and stripped of everything that varies between two runs."""

import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from ofa_edge.errors import ConversionError
from ofa_edge.export.onnx.run import in_a_row, open_session
from ofa_edge.export.onnx.strip import strip
from ofa_edge.files import write_bytes
from ofa_edge.metrics import power, snr_db

if TYPE_CHECKING:
    import onnx

_EXPORTED_DB = 60.0  # sound exports show 100 and more
OPSET = 17
"""The oldest opset with HardSwish that the TorchScript exporter writes as one node; LiteRT and TVM both read it."""

INPUT, OUTPUT = "input", "logits"


def export_onnx(net: nn.Module, shape: tuple[int, int, int, int], out: Path) -> None:
    """Write `net` as ONNX: opset 17, one input `input` [1, C, H, W], one output `logits` [1, classes].

    The TorchScript exporter is used on purpose: it writes one HardSwish and one pooling node where the dynamo exporter
    writes several. Two exports of one network give the same bytes, in any process.

    Args:
        net: a network with its batch norms folded (see `fold`).
        shape: of the input; the batch must be 1.
        out: the file to write.

    Raises:
        ConversionError: the network cannot be traced, or not exported.
        OutputError: `out` cannot be written.
    """
    if len(shape) != 4 or min(shape) < 1 or shape[0] != 1:
        raise ConversionError(
            f"cannot export for an input of shape {shape}",
            "artifacts are built for one image at a time: the shape must be (1, channels, height, width)",
            "set the first dimension to 1",
        )
    write_bytes(out, strip(_simplify(_trace(net, [torch.zeros(shape)], [INPUT]))).SerializeToString(deterministic=True))


def export_module(net: nn.Module, examples: Sequence[torch.Tensor], out: Path, names: Sequence[str]) -> None:
    """Write any torch module as ONNX, opset 17, as it is in evaluation mode, and hold the file against the module.

    Args:
        net: the module, which stays in the mode that it is in.
        examples: its inputs, batch 1; their values say nothing but the way through the module's branches.
        out: the file to write.
        names: of the inputs, where it has several; one alone is called `input`.

    Raises:
        ConversionError: the module cannot be traced, or not exported, or the file answers otherwise than it does: a
            trace keeps the branches that the example took.
        OutputError: `out` cannot be written.
    """
    training = net.training
    net.train(False)
    try:
        names = [INPUT] if len(examples) == 1 else _distinct(names, len(examples))
        write_bytes(out, _trace(net, examples, names).SerializeToString(deterministic=True))
        _check_export(net, examples, out, names)
    finally:
        net.train(training)


def _check_export(net: nn.Module, examples: Sequence[torch.Tensor], out: Path, names: Sequence[str]) -> None:
    """On the example and on random inputs; of several inputs those of whole numbers stay as they are."""
    random = torch.Generator().manual_seed(0)
    session = open_session(out)
    kept = {each.name for each in session.get_inputs()}  # an exporter may drop one that nothing reads

    def noise(example: torch.Tensor, scale: float) -> torch.Tensor:
        if len(examples) > 1 and not example.is_floating_point():
            return example
        return (torch.randn(example.shape, generator=random) * scale).to(example.dtype)

    others = [tuple(noise(each, scale) for each in examples) for scale in (0.1, 1.0, 10.0)]
    for inputs in (tuple(examples), *others):
        with torch.no_grad():
            answers = net(*inputs)
        parts = answers if isinstance(answers, tuple | list) else (answers,)
        wanted = np.concatenate([part.detach().numpy().reshape(1, -1) for part in parts], axis=1).astype(np.float32)
        feed = {name: each.numpy() for name, each in zip(names, inputs, strict=True) if name in kept}
        found = in_a_row(session.run(None, feed)).astype(np.float32)
        if wanted.shape != found.shape:
            how = f"{found.shape[1]} values for the module's {wanted.shape[1]}"
        else:
            largest = max(float(each.double().abs().max()) for each in inputs if each.numel())
            near = snr_db(power(wanted), power(wanted - found))
            how = f"{near:.1f} dB beside the module, on inputs as large as {largest:.2g}"
            if near >= _EXPORTED_DB:
                continue
        raise ConversionError(
            f"{type(net).__name__} is another network as ONNX",
            how,
            "a trace keeps the branches that the example took: export it with torch.onnx.export(..., dynamo=True)",
        )


def _distinct(names: Sequence[str], count: int) -> list[str]:
    """The names, where there is one for each input; else numbers."""
    return list(names) if len(set(names)) == count else [f"{INPUT}_{place}" for place in range(count)]


def _trace(net: nn.Module, examples: Sequence[torch.Tensor], names: Sequence[str]) -> "onnx.ModelProto":
    import onnx

    with tempfile.TemporaryDirectory(prefix="ofa-edge-onnx-") as folder, warnings.catch_warnings():
        raw = Path(folder) / "raw.onnx"
        # Both announce that this exporter is the old one, which is why it was chosen.
        warnings.filterwarnings("ignore", "You are using the legacy TorchScript-based ONNX export", DeprecationWarning)
        warnings.filterwarnings("ignore", "The feature will be removed", DeprecationWarning)
        # What a trace cannot see: the file is held against the module afterwards.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]  # not exported
        try:
            torch.onnx.export(
                net,
                tuple(examples),
                raw,
                input_names=list(names),
                output_names=[OUTPUT],
                opset_version=OPSET,
                dynamo=False,
            )
        except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
            shapes = ", ".join(str(tuple(each.shape)) for each in examples)
            shapes = f"an input of shape {shapes}" if len(examples) == 1 else f"inputs of shapes {shapes}"
            raise ConversionError(
                f"torch cannot export {type(net).__name__} for {shapes}",
                str(error).strip().splitlines()[0],
                "run the network on an image of that shape; use only operators of ONNX opset 17",
            ) from error
        return onnx.load(raw)


def _simplify(model: "onnx.ModelProto") -> "onnx.ModelProto":
    import onnx

    from ofa_edge.export.onnx.simplifier import simplify

    simplified: onnx.ModelProto
    simplified, _ = simplify(model)  # its own check prints to the terminal; the parity ladder checks more
    onnx.checker.check_model(simplified, full_check=True)
    return simplified
