"""ResNet-50 with the stem and the shortcuts of ResNet-D (He et al., CVPR 2019) as Once-For-All publishes it.

The stem has three 3x3 convolutions, of which the middle one is residual and may be skipped.
"""

from ofa_edge.space.families.family import CLASSIFIER, Family, StageShape
from ofa_edge.space.layers import Layer

RESNET = Family(
    parts=(
        Layer("input_stem", "conv", 64, "relu", stride=0, halved=True),
        StageShape(None, "relu", kind="conv", optional=True, expand=1, child="input_stem"),
        Layer("input_stem", "conv", 64, "relu"),
        Layer("max_pooling", "max_pool", stride=1),
        *(
            StageShape(width, "relu", kind="bottleneck", base_depth=depth)
            for width, depth in ((256, 2), (512, 2), (1024, 4), (2048, 2))
        ),
        Layer("pooling", "global_pool"),
        Layer(CLASSIFIER, "classifier"),
    ),
    bn_eps=1e-5,
    strides=(2, 2, 1, 2, 2, 2),
    kernels=(3,),
    expands=(0.2, 0.25, 0.35),
    depths=(0, 1, 2),
    width_ratios=(0.65, 0.8, 1.0),
)
