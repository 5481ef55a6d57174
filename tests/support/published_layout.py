"""A checkpoint as the authors of Once-For-All publish theirs, with random weights and a quarter as wide."""

import json
from pathlib import Path

import torch

from ofa_edge.space import Space
from ofa_edge.supernet.network import Supernet

SPACE = Space("a quarter as wide", 0.25, 3, 10, (2, 2, 2, 2, 1, 1), (24, 32))


def save_checkpoint(folder: Path, space: Space = SPACE, seed: int = 0) -> Path:
    """Write `published.pth` in the published spelling, and `space.json`, which shapes alone do not say.

    Args:
        folder: for both.
        space: of the weights.
        seed: of the weights.
    """
    torch.manual_seed(seed)
    state = {
        key.replace(".conv.", ".mobile_inverted_conv.", 1) if key.startswith("blocks.") else key: value
        for key, value in Supernet(space).eval().state_dict().items()
    }
    torch.save({"state_dict": state}, folder / "published.pth")
    (folder / "space.json").write_text(json.dumps(space.to_json()))
    return folder / "published.pth"
