"""The static network of one subnet: ordinary torch modules, in the published layout of extracted networks."""

from torch import Tensor, nn

from ofa_edge.space import Role, Space, Subnet, layout
from ofa_edge.supernet.modules import children, static_module


class StaticNet(nn.Module):
    """One subnet as a plain network. Its children run in order, those in a list one by one.

    Attributes:
        space, subnet: what it was made from.
        calibrated: whether its BN statistics are its own. A supernet's running statistics are a blend over the subnets
            that were trained, so a freshly extracted network predicts next to nothing; evaluation and export refuse it.
    """

    def __init__(self, space: Space, subnet: Subnet) -> None:
        super().__init__()
        self.space = space
        self.subnet = subnet
        self.calibrated = False
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
