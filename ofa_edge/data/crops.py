"""Random resized crops: boxes drawn for a whole batch at once, then cut out and brought to one size."""

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.preprocess import Pixels

Ratio = tuple[float, float]
_ATTEMPTS = 10


def draw_boxes(rng: np.random.Generator, count: int, scale: tuple[float, float], ratio: Ratio) -> NDArray[np.float64]:
    """Boxes [count, 4] (top, left, height, width) in shares of the side of a square image.

    The area is uniform in `scale`, the logarithm of width by height uniform in `ratio`, the place uniform (Szegedy et
    al., CVPR 2015). A box that is longer than the image is drawn again, up to ten times; then the image is taken whole.
    Boxes are in shares, so that they fit images of any size; `resample` rounds them to whole pixels.
    """
    area = rng.uniform(*scale, size=(_ATTEMPTS, count))
    aspect = np.exp(rng.uniform(float(np.log(ratio[0])), float(np.log(ratio[1])), size=(_ATTEMPTS, count)))
    sides = np.stack([np.sqrt(area / aspect), np.sqrt(area * aspect)])  # [2, attempts, count]
    fits = (sides <= 1).all(0)
    first = fits.argmax(0)
    chosen = np.where(fits.any(0), sides[:, first, np.arange(count)], 1.0)
    corner = rng.random((2, count)) * (1 - chosen)
    return np.ascontiguousarray(np.concatenate([corner, chosen]).T)


def resample(images: Pixels, boxes: NDArray[np.float64], size: int) -> Pixels:
    """Cut out each image's box and bring it to another size.

    The filter is that of `pixels.resize`, a triangle that is widened when shrinking, in torch's fixed-point code:
    within one step of 255 of the exact result, and many times faster.

    Args:
        images: uint8 [N, S, S, C].
        boxes: [N, 4], see `draw_boxes`.
        size: side of the result.

    Returns:
        uint8 [N, size, size, C]. A row depends on its own image and box only.
    """
    import torch
    from torch.nn import functional as F

    length = images.shape[1]
    result = np.empty((len(images), size, size, images.shape[3]), dtype=np.uint8)
    sides = np.maximum(1, np.floor(boxes[:, 2:] * length + 0.5)).astype(np.int64)
    corners = np.minimum(np.floor(boxes[:, :2] * length + 0.5).astype(np.int64), length - sides)
    source = torch.from_numpy(np.require(images, requirements=["C", "W"])).permute(0, 3, 1, 2)
    for index, ((top, left), (height, width)) in enumerate(zip(corners.tolist(), sides.tolist(), strict=True)):
        box = source[index : index + 1, :, top : top + height, left : left + width]
        made = F.interpolate(box, size=(size, size), mode="bilinear", antialias=True)
        result[index] = made[0].permute(1, 2, 0).numpy()
    return result
