"""The heads that tell individuals, and species beside them: from vectors and names to the loss."""

import torch
from torch import nn

from finprint.individuals.params import Train
from finprint.learning.lessons import Targets
from finprint.learning.network import Heads
from finprint.model.heads import SubCentreArcFace, dynamic_margins


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


class IndividualHeads(Heads):
    """The head that tells individuals, and the one that tells species if it is wanted.

    Args:
        main: tells individuals.
        species: tells species, beside it.
    """

    def __init__(self, main: SubCentreArcFace, species: SpeciesLoss | None = None) -> None:
        super().__init__()
        self.main = main
        self.species = species

    def forward(self, vectors: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The loss of vectors (N, D), both heads together."""
        loss = targets.mean(self.main.losses(vectors, targets.labels))
        return loss if self.species is None else self.species(loss, vectors, targets)


def photo_counts(targets: Targets) -> torch.Tensor:
    """(C,) float64, the photos of each individual, each by its weight."""
    return torch.bincount(targets.labels.ravel(), targets.weights.ravel().double())


def species_loss(of: torch.Tensor, counts: torch.Tensor, train: Train, twice: int) -> SpeciesLoss | None:
    """The head that tells species, if it is wanted and there is more than one.

    Args:
        of: (C,) species of each individual, -1 where it is unknown.
        counts: (C,) photos of each individual.
        train: the section.
        twice: times that the individuals stand in the targets, 2 where their mirror images are others.
    """
    params, species = train.species, int(of.max()) + 1
    if not params.share or species < 2:
        return None
    told = of >= 0
    photos = torch.zeros(species, dtype=torch.float64).index_add(0, of[told], counts[told]).clamp(min=1)
    margins = dynamic_margins(photos, params.one_photo, params.power, train.margin.least)
    head = SubCentreArcFace(train.embedding, margins, 1, params.logit_scale)
    return SpeciesLoss(head, of.repeat(twice), params.share)
