"""From a trained static network to a file that a device runs; one stage a file, each a function file -> file.

fold -> onnx -> tflite (graph, rewrites, tf_ops) -> metadata, or fold -> onnx -> tvm or cuda; `verify.parity` compares
any two stages.
"""
