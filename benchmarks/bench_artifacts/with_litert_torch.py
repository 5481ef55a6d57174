"""Convert with litert-torch, in its own environment: `with_litert_torch.py SOURCE.pt2 OUT.tflite [IMAGES.npy [FLOAT]]`.

IMAGES: to calibrate int8 on; FLOAT: where its fp32 file is left as well.

As its documentation has it, with an NHWC input, which is kinder to it than the NCHW one of the network; int8 by the
quantiser that it names for that (ai-edge-quantizer, static int8 weights and activations).
"""

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np


def main(arguments: list[str]) -> None:
    """See the module."""
    import litert_torch
    import torch

    source, out, *rest = map(Path, arguments)
    program = torch.export.load(source)
    (image,) = program.example_inputs[0]
    net = litert_torch.to_channel_last_io(program.module(), args=[0])
    converted = litert_torch.convert(net, (image.permute(0, 2, 3, 1).contiguous(),))
    if not rest:
        converted.export(str(out))
        return
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.tflite"
        converted.export(str(plain))
        if rest[1:]:
            shutil.copy(plain, rest[1])
        quantise(plain, out, np.load(rest[0], allow_pickle=False).transpose(0, 2, 3, 1))


def quantise(plain: Path, out: Path, images: np.ndarray) -> None:
    """Int8 from images [N, H, W, C]."""
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe

    ((signature, ends),) = Interpreter(str(plain)).get_signature_list().items()
    samples = {signature: [{ends["inputs"][0]: np.ascontiguousarray(image[None])} for image in images]}
    worker = quantizer.Quantizer(str(plain), recipe.static_wi8_ai8())
    ranges = worker.calibrate(samples)
    worker.quantize(ranges).export_model(str(out), overwrite=True)


if __name__ == "__main__":
    main(sys.argv[1:])
