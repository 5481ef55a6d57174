"""ofa-edge: one Once-For-All supernet, one verified network for every edge device.

Importing the package is cheap on purpose: torch, tensorflow and tvm are imported only by the stage that needs them.
"""

__version__ = "0.1.0"
