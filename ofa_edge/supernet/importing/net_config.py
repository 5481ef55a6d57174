"""`net.config` of a specialised network: the reference's own description of a static network, as a schema.

Both generations of names are read: `MobileInvertedResidualBlock` with `mobile_inverted_conv` is `ResidualBlock` with
`conv`, and `MBInvertedConvLayer` is `MBConvLayer` (utils/layers.py of the reference package).
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from ofa_edge.errors import ConfigError
from ofa_edge.files import parse_json, read_regular
from ofa_edge.schema import explain
from ofa_edge.space import make_divisible

HINT = "use the net.config that was published beside the weights, unchanged"
Channels = Annotated[int, Field(ge=1, le=1 << 16)]


class _Layer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ConvConfig(_Layer):
    """A convolution, its batch norm and activation."""

    name: Literal["ConvLayer"]
    in_channels: Channels
    out_channels: Channels
    kernel_size: Literal[1, 3, 5, 7] = 3
    stride: Literal[1, 2] = 1
    dilation: Literal[1] = 1
    groups: Literal[1] = 1
    bias: Literal[False] = False
    has_shuffle: Literal[False] = False
    use_se: Literal[False] = False
    use_bn: bool = True
    act_func: str | None = "relu"
    ops_order: Literal["weight_bn_act"] = "weight_bn_act"


class MBConvConfig(_Layer):
    """An inverted bottleneck."""

    name: Literal["MBConvLayer", "MBInvertedConvLayer"]
    in_channels: Channels
    out_channels: Channels
    kernel_size: Literal[3, 5, 7] = 3
    stride: Literal[1, 2] = 1
    expand_ratio: float = 6
    mid_channels: Channels | None = None
    act_func: str = "relu6"
    use_se: bool = False
    groups: None = None

    @property
    def middle(self) -> int:
        """Channels between the two pointwise convolutions."""
        return self.mid_channels or round(self.in_channels * self.expand_ratio)


class BottleneckConfig(_Layer):
    """A bottleneck of ResNet-D."""

    name: Literal["ResNetBottleneckBlock"]
    in_channels: Channels
    out_channels: Channels
    kernel_size: Literal[3] = 3
    stride: Literal[1, 2] = 1
    expand_ratio: float = 0.25
    mid_channels: Channels | None = None
    act_func: str = "relu"
    groups: Literal[1] = 1
    downsample_mode: Literal["avgpool_conv"]

    @property
    def middle(self) -> int:
        """Channels inside."""
        return make_divisible(self.mid_channels or round(self.out_channels * self.expand_ratio))


class ShortcutConfig(_Layer):
    """The identity beside a block."""

    name: Literal["IdentityLayer"]


class ResidualConfig(_Layer):
    """A block and its shortcut."""

    name: Literal["ResidualBlock", "MobileInvertedResidualBlock"]
    conv: Annotated[MBConvConfig | ConvConfig, Field(validation_alias=AliasChoices("conv", "mobile_inverted_conv"))]
    shortcut: ShortcutConfig | None = None


class LinearConfig(_Layer):
    """The classifier."""

    name: Literal["LinearLayer"]
    in_features: Channels
    out_features: Annotated[int, Field(ge=2, le=1 << 20)]
    bias: Literal[True] = True
    use_bn: Literal[False] = False
    act_func: None = None


class NormConfig(_Layer):
    """Batch norm everywhere in the network."""

    eps: Annotated[float, Field(gt=0, lt=1)]
    ws_eps: None = None  # weight standardisation: in no published network


class MobileConfig(_Layer):
    """A network of inverted bottlenecks: MobileNetV3, which has a layer more behind them, or ProxylessNAS."""

    name: Literal["MobileNetV3", "ProxylessNASNets"]
    bn: NormConfig | None = None
    first_conv: ConvConfig
    blocks: tuple[ResidualConfig, ...] = Field(min_length=2)
    final_expand_layer: ConvConfig | None = None
    feature_mix_layer: ConvConfig
    classifier: LinearConfig


class ResNetConfig(_Layer):
    """ResNet-D."""

    name: Literal["ResNets"]
    bn: NormConfig | None = None
    input_stem: tuple[ConvConfig | ResidualConfig, ...] = Field(min_length=2, max_length=3)
    blocks: tuple[BottleneckConfig, ...] = Field(min_length=1)
    classifier: LinearConfig


NetConfig = MobileConfig | ResNetConfig
_BY_NAME: dict[str, type[MobileConfig] | type[ResNetConfig]] = {
    "MobileNetV3": MobileConfig,
    "ProxylessNASNets": MobileConfig,
    "ResNets": ResNetConfig,
}
FAMILIES = {"MobileNetV3": "ofa_mobilenetv3", "ProxylessNASNets": "ofa_proxyless", "ResNets": "ofa_resnet"}


def read_net_config(path: Path) -> NetConfig:
    """Read a net.config. Raises ConfigError: no JSON, or a network of layers that no space here has; names the key."""
    return parse_net_config(read_json(path), str(path))


def parse_net_config(value: Any, where: str) -> NetConfig:
    """Check a parsed net.config. Raises ConfigError naming the key."""
    name = value.get("name") if isinstance(value, dict) else None
    if not isinstance(name, str) or name not in _BY_NAME:
        raise ConfigError(
            "not a net.config of a known network",
            f"{where}: name = {name!r}, wanted one of {', '.join(_BY_NAME)}",
            HINT,
        )
    try:
        return _BY_NAME[name].model_validate(value)
    except ValidationError as error:
        raise ConfigError("net.config does not fit its schema", f"{where}: {explain(error)}", HINT) from error


def read_image_size(path: Path) -> int:
    """`image_size` of a run.config, which may be a list of one. Raises ConfigError."""
    value = read_json(path)
    size = value.get("image_size") if isinstance(value, dict) else None
    if isinstance(size, list) and len(size) == 1:
        size = size[0]
    if not isinstance(size, int) or not 8 <= size <= 4096:
        raise ConfigError("no image size", f"{path}: image_size = {size!r}", "use the run.config published with it")
    return size


def read_json(path: Path) -> Any:
    """Parsed JSON of a file. Raises ConfigError."""
    try:
        return parse_json(read_regular(path))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"cannot read {path.name}", f"{path}: {error}", HINT) from error
