"""What is trained: embedder and heads as one module, from photos and targets to the loss."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from finprint.learning.lessons import Targets
from finprint.model.embedder import Embedder


class Heads(nn.Module):
    """The heads of a task as one module. Called with vectors (N, D) and `Targets`, it gives the loss, a scalar.

    Attributes:
        main: the head whose weights travel in the model folder. The others serve the training alone.
    """

    main: Any


def of_photos(embedder: Embedder, photos: torch.Tensor) -> torch.Tensor:
    """Vectors (N, D) of photos (N, 3, H, W)."""
    return embedder(photos)


class Network(nn.Module):
    """Embedder and heads as one module.

    Args:
        embedder: photos to vectors.
        heads: vectors and targets to the loss.
        mixed: what mixup mixes, `photos` or `vectors`.
    """

    def __init__(self, embedder: Embedder, heads: Heads, mixed: str = "photos") -> None:
        super().__init__()
        self.embedder = embedder
        self.heads = heads
        self.mixed = mixed

    @property
    def head(self) -> Any:
        """The head that travels in the model folder."""
        return self.heads.main

    def forward(
        self,
        batch: torch.Tensor,
        targets: Targets,
        share: float = 1.0,
        embedded: Callable[[Embedder, torch.Tensor], torch.Tensor] = of_photos,
        box: tuple[float, float, float, float] | None = None,
    ) -> torch.Tensor:
        """The loss of a batch, a scalar.

        With a `share` below 1 the first item is mixed with the last, the second with the last but one, and so on; both
        targets count, by their shares (mixup: Zhang et al., ICLR 2018; of vectors: Verma et al., Manifold mixup,
        ICML 2019).

        Args:
            batch: (N, ...), whatever `embedded` takes.
            targets: of these N.
            share: of the first item of each mixed pair.
            embedded: makes vectors (N, D) of the batch with the embedder.
            box: (top, left, bottom, right), shares of the side, that each photo gets from the other of its pair; its
                area is then the other's share (CutMix: Yun et al., ICCV 2019).
        """
        if box is not None:
            return self._cut(batch, targets, embedded, box)
        if share == 1:
            return self.heads(embedded(self.embedder, batch), targets)
        if self.mixed == "photos":
            vectors = embedded(self.embedder, share * batch + (1 - share) * batch.flip(0))
        else:
            vectors = embedded(self.embedder, batch)
            vectors = share * vectors + (1 - share) * vectors.flip(0)
        return self._mixed_loss(vectors, targets, share)

    def _cut(
        self,
        photos: torch.Tensor,
        targets: Targets,
        embedded: Callable[[Embedder, torch.Tensor], torch.Tensor],
        box: tuple[float, float, float, float],
    ) -> torch.Tensor:
        side = photos.shape[-1]
        top, left, bottom, right = (round(end * side) for end in box)
        pasted = photos.clone()
        pasted[..., top:bottom, left:right] = photos.flip(0)[..., top:bottom, left:right]
        share = 1 - (bottom - top) * (right - left) / side**2
        vectors = embedded(self.embedder, pasted)
        return self._mixed_loss(vectors, targets, share)

    def _mixed_loss(self, vectors: torch.Tensor, targets: Targets, share: float) -> torch.Tensor:
        first, second = targets.mixed(share)
        return share * self.heads(vectors, first) + (1 - share) * self.heads(vectors, second)
