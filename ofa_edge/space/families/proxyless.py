"""ProxylessNAS (Cai et al., ICLR 2019) as Once-For-All publishes it."""

from ofa_edge.space.families.family import CLASSIFIER, Family, StageShape
from ofa_edge.space.layers import Layer

PROXYLESS = Family(
    parts=(
        Layer("first_conv", "conv", 32, "relu6", stride=0),
        Layer("blocks", "separable", 16, "relu6"),
        *(StageShape(width, "relu6") for width in (24, 40, 80, 96, 192)),
        StageShape(320, "relu6", single=True),
        Layer("feature_mix_layer", "conv", 1280, "relu6", kernel=1),
        Layer("pooling", "global_pool"),
        Layer(CLASSIFIER, "classifier"),
    ),
    bn_eps=1e-3,
    strides=(2, 2, 2, 2, 1, 2, 1),
)
