"""What the ONNX operators are to a latency model, and how sure anybody is of what they take."""

from collections.abc import Mapping
from types import MappingProxyType

from ofa_edge.cost import OperatorKind

FUSED = {"Relu", "Clip"}  # run inside the operator in front of them
FREE = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Cast", "Constant", "Shape"}
FREE |= {"QuantizeLinear", "DequantizeLinear"}  # precision is the target's business
MOVES = {"Concat", "Pad", "Transpose", "Slice", "Split", "Gather", "Expand", "DepthToSpace", "SpaceToDepth", "Tile"}
MOVES |= {"GatherND", "GatherElements", "ScatterND", "ScatterElements", "Where", "QLinearConcat", "Equal"}
POOLS = {"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax", "LRN", "LpPool"}
POOLS |= {"ReduceSum", "ReduceMin", "ArgMax", "QLinearGlobalAveragePool", "QLinearAveragePool"}
BINARY = {"Add", "Sum", "Sub", "Mul", "Div", "Max", "Min", "Pow", "QLinearAdd", "QLinearMul"}
UNARY = {"HardSigmoid", "Sigmoid", "Tanh", "LeakyRelu", "PRelu", "Elu", "Softmax", "LogSoftmax", "Resize", "Upsample"}
UNARY |= {
    "BatchNormalization",
    "Exp",
    "Sqrt",
    "Erf",
    "Gelu",
    "Mish",
    "Softplus",
    "Abs",
    "Neg",
    "Selu",
    "Celu",
    "Swish",
}
UNARY |= {"LayerNormalization", "InstanceNormalization", "GroupNormalization", "RMSNormalization", "QLinearSigmoid"}
UNARY |= {"LpNormalization", "Reciprocal", "Log", "Softsign", "ThresholdedRelu", "ReduceL2", "QLinearLeakyRelu"}
# Convolutions and products with weights: which input the weights are.
CONVOLUTIONS = {"Conv": 1, "ConvTranspose": 1, "ConvInteger": 1, "QLinearConv": 3}
PRODUCTS = {"Gemm": 1, "MatMul": 1, "MatMulInteger": 1, "QLinearMatMul": 3, "QGemm": 3}
RECURRENT = {"LSTM": 2, "GRU": 2, "RNN": 2}  # inputs that hold weights, behind the first

# Standard deviations of the logarithm of what an operator takes, where nobody published how long such take.
STRANGE = 1.5  # unknown: a factor of 12 either way in 90 %
DOUBTS = {"ConvTranspose": 0.7, "Resize": 0.7, "Upsample": 0.7, "Softmax": 0.7, "LogSoftmax": 0.7, "Gelu": 0.7}
DOUBTS |= dict.fromkeys(("Erf", "Exp", "Pow", "Log", "Mish", "Softplus", "Gather", "GatherND", "GatherElements"), 0.7)
DOUBTS |= dict.fromkeys(("ScatterND", "ScatterElements", "LRN", "ArgMax", "Where", "Equal", "Tile", "Expand"), 0.7)
DOUBTS |= dict.fromkeys((kind for kind in UNARY if kind.endswith("Normalization") and kind[0] != "B"), 0.7)
GROUPED, DILATED, OTHER_RANK, COMPUTED, LOOPED = 0.7, 0.5, 0.7, 0.7, 1.0
PLAIN: Mapping[OperatorKind, set[str]] = MappingProxyType(
    {"pool": POOLS, "move": MOVES, "h_swish": {"HardSwish"}, "scale": UNARY}
)
SIGMOIDS = {"HardSigmoid", "Sigmoid"}
GATES = {"HardSigmoid", "Add", "Clip", "Relu", "Mul", "Div", "Erf"}  # what a hard-swish or GELU is spelt with
WEIGHTED = (*CONVOLUTIONS, *PRODUCTS)
LONGEST_GATE = 8  # nodes; exporters take three or four
