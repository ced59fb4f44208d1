"""What a network is fed with: photos, or the features that a frozen backbone made of them (frozen.py)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from finprint.learning.network import of_photos
from finprint.model.embedder import Embedder
from finprint.model.embedding import embed
from finprint.model.loading import View, batches, to_device
from finprint.model.params import Augment, Embed
from finprint.model.views import random_view


@dataclass(frozen=True)
class Epoch:
    """How one epoch shows N items.

    Attributes:
        rows: (N,) rows of their crops.
        order: (S, B) numbers of the items in each batch.
        mirrored: (N,) bool: show the mirror image.
        side: px of the views.
        augment: how much the views vary.
        seed: with an item's number it decides all that is random in the item's view.
        padded: views keep the proportions of the crops.
    """

    rows: np.ndarray
    order: np.ndarray
    mirrored: np.ndarray
    side: int
    augment: Augment
    seed: tuple[int, ...]
    padded: bool = False

    def view(self, pixels: View, item: int) -> np.ndarray:
        """The view (side, side, 3) uint8 of an item; `pixels` gives the crop of a row."""
        rng = np.random.default_rng([*self.seed, item])
        crop = pixels(int(self.rows[item]))
        return random_view(crop, self.side, self.augment, rng, bool(self.mirrored[item]), self.padded)


class Inputs(Protocol):
    """What a network is fed with."""

    def batches(self, epoch: Epoch) -> Iterator[torch.Tensor]:
        """The batches of an epoch, (B, ...) each, on the CPU."""

    def to_device(self, batch: torch.Tensor, device: torch.device) -> torch.Tensor:
        """A batch on `device`, as float32."""

    def embedded(self, embedder: Embedder, batch: torch.Tensor) -> torch.Tensor:
        """Vectors (B, D) of a batch that is on the device; gradients flow through them."""

    def vectors(self, embedder: Embedder, rows: np.ndarray) -> np.ndarray:
        """(N, D) float32 unit vectors of the crops in `rows`, without mirror images; the embedder is in evaluation
        mode from then on."""


class Photos:
    """Random views of crops.

    Args:
        pixels: gives the crop of a row, (H, W, 3) uint8.
        batch: crops a step in `vectors`.
    """

    def __init__(self, pixels: View, batch: int) -> None:
        self._pixels = pixels
        self._batch = batch

    def batches(self, epoch: Epoch) -> Iterator[torch.Tensor]:
        """(B, 3, side, side) uint8 each."""
        return batches(lambda item: epoch.view(self._pixels, item), epoch.order)

    def to_device(self, batch: torch.Tensor, device: torch.device) -> torch.Tensor:
        """Values from 0 to 1."""
        return to_device(batch, device)

    def embedded(self, embedder: Embedder, batch: torch.Tensor) -> torch.Tensor:
        """By the whole embedder."""
        return of_photos(embedder, batch)

    def vectors(self, embedder: Embedder, rows: np.ndarray) -> np.ndarray:
        """By plain views, in bfloat16."""
        plain = Embed(batch=self._batch, mirror=False, amp=True)
        return embed(embedder, self._pixels, rows, plain, quiet=True)
