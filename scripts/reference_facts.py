"""Write tests/facts/costs.json: MACs and parameters of some subnets, counted on the reference package's own networks.

    pip install --no-deps ofa==0.1.0.post202307202001
    python scripts/reference_facts.py tests/facts/costs.json

The reference's profiler adds up in single precision; here the same layers are counted in whole numbers.
"""

import json
import random
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from reference_package import reference_package

SIZES = (128, 160, 192, 224)
MOBILE = {"ks_list": [3, 5, 7], "expand_ratio_list": [3, 4, 6], "depth_list": [2, 3, 4]}
RESNET = {"depth_list": [0, 1, 2], "expand_ratio_list": [0.2, 0.25, 0.35], "width_mult_list": [0.65, 0.8, 1.0]}


def count(net: nn.Module, size: int) -> tuple[int, int]:
    """Multiply-accumulates of convolutions and linear layers, and all parameters."""
    total = 0

    def hook(module: nn.Module, _: Any, output: Tensor) -> None:
        nonlocal total
        weight = module.get_parameter("weight")
        total += weight[0].numel() * output[0].numel()

    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(hook)
    with torch.no_grad():
        net.eval()(torch.zeros(1, 3, size, size))
    return total, sum(parameter.numel() for parameter in net.parameters())


def main() -> None:
    """Sample, extract, count."""
    networks = reference_package().networks

    random.seed(0)
    rows = []
    for family, width, net in (
        ("ofa_mobilenetv3", 1.0, networks.OFAMobileNetV3(width_mult=1.0, **MOBILE)),
        ("ofa_mobilenetv3", 1.2, networks.OFAMobileNetV3(width_mult=1.2, **MOBILE)),
        ("ofa_proxyless", 1.3, networks.OFAProxylessNASNets(width_mult=1.3, **MOBILE)),
        ("ofa_resnet", 1.0, networks.OFAResNets(**RESNET)),
    ):
        for size in SIZES:
            config = net.sample_active_subnet()
            macs, params = count(net.get_active_subnet(), size)
            rows.append(
                {
                    "family": family,
                    "width_mult": width,
                    "config": {**config, "image_size": size},
                    "macs": macs,
                    "params": params,
                }
            )
    lines = ",\n".join(json.dumps(row) for row in rows)
    source = "counted on networks of PyPI's ofa 0.1.0.post202307202001 by scripts/reference_facts.py"
    Path(sys.argv[1]).write_text(f'{{"source": "{source}", "subnets": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
