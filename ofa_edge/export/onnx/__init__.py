"""torch -> ONNX: `fold` batch norms, `export`; `graph` is an ONNX file as the conversions read it."""
