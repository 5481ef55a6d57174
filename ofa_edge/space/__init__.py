"""Search spaces of the published families and their subnets. NumPy only: search and latency models need no torch.

A `Space` is the architecture as data (Once-For-All, ICLR 2020, section 3 and appendix B): stages of blocks, each with
its own kernel size and expand ratio, each stage with its own depth, in ResNets each width with a ratio.
A `Subnet` is one point of it: frozen, hashable, and canonical by construction: it holds no entry for a skipped block.
A *genome* is the same point as a row of small integers, so that search can work on thousands of them at once.
"""

from ofa_edge.space.blocks import Activation, ActiveBlock, BlockKind, BlockSpec
from ofa_edge.space.families import CLASSIFIER, FAMILIES, Family, StageShape
from ofa_edge.space.genomes import GenomeCode, Genomes
from ofa_edge.space.layers import Layer, LayerKind, LayerSpec
from ofa_edge.space.places import Part, Place, Role, layout
from ofa_edge.space.space import Space
from ofa_edge.space.subnet import Pair, Subnet
from ofa_edge.space.widths import make_divisible, middle_width, output_size, squeeze_width

__all__ = [
    "CLASSIFIER",
    "FAMILIES",
    "Activation",
    "ActiveBlock",
    "BlockKind",
    "BlockSpec",
    "Family",
    "GenomeCode",
    "Genomes",
    "Layer",
    "LayerKind",
    "LayerSpec",
    "Pair",
    "Part",
    "Place",
    "Role",
    "Space",
    "StageShape",
    "Subnet",
    "layout",
    "make_divisible",
    "middle_width",
    "output_size",
    "squeeze_width",
]
