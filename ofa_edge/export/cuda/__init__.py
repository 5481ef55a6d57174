"""How CUDA kernels get into a library on a machine without a GPU: see `compile`.

stubs makes libraries that stand in for CUDA's own, nvrtc turns source into a cubin, worker is the
child process that uses both.
"""
