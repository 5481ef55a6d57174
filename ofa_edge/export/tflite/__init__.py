"""ONNX -> TFLite: `convert` starts `worker`, which runs `rewrites` and maps to TensorFlow (`tf_ops`)."""
