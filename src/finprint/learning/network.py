"""What is trained: embedder and heads as one module, and whom the photos show that it learns from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from finprint.model.embedder import Embedder
from finprint.model.heads import SubCentreArcFace


@dataclass(frozen=True)
class Targets:
    """Whom photos show.

    Attributes:
        labels: (N, K) int64 class numbers.
        weights: (N, K) float32, how much each counts; a name that is sure is one label of weight 1.
    """

    labels: torch.Tensor
    weights: torch.Tensor

    @classmethod
    def sure(cls, labels: np.ndarray) -> "Targets":
        """One name for each photo, of (N,) class numbers."""
        found = torch.from_numpy(labels.astype(np.int64))[:, None]
        return cls(found, torch.ones(found.shape))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: np.ndarray | torch.Tensor) -> "Targets":
        return Targets(self.labels[rows], self.weights[rows])

    def to(self, device: torch.device) -> "Targets":
        return Targets(self.labels.to(device), self.weights.to(device))

    def reversed(self) -> "Targets":
        """The last photo's targets first."""
        return Targets(self.labels.flip(0), self.weights.flip(0))

    def mean(self, losses: torch.Tensor) -> torch.Tensor:
        """The mean over photos of (N, K) losses, each label's by its weight; a scalar."""
        return (self.weights * losses).sum(dim=1).mean()


class Network(nn.Module):
    """Embedder and heads as one module: photos and labels to the loss.

    Args:
        embedder: photos to vectors.
        head: tells individuals.
        species: tells species, beside it.
        mixed: what mixup mixes, photos or vectors.
    """

    def __init__(
        self, embedder: Embedder, head: SubCentreArcFace, species: "SpeciesLoss | None" = None, mixed: str = "photos"
    ) -> None:
        super().__init__()
        self.embedder: Any = embedder  # or what stands for it: see frozen.py
        self.head = head
        self.species = species
        self.mixed = mixed

    def forward(self, photos: torch.Tensor, targets: Targets, share: float = 1.0) -> torch.Tensor:
        """The loss of a batch; with a `share` below 1 the first photo is mixed with the last, and so on, and both
        names are to be told (mixup: Zhang et al., ICLR 2018; of vectors: Verma et al., Manifold mixup, ICML 2019)."""
        if share == 1:
            return self.loss(self.embedder(photos), targets)
        if self.mixed == "photos":
            vectors = self.embedder(share * photos + (1 - share) * photos.flip(0))
        else:
            vectors = self.embedder(photos)
            vectors = share * vectors + (1 - share) * vectors.flip(0)
        return share * self.loss(vectors, targets) + (1 - share) * self.loss(vectors, targets.reversed())

    def loss(self, vectors: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The loss of vectors (N, D), both heads together."""
        loss = targets.mean(self.head.losses(vectors, targets.labels))
        return loss if self.species is None else self.species(loss, vectors, targets)


class SpeciesLoss(nn.Module):
    """A head that tells species, weighed against that of individuals.

    Args:
        head: tells species.
        of: (C,) species of each individual, -1 where it is unknown: such photos do not count.
        share: of the species head in the loss.
    """

    of: torch.Tensor

    def __init__(self, head: SubCentreArcFace, of: torch.Tensor, share: float) -> None:
        super().__init__()
        self.head = head
        self.share = share
        self.register_buffer("of", of)

    def forward(self, loss: torch.Tensor, vectors: torch.Tensor, targets: Targets) -> torch.Tensor:
        species = self.of[targets.labels]  # (N, K)
        told = ((species >= 0) | (targets.weights == 0)).all(dim=1)
        if not told.any():
            return loss
        losses = self.head.losses(vectors[told], species[told].clamp(min=0))
        return (1 - self.share) * loss + self.share * targets[told].mean(losses)
