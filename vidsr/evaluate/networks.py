"""Networks that measure, as functions of two pictures."""

import numpy as np
import torch
from torch import Tensor, nn

from vidsr.evaluate.image import PEAK, Pixels
from vidsr.evaluate.metric import PictureMetric


def as_picture_metric(network: nn.Module) -> PictureMetric:
    """Return `network`, which compares [B, 3, H, W] in [0, 1], as a function of uint8 pictures [H, W, 3]."""
    network = network.eval()

    def measure(pixels: Pixels, reference: Pixels) -> float:
        with torch.inference_mode():
            return float(network(to_image(pixels), to_image(reference))[0])

    return measure


def to_image(pixels: Pixels) -> Tensor:
    """Return a picture as [1, 3, H, W] in [0, 1]."""
    return torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None] / PEAK
