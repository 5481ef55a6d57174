"""The three families in both packages: published shape, and small enough for a test."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from shaken import shake
from torch import nn

from ofa_edge.space import Space, Subnet
from ofa_edge.supernet.network import Supernet

MOBILE = {"ks_list": [3, 5, 7], "expand_ratio_list": [3, 4, 6], "depth_list": [2, 3, 4]}
RATIOS = (0.2, 0.25, 0.35)
SMALL = {"num_classes": 7, "resolutions": (64, 96, 132, 148, 156)}  # the last three have maps of odd sizes
SPACES = {
    "ofa_mobilenetv3": Space.of("ofa_mobilenetv3", "small", width_mult=0.5, **SMALL),
    "ofa_proxyless": Space.of("ofa_proxyless", "small", width_mult=0.5, **SMALL),
    "ofa_resnet": Space.of("ofa_resnet", "small", width_ratios=(0.2, 0.25, 0.375), **SMALL),
}
PUBLISHED = {
    "ofa_mobilenetv3": Space("ofa_mbv3_w1.0"),
    "ofa_proxyless": Space.of("ofa_proxyless", "ofa_proxyless_w1.3", width_mult=1.3),
    "ofa_resnet": Space.of("ofa_resnet", "ofa_resnet50"),
}


def reference_net(ofa: SimpleNamespace, space: Space) -> Any:
    """The reference's supernet of a space."""
    if space.family == "ofa_resnet":
        widths = list(space.width_ratios)
        lists = {"depth_list": [0, 1, 2], "expand_ratio_list": list(RATIOS), "width_mult_list": widths}
        return ofa.networks.OFAResNets(space.num_classes, dropout_rate=0, **lists)
    family = "OFAMobileNetV3" if space.family == "ofa_mobilenetv3" else "OFAProxylessNASNets"
    build = getattr(ofa.networks, family)
    return build(space.num_classes, dropout_rate=0, width_mult=space.width_mult, **MOBILE)


@dataclass(frozen=True)
class Twins:
    """A supernet in both packages, float64, with equal weights and nothing at its initial value."""

    space: Space
    ours: Supernet
    theirs: Any

    @classmethod
    def of(cls, ofa: SimpleNamespace, space: Space) -> "Twins":
        """Both in eval mode."""
        torch.manual_seed(0)
        theirs, ours = reference_net(ofa, space).double().eval(), Supernet(space).double().eval()
        shake(theirs)
        twins = cls(space, ours, theirs)
        twins.copy()
        return twins

    def copy(self) -> None:
        """Give ours the weights of theirs."""
        self.ours.load_state_dict(nn.Module.state_dict(self.theirs))

    def sample(self, resolution: int = 64) -> Subnet:
        """Activate a random subnet of theirs; the same of ours."""
        return self.space.from_config({**self.theirs.sample_active_subnet(), "r": resolution})

    def extracted(self) -> nn.Module:
        """The active subnet of theirs as a static network, in float64."""
        torch.set_default_dtype(torch.float64)
        try:
            return self.theirs.get_active_subnet().eval()
        finally:
            torch.set_default_dtype(torch.float32)
