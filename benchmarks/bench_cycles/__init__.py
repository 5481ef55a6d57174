"""Parts of benchmarks/modelled_cycles.py: the networks, the program that runs them, the fit, the page."""
