"""What a network learns from: rows of crops, and what each of them shows."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch


@dataclass(frozen=True)
class Targets:
    """What N photos show.

    Attributes:
        labels: (N, K) int64 numbers of classes.
        weights: (N, K) float32, how much each label counts. A sure one is a single label of weight 1.
        extras: (N, E) float32 measures of the photos, which a head looks at beside the vectors; None: there are none.
    """

    labels: torch.Tensor
    weights: torch.Tensor
    extras: torch.Tensor | None = None

    @classmethod
    def sure(cls, labels: np.ndarray) -> "Targets":
        """One label for each photo, of (N,) numbers of classes."""
        column = torch.from_numpy(labels.astype(np.int64))[:, None]
        return cls(column, torch.ones(column.shape))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: np.ndarray | torch.Tensor) -> "Targets":
        return self._each(lambda tensor: tensor[rows])

    def to(self, device: torch.device) -> "Targets":
        """The same on a device."""
        return self._each(lambda tensor: tensor.to(device))

    def reversed(self) -> "Targets":
        """The last photo's targets first."""
        return self._each(lambda tensor: tensor.flip(0))

    def mixed(self, share: float) -> tuple["Targets", "Targets"]:
        """What the first and the second photo of each mixed pair show. The pairs are the first photo with the last, the
        second with the last but one, and so on. Both have the measures of the mixed photo: `share` of the first one's.
        """
        extras = None if self.extras is None else share * self.extras + (1 - share) * self.extras.flip(0)
        return replace(self, extras=extras), replace(self.reversed(), extras=extras)

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Targets":
        extras = None if self.extras is None else change(self.extras)
        return Targets(change(self.labels), change(self.weights), extras)

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
