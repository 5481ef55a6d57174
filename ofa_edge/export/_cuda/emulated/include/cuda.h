// Stands for CUDA's header where the kernels are compiled for this machine: nothing of it is used.
