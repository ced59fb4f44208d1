"""What a network learns from: rows of crops, and what each of them shows."""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Targets:
    """What N photos show.

    Attributes:
        labels: (N, K) int64 numbers of classes.
        weights: (N, K) float32, how much each label counts. A sure one is a single label of weight 1.
    """

    labels: torch.Tensor
    weights: torch.Tensor

    @classmethod
    def sure(cls, labels: np.ndarray) -> "Targets":
        """One label for each photo, of (N,) numbers of classes."""
        column = torch.from_numpy(labels.astype(np.int64))[:, None]
        return cls(column, torch.ones(column.shape))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: np.ndarray | torch.Tensor) -> "Targets":
        return Targets(self.labels[rows], self.weights[rows])

    def to(self, device: torch.device) -> "Targets":
        """The same on a device."""
        return Targets(self.labels.to(device), self.weights.to(device))

    def reversed(self) -> "Targets":
        """The last photo's targets first."""
        return Targets(self.labels.flip(0), self.weights.flip(0))

    def mean(self, losses: torch.Tensor) -> torch.Tensor:
        """The mean over photos of (N, K) losses, each label's by its weight; a scalar."""
        return (self.weights * losses).sum(dim=1).mean()


@dataclass(frozen=True)
class Lessons:
    """What a round learns from.

    Attributes:
        rows: (N,) rows of the crops.
        targets: what these N crops show.
        classes: the C names that the labels number.
    """

    rows: np.ndarray
    targets: Targets
    classes: list[str]

    def __len__(self) -> int:
        return len(self.rows)
