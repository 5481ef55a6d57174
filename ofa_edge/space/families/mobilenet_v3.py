"""MobileNetV3 (Howard et al., ICCV 2019) as Once-For-All publishes it."""

from ofa_edge.space.families.family import CLASSIFIER, Family, StageShape
from ofa_edge.space.layers import Layer

MOBILENET_V3 = Family(
    parts=(
        Layer("first_conv", "conv", 16, "h_swish", stride=0),
        Layer("blocks", "separable", 16, "relu", shortcut=True),
        StageShape(24, "relu"),
        StageShape(40, "relu", squeeze=True),
        StageShape(80, "h_swish"),
        StageShape(112, "h_swish", squeeze=True),
        StageShape(160, "h_swish", squeeze=True),
        Layer("final_expand_layer", "conv", 960, "h_swish", kernel=1),
        Layer("pooling", "global_pool"),
        Layer("feature_mix_layer", "mix", 1280, "h_swish"),
        Layer(CLASSIFIER, "classifier"),
    ),
    bn_eps=1e-5,
    strides=(2, 2, 2, 2, 1, 2),
)
