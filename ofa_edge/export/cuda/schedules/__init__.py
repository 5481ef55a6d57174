"""How the networks' functions become CUDA kernels: rules of ours, and TVM's own for what none of them takes."""
