"""The static network of one subnet: ordinary torch modules, in the published layout of extracted networks."""

from torch import Tensor, nn

from ofa_edge.errors import ConfigError
from ofa_edge.space import Role, Space, Subnet, layout
from ofa_edge.supernet.modules import children, static_module


class StaticNet(nn.Module):
    """One subnet as a plain network. Its children run in order, those in a list one by one.

    Attributes:
        space, subnet: what it was made from.
        calibrated: whether its BN statistics are its own. A supernet's running statistics are a blend over the subnets
            that were trained, so a freshly extracted network predicts next to nothing; evaluation and export refuse it.
        own_head: the ridge of the head that it gets when it is calibrated; None where it has the supernet's.

    Raises:
        ConfigError: the subnet is not of the space.
    """

    def __init__(self, space: Space, subnet: Subnet) -> None:
        super().__init__()
        self.space = space
        self.subnet = space.check(subnet)
        self.calibrated = False
        self.own_head: float | None = None
        for name, module in children(space, subnet, static_module).items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        """Images [N, C, r, r] -> logits [N, classes]."""
        for child in self.children():
            for layer in child if isinstance(child, nn.ModuleList) else (child,):
                x = layer(x)
        return x

    def modules_of(self, role: Role) -> list[nn.Module]:
        """Its stem, its blocks or its head, in order."""
        return [self.get_submodule(place.target) for place in layout(self.space, self.subnet) if place.role == role]


def require_images(images: Tensor, space: Space, subnet: Subnet) -> None:
    """Raise ConfigError where images are not [N, C, r, r] with the space's channels and the subnet's resolution."""
    size, channels = subnet.resolution, space.in_channels
    if images.ndim == 4 and images.shape[1:] == (channels, size, size):
        return
    given = images.shape[-1] if images.ndim == 4 and images.shape[-1] == images.shape[-2] else None
    other = f", or take subnet.at({given})" if given in space.resolutions and given != size else ""
    raise ConfigError(
        f"these images do not fit subnet {subnet.id}",
        f"they are {list(images.shape)}; in space '{space.name}' it takes [N, {channels}, {size}, {size}]",
        f"give images of {channels} x {size} x {size}{other}",
    )
