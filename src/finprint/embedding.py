"""Unit vectors of crops."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from finprint.augment import plain_view
from finprint.loading import batches, in_order, to_device
from finprint.model import Embedder


def best_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@torch.inference_mode()
def embed(
    embedder: Embedder,
    pixels: Callable[[int], np.ndarray],
    rows: np.ndarray,
    *,
    batch: int,
    mirror: bool,
    amp: bool,
    quiet: bool = False,
) -> np.ndarray:
    """Embed crops.

    Args:
        embedder: the model; it is put on the best device, channels last, and into evaluation mode.
        pixels: gives the crop of a row, `(H, W, 3)` uint8.
        rows: (N,) row numbers.
        batch: crops a step.
        mirror: average the vectors of the crop and of its mirror image.
        amp: bfloat16 autocast; vectors then agree with float32's to about 0.01.
        quiet: show no progress.

    Returns:
        (N, D) float32 unit vectors, in the order of `rows`.
    """
    device = best_device()
    embedder = embedder.to(device).to(memory_format=torch.channels_last).eval()
    side = embedder.config.image_size
    vectors = []
    stream = batches(lambda item: plain_view(pixels(int(rows[item])), side), in_order(len(rows), batch))
    with tqdm(total=len(rows), desc="embedding", unit="crop", disable=quiet or None) as progress:
        for views in stream:
            found = _unit(embedder, to_device(views, device), amp)
            if mirror:
                found = F.normalize(found + _unit(embedder, to_device(views.flip(-1), device), amp))
            vectors.append(found.cpu().numpy())
            progress.update(len(views))
    return np.concatenate(vectors) if vectors else np.zeros((0, embedder.config.embedding), np.float32)


def _unit(embedder: nn.Module, photos: torch.Tensor, amp: bool) -> torch.Tensor:
    with torch.autocast(photos.device.type, torch.bfloat16, enabled=amp):
        vectors = embedder(photos)
    return F.normalize(vectors.float())
