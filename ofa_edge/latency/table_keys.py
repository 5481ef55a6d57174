"""The keys of the reference's latency tables, in both of its dialects, for the parts of a space.

MobileNetV3: `expand` is the number of middle channels, `se` and `hs` follow, and the head has four entries.
ProxylessNAS: `expand` is the ratio, and the head has two (the reference's `latency_lookup_table.py`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ofa_edge.cost import Operator, block_input_size, block_operators, head_operators, stage_input_size, stem_operators
from ofa_edge.errors import UnsupportedError
from ofa_edge.space import BlockSpec, Space, output_size

_CHANNELS = re.compile(r"-input:(\d+)x(\d+)x(\d+)-")


@dataclass(frozen=True)
class Part:
    """One entry that a space asks for: its key, and the operators that it stands for."""

    key: str
    operators: tuple[Operator, ...]


def require_dialect(space: Space) -> None:
    """Raise UnsupportedError for a space that the reference has no table keys for."""
    if space.family not in ("ofa_mobilenetv3", "ofa_proxyless"):
        raise UnsupportedError(
            f"no latency tables for space '{space.name}'",
            f"the reference's keys know MobileNetV3 and ProxylessNAS, not {space.family}",
            "use an analytic latency file",
        )


def fixed_parts(space: Space, resolution: int) -> tuple[Part, ...]:
    """Stem and head at one resolution, in order."""
    widths, v3 = space.widths, space.family == "ofa_mobilenetv3"
    stem, head = stem_operators(space, resolution), head_operators(space, resolution)
    size = stage_input_size(space, resolution, 0)
    last = stage_input_size(space, resolution, space.num_stages)
    first = 2 if v3 else 1  # MobileNetV3's convolution brings its hard-swish along
    idskip = int(space.shape.stem[1].shortcut and widths[0] == widths[1])
    static = f"expanded_conv-input:{_map(size, widths[0])}-output:{_map(size, widths[1])}"
    static += f"-expand:{widths[0] if v3 else 1}-kernel:3-stride:1-idskip:{idskip}" + ("-se:0-hs:0" if v3 else "")
    parts = [
        Part(f"Conv-input:{_map(resolution, space.in_channels)}-output:{_map(size, widths[0])}", stem[:first]),
        Part(static, stem[first:]),
    ]
    if v3:
        before, middle, wide = widths[-3:]
        parts += [
            Part(f"Conv_1-input:{_map(last, before)}-output:{_map(last, middle)}", head[:2]),
            Part(f"AvgPool2D-input:{_map(last, middle)}-output:{_map(1, middle)}", head[2:3]),
            Part(f"Conv_2-input:{_map(1, middle)}-output:{_map(1, wide)}", head[3:5]),
            Part(f"Logits-input:{_map(1, wide)}-output:{space.num_classes}", head[5:]),
        ]
    else:
        before, wide = widths[-2:]
        parts += [
            Part(f"Conv_1-input:{_map(last, before)}-output:{_map(last, wide)}", head[:1]),
            Part(f"Logits-input:{_map(last, wide)}-output:{space.num_classes}", head[1:]),
        ]
    return tuple(parts)


def block_part(space: Space, spec: BlockSpec, kernel: int, expand: float, resolution: int) -> Part:
    """One choice of one elastic block."""
    size = block_input_size(space, spec, resolution)
    out = output_size(size, spec.stride)
    v3 = space.family == "ofa_mobilenetv3"
    key = f"expanded_conv-input:{_map(size, spec.in_channels)}-output:{_map(out, spec.out_channels)}"
    key += f"-expand:{spec.middle(expand) if v3 else f'{expand:g}'}-kernel:{kernel}-stride:{spec.stride}"
    key += f"-idskip:{int(spec.shortcut)}"
    if v3:
        key += f"-se:{int(spec.squeeze)}-hs:{int(spec.activation == 'h_swish')}"
    return Part(key, block_operators(spec, kernel, expand, size))


def all_parts(space: Space, resolution: int) -> Iterator[Part]:
    """Everything that the space can ask for at one resolution; blocks of one shape share a key."""
    yield from fixed_parts(space, resolution)
    seen = set()
    for spec in space.blocks:
        for kernel in space.code.kernels[spec.index]:
            for expand in space.code.expands[spec.index]:
                part = block_part(space, spec, kernel, expand, resolution)
                if part.key not in seen:
                    seen.add(part.key)
                    yield part


def resolution_of(keys: Iterator[str]) -> int | None:
    """The resolution that a table holds for: the input of its first convolution."""
    for key in keys:
        found = _CHANNELS.search(key)
        if key.startswith("Conv-") and found:
            return int(found[1])
    return None


def _map(size: int, channels: int) -> str:
    return f"{size}x{size}x{channels}"
