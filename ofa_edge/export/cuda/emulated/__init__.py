"""CUDA without a GPU: kernels compiled for this machine, a driver that runs them. It proves results, never speed."""
