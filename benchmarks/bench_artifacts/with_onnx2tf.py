"""Convert with onnx2tf, in its own environment: `with_onnx2tf.py SOURCE.onnx OUT.tflite [IMAGES.npy [FLOAT]]`.

IMAGES: to calibrate int8 on; FLOAT: where its fp32 file is left as well.

Its defaults throughout; int8 as its documentation has it (-oiqt, full integer). A run for int8 writes its float,
dynamic range, int8 and int16 files as well: it has no option for fewer.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

# It checks its layouts on pictures that it fetches from the network, unless a file of this name lies in the folder.
_PICTURES = "calibration_image_sample_data_20x128x128x3_float32.npy"


def main(arguments: list[str]) -> None:
    """See the module."""
    import onnx
    import onnx2tf

    source, out, *rest = map(Path, arguments)
    rng = np.random.default_rng(0)
    np.save(_PICTURES, rng.random((20, 128, 128, 3), dtype=np.float32))
    options: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copy(source, folder)  # it writes names into the file that it is given
        if rest:
            images = np.load(rest[0], allow_pickle=False).transpose(0, 2, 3, 1)
            np.save(Path(folder) / "images.npy", images)
            channels = images.shape[-1]
            options["output_integer_quantized_tflite"] = True
            options["custom_input_op_name_np_data_path"] = [
                [onnx.load(source).graph.input[0].name, str(Path(folder) / "images.npy"), [[[[0.0] * channels]]],
                 [[[[1.0] * channels]]]]
            ]  # fmt: skip
        onnx2tf.convert(input_onnx_file_path=str(copy), output_folder_path=folder, non_verbose=True, **options)
        name = "full_integer_quant" if rest else "float32"
        out.write_bytes((Path(folder) / f"{source.stem}_{name}.tflite").read_bytes())
        if rest[1:]:
            rest[1].write_bytes((Path(folder) / f"{source.stem}_float32.tflite").read_bytes())


if __name__ == "__main__":
    main(sys.argv[1:])
