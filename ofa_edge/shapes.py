"""Shapes of a network's inputs: which sizes are known, how many samples a call takes, and how a user gives them."""

from collections.abc import Collection, Mapping, Sequence

from ofa_edge.shown import pasteable

Shape = tuple[int, ...]
Dim = int | str | None
"""A size as a file has it: a number above 0, or free; free ones of one name are of one size."""

ONE_SAMPLE = "--shape with 1 in front where the batch is free, else export the network with batch 1"
"""What to try where `samples_a_call` is not 1."""

_FREE = 224  # stands for a free size in examples


def samples_a_call(shapes: Collection[Shape]) -> int:
    """How many samples stand one behind the other in the inputs of one call.

    One input alone has them along its first axis: [1, ...] is one. Several inputs are one sample as they stand: a
    recurrent state [2, 1, 64] has its layers first, and [2] of sizes has no batch. Only where all have the same first
    size is that the batch. Numbers without an axis have no say.
    """
    firsts = {shape[0] for shape in shapes if shape}
    return firsts.pop() if len(firsts) == 1 else 1


def fits(shape: Sequence[Dim], asked: Shape) -> bool:
    """Whether a shape has the axes and the fixed sizes that a file says."""
    return len(shape) == len(asked) and all(
        not isinstance(dim, int) or dim == size for dim, size in zip(shape, asked, strict=True)
    )


def known_sizes(shapes: Mapping[str, Sequence[Dim]], asked: Mapping[str, Shape]) -> dict[str, tuple[int | None, ...]]:
    """The shapes of inputs, by name; None where a size is not known.

    A free first size is the batch: 1. A free size is also known where another one of its name is.

    Args:
        shapes: of the inputs, as a file has them.
        asked: what a user gave for some of them; it need not fit.
    """
    named: dict[str, int] = {shape[0]: 1 for shape in shapes.values() if shape and isinstance(shape[0], str)}
    given = {name: sizes for name, sizes in asked.items() if len(sizes) == len(shapes.get(name, ()))}
    for name, sizes in given.items():
        named |= {dim: size for dim, size in zip(shapes[name], sizes, strict=True) if isinstance(dim, str)}

    def size(name: str, place: int, dim: Dim) -> int | None:
        if isinstance(dim, int):
            return dim
        if name in given:
            return given[name][place]
        return named.get(dim or "", None if place else 1)

    return {name: tuple(size(name, *each) for each in enumerate(shape)) for name, shape in shapes.items()}


def shape_example(shape: Sequence[int | None]) -> str:
    """A shape as a user might give it, with a number for each size that is not known.

    >>> shape_example([1, 3, None, None])
    '1x3x224x224'
    """
    return "x".join(str(each or _FREE) for each in shape)


def shape_options(shapes: Mapping[str, Sequence[int | None]], count: int) -> str:
    """Options that say these shapes, of a network of so many inputs: one alone needs no name.

    >>> shape_options({"tokens": [1, None]}, 2)
    '--shape tokens=1x224'
    """
    said = [("" if count == 1 else f"{name}=") + shape_example(shape) for name, shape in shapes.items()]
    return pasteable(*(word for each in said for word in ("--shape", each)))
