"""Network and accelerator chosen together: pairs on one front, the finalists compiled in full."""
