"""ONNX -> a library for a CPU: `relax` imports, `schedules` are our own rules, `compile` builds, `tuning` sweeps."""
