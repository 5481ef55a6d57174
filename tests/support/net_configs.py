"""net.config files as the reference writes them, made from subnets of ours, and under older names."""

from typing import Any

from ofa_edge.supernet.importing.written import net_config as of

__all__ = ["of", "older"]


def older(config: dict[str, Any]) -> dict[str, Any]:
    """The same under the names of all published files."""
    blocks = [
        {
            "name": "MobileInvertedResidualBlock",
            "mobile_inverted_conv": {**block["conv"], "name": "MBInvertedConvLayer"},
            "shortcut": block["shortcut"],
        }
        for block in config["blocks"]
    ]
    return {**config, "blocks": blocks}
