"""Rewrites on the way to TFLite: each exact in real arithmetic, each one file, in one visible order per precision.

Most rewrite the graph before TensorFlow sees it (`rewrites_for`). What the converter has no setting for is rewritten in
the file that it gives: fitted to images (`fits_for`), then what needs none (`file_rewrites_for`).
"""

from collections.abc import Callable, Collection
from typing import Protocol

from ofa_edge.export.onnx.graph import Graph
from ofa_edge.export.tflite.fitting import Fit
from ofa_edge.export.tflite.rewrites.crop_kernels import crop_kernels
from ofa_edge.export.tflite.rewrites.fit_input import fit_input
from ofa_edge.export.tflite.rewrites.fit_ranges import fit_ranges
from ofa_edge.export.tflite.rewrites.float_depthwise import float_depthwise
from ofa_edge.export.tflite.rewrites.hard_activations import open_hard_sigmoid, open_hard_swish
from ofa_edge.export.tflite.rewrites.join_activations import join_activations
from ofa_edge.export.tflite.rewrites.join_branches import join_branches
from ofa_edge.export.tflite.rewrites.join_group_norms import join_group_norms
from ofa_edge.export.tflite.rewrites.open_average_pool import open_average_pool
from ofa_edge.export.tflite.rewrites.open_strides import open_strides
from ofa_edge.export.tflite.rewrites.own_steps import own_steps
from ofa_edge.export.tflite.rewrites.repeat_pixels import repeat_pixels
from ofa_edge.export.tflite.rewrites.round_weights import round_weights
from ofa_edge.export.tflite.rewrites.share_vectors import share_vectors
from ofa_edge.export.tflite.rewrites.sink_scales import sink_scales
from ofa_edge.export.tflite.rewrites.split_depthwise import split_depthwise
from ofa_edge.vocabulary import Precision, numbers

FITS: tuple[Fit, ...] = (fit_input, own_steps, fit_ranges, round_weights)
"""What looks at calibration images, in order: the converter's ranges hold every value of every image, whatever that
costs the others; what is rounded in the ranges that are left makes up for its own errors."""
FITTED = tuple(each.__name__ for each in FITS)
"""Their names: without them an int8 file has the converter's own numbers."""


class Rewrite(Protocol):
    """A function from one graph to another, with a name."""

    __name__: str

    def __call__(self, graph: Graph, /) -> Graph:
        """Rewrite a graph."""


class FileRewrite(Protocol):
    """A function from a converted file to another, with a name. It may look at the same network in fp32."""

    __name__: str

    def __call__(self, converted: bytes, plain: Callable[[], bytes], /) -> bytes:
        """Rewrite a TFLite file."""


def rewrites_for(precision: Precision) -> tuple[Rewrite, ...]:
    """The rewrites of a precision, in order, and why each is there."""
    return (
        # First: what is one operator is to be one node for those that follow.
        join_branches,
        join_activations,
        join_group_norms,
        # Before the split: on small maps some of its parts would only ever read padding.
        crop_kernels,
        # XNNPACK has no fast depthwise kernel of more than 25 taps, in any precision.
        split_depthwise,
        # The gate's 1/6 costs an operator of its own. Opened here, sunk below.
        open_hard_sigmoid,
        # XNNPACK runs HARD_SWISH and AVERAGE_POOL_2D in floating point only; in int8 each would cut the graph in two.
        *((open_hard_swish, open_average_pool) if numbers(precision).ranges else ()),
        # After the two that leave factors of 1/6 behind.
        sink_scales,
    )


def fits_for(precision: Precision, *, settled: bool = False) -> tuple[Fit, ...]:
    """What is fitted to images, in order, before the rewrites of the file; `settled`: training settled the ranges."""
    return FITS if numbers(precision).ranges and not settled else ()


def file_rewrites_for(precision: Precision) -> tuple[FileRewrite, ...]:
    """The rewrites of the converted file, in order, and why each is there."""
    meant = numbers(precision)
    return (
        # XNNPACK has no depthwise kernel for float activations and int8 weights.
        *((float_depthwise,) if (meant.weights, meant.activations) == ("int8", "fp32") else ()),
        # XNNPACK has no nearest neighbours: each would cut the graph in two.
        repeat_pixels,
        # XNNPACK's slices have no steps.
        open_strides,
        # Zero points of 0 for every channel of every tensor: a sixth of a small network's file.
        *((share_vectors,) if meant.weights == "int8" else ()),
    )


def names(precision: Precision, *, settled: bool = False) -> tuple[str, ...]:
    """The names of a precision's rewrites, in order, those of the file last; `settled`: see `fits_for`."""
    fits = fits_for(precision, settled=settled)
    named: tuple[Rewrite | Fit | FileRewrite, ...] = (*rewrites_for(precision), *fits, *file_rewrites_for(precision))
    return tuple(each.__name__ for each in named)


def rewrite(graph: Graph, precision: Precision, skip: Collection[str] = ()) -> Graph:
    """Apply the rewrites of a precision but for those named in `skip`."""
    for each in rewrites_for(precision):
        if each.__name__ not in skip:
            graph = each(graph)
    return graph
