"""Sub-centre ArcFace with margins that grow for individuals of few photos."""

import math

import torch
import torch.nn.functional as F
from torch import nn


def dynamic_margins(counts: torch.Tensor, scale: float, power: float, least: float) -> torch.Tensor:
    """Margins in radians from photo counts: `scale * n ** power + least`.

    Ha et al., Google landmark recognition 2020 third place (arXiv:2010.05350); this form and its
    constants are those of Happywhale's winner.

    Args:
        counts: (C,) photos of each individual, at least 1.

    Returns:
        (C,) float32.
    """
    return scale * counts.float().pow(power) + least


class SubCentreArcFace(nn.Module):
    """ArcFace whose classes have several centres each; the nearest one counts.

    Deng et al., ArcFace (CVPR 2019) and Sub-center ArcFace (ECCV 2020). The cosine of the target class,
    cos t, is replaced by cos(t + m); where t + m would pass pi, by the line cos t - m sin m.

    Args:
        embedding: dimensions D of the vectors.
        margins: (C,) radians.
        centres: sub-centres K a class.
        logit_scale: s.
    """

    margins: torch.Tensor

    def __init__(self, embedding: int, margins: torch.Tensor, centres: int, logit_scale: float) -> None:
        super().__init__()
        self.centres = centres
        self.logit_scale = logit_scale
        self.strength = 1.0  # share of the margins that counts now
        self.weight = nn.Parameter(torch.empty(len(margins) * centres, embedding))  # (C K, D)
        nn.init.xavier_uniform_(self.weight)
        self.register_buffer("margins", margins)

    def cosines(self, vectors: torch.Tensor) -> torch.Tensor:
        """Margin-free cosines (N, C) of vectors (N, D) to the nearest centre of each class, in float32."""
        with torch.autocast(vectors.device.type, enabled=False):
            every = F.normalize(vectors.float()) @ F.normalize(self.weight.float()).T  # (N, C K)
            return every.view(len(vectors), -1, self.centres).amax(dim=2)

    def forward(self, vectors: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The mean `losses` of vectors (N, D) with labels (N,), a scalar."""
        return self.losses(vectors, labels[:, None]).mean()

    def losses(self, vectors: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Cross entropy of the scaled cosines with the margin on the target.

        Args:
            vectors: (N, D), of any length.
            labels: (N, K) class numbers, each the target in turn.

        Returns:
            (N, K).
        """
        cosines = self.cosines(vectors)
        rows = torch.arange(len(labels), device=labels.device)
        losses = []
        for label in labels.T:
            target = add_margin(cosines[rows, label], self.strength * self.margins[label])
            logits = cosines.index_put((rows, label), target)
            losses.append(F.cross_entropy(self.logit_scale * logits, label, reduction="none"))
        return torch.stack(losses, dim=1)


def add_margin(cosine: torch.Tensor, margin: torch.Tensor) -> torch.Tensor:
    """cos(t + m) from cos t, both (N,), without acos, whose gradient is infinite at 1."""
    sine = (1 - cosine**2).clamp(min=1e-6).sqrt()
    turned = cosine * margin.cos() - sine * margin.sin()
    return torch.where(cosine > (math.pi - margin).cos(), turned, cosine - margin * margin.sin())
