"""torch -> ONNX: `export`; `graph` is an ONNX file as the conversions read it."""
