"""A small network with every layer kind of the OFA-MobileNetV3 family, and images for it."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

SHAPE = (1, 3, 27, 27)  # odd, so that a stride of 2 meets both kinds of padding on its way down: 27, 14, 7, 4


class ConvBN(nn.Module):
    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, *, groups: int = 1, act=nn.Identity
    ):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.act = act()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class Gate(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(channels, 8, 1), nn.Conv2d(8, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * F.hardsigmoid(self.expand(F.relu(self.reduce(x.mean((2, 3), keepdim=True)))))


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, *, act, gate: bool):
        super().__init__()
        middle = inputs * 3
        self.expand = ConvBN(inputs, middle, act=act)
        self.depthwise = ConvBN(middle, middle, kernel, stride, groups=middle, act=act)
        self.gate = Gate(middle) if gate else nn.Identity()
        self.project = ConvBN(middle, outputs)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.gate(self.depthwise(self.expand(x))))
        return x + y if self.shortcut else y


class TinyNet(nn.Module):
    """Stem, a static block with a shortcut from a hard swish, five blocks, the head: OFA-MobileNetV3 in small."""

    def __init__(self):
        super().__init__()
        self.stem = ConvBN(3, 8, 3, 2, act=nn.Hardswish)
        self.static = nn.Sequential(ConvBN(8, 8, 3, groups=8, act=nn.ReLU), ConvBN(8, 8))
        self.blocks = nn.Sequential(
            Block(8, 16, 7, 2, act=nn.ReLU, gate=True),
            Block(16, 16, 7, 1, act=nn.Hardswish, gate=True),
            Block(16, 24, 5, 2, act=nn.Hardswish, gate=False),
            Block(24, 24, 5, 1, act=nn.Hardswish, gate=True),
            Block(24, 24, 3, 1, act=nn.Hardswish, gate=False),
        )
        self.final = ConvBN(24, 64, act=nn.Hardswish)
        self.mix = nn.Conv2d(64, 96, 1, bias=False)
        self.classifier = nn.Linear(96, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.final(self.blocks(x + self.static(x))).mean((2, 3), keepdim=True)
        return self.classifier(torch.flatten(F.hardswish(self.mix(x)), 1))


def smooth_images(count: int, seed: int) -> np.ndarray:
    """Blurred noise, normalised: [N, 3, 27, 27] float32."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 3, 6, 6, generator=generator)
    return F.interpolate(coarse, SHAPE[2:], mode="bilinear").numpy()


def build_net() -> nn.Module:
    """TinyNet with random weights, the same in every process, and batch norm statistics measured on images."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = TinyNet()
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.BatchNorm2d):
                module.momentum = None
                nn.init.uniform_(module.weight, 0.6, 1.4)
                nn.init.normal_(module.bias, 0, 0.2)
    net.train()
    with torch.no_grad():
        net(torch.from_numpy(smooth_images(64, 1)))
    return net.eval()
