"""What a tuner may turn: bounds and orders of the rules, with defaults that need no tuning."""

from dataclasses import dataclass
from typing import Literal

from ofa_edge.export.tvm.schedules.isa import Isa

Order = Literal["auto", "rows", "channels"]

NO_CHUNKS = 2**19  # KiB, more than any product's weights


@dataclass(frozen=True)
class Knobs:
    """Choices of one function's schedule. Every value is correct; some are slow.

    A tile is `rows` pixels by `vectors` registers of channels, held in registers; the rules take the best tile within
    these bounds that divides the function's shape.

    Attributes:
        rows: most pixels in the tile of a matrix product.
        vectors: most registers of channels in it.
        unroll: input channels that one turn of its inner loop takes.
        order: which loop is outermost: pixels ("rows": weights are read once a tile of pixels), output channels
            ("channels": pixels are), or whichever re-reads less ("auto").
        pack: lay weights out in the order in which they are read.
        window_columns: most output columns in the tile of a depthwise or dense window.
        window_vectors: most registers of channels in it.
        window_unroll: largest kernel whose rows are unrolled too.
        slab_kib: room for the padded input rows of a depthwise tile: half of a level 1 cache.
        chunk_kib: room for a chunk of a dense window's weights: three quarters of a level 1 cache.
        resident_kib: weights of one product that a cache keeps from one inference to the next; more are taken in
            chunks.
        parallel_work: multiply-adds below which one thread works alone.
    """

    rows: int = 14
    vectors: int = 8
    unroll: int = 4
    order: Order = "auto"
    pack: bool = True
    window_columns: int = 14
    window_vectors: int = 2
    window_unroll: int = 3
    slab_kib: int = 24
    chunk_kib: int = 36
    resident_kib: int = NO_CHUNKS
    parallel_work: int = 100_000


def default_knobs(isa: Isa) -> Knobs:
    """The defaults of an instruction set."""
    if isa.memory_operands:
        return Knobs(resident_kib=1024, parallel_work=200_000)  # a core of these does twice as much while one wakes
    if isa.name == "neon":
        # An A72 loads one register a cycle and reads 32 KiB: narrow windows keep their inputs in registers. By its
        # modelled cycles chunks gain nothing.
        return Knobs(window_vectors=1, slab_kib=16, chunk_kib=24)
    return Knobs()
