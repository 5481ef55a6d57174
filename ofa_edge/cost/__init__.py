"""What a subnet costs: `counts` of operators, MACs and parameters, here by name; `bytes` of its file and its maps."""

from ofa_edge.cost.counts import (
    BlockTable,
    Measure,
    Operator,
    OperatorKind,
    block_input_size,
    block_operators,
    frames,
    head_operators,
    layer_operators,
    macs,
    macs_table,
    operators,
    params,
    stage_input_size,
    stem_operators,
)

__all__ = [
    "BlockTable",
    "Measure",
    "Operator",
    "OperatorKind",
    "block_input_size",
    "block_operators",
    "frames",
    "head_operators",
    "layer_operators",
    "macs",
    "macs_table",
    "operators",
    "params",
    "stage_input_size",
    "stem_operators",
]
