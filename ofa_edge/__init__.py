"""ofa-edge: one Once-For-All supernet, one verified network for every edge device.

Importing the package is cheap on purpose: torch, tensorflow and tvm are imported only by the stage that needs them.
"""

import os

__version__ = "0.1.0"

# OpenMP's threads spin while they wait for each other. Beside other work that holds a core they burn their own time
# slices until the slow one gets its turn: see docs/training.md. OpenMP reads this once, when torch loads it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
