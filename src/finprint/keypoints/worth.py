"""How much two matched features say about two photos: all alike, or as networks have learned from a gallery.

Features of a callosity or a stripe tell animals apart. Those of a wave, of grass or of a fluke's edge do not. Which do
differs between catalogues, so it is learned from the named photos of each (`keypoints/lessons.py`).
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from finprint.base.device import best_device
from finprint.keypoints.points import SLACK, WIDEST

UNLIKE = 0.6  # the cosine of two features that says nothing (docs/log.md, 2026-11-28, antelopes)
LOWEST = 0.5  # the cosine from which a network may find that it says something
VOTERS = 64  # pairs of features that vote, the most alike ones; with all 256 the results are the same
TINY = 1e-6  # instead of a sum of no weights
FAR = -80.0  # exponent, at least: a CPU takes ten times as long over exponentials that are nearly 0
NETWORKS = 5  # of which each learns from other animals
HIDDEN = 32  # neurons of each
DROPPED = 0.5  # share of inputs and neurons left out in a step. Without it a network learns few photos by heart
SHARP = 20.0  # of the softplus by which a cosine becomes a weight
REACH = 0.2  # cosine that one unit of the network's answer is worth


@dataclass(frozen=True)
class Described:
    """Local features of photos.

    Attributes:
        descriptors: (..., K, D) unit vectors, zeros where there are fewer features.
        places: (..., K, 2) their x and y as shares of the photo's longer side.
    """

    descriptors: Tensor
    places: Tensor

    def __getitem__(self, photos: "int | slice | list[int] | np.ndarray | Tensor | None") -> "Described":
        return Described(self.descriptors[photos], self.places[photos])

    def on(self, device: torch.device) -> "Described":
        """The same on a device, in full precision."""
        return Described(self.descriptors.to(device).float(), self.places.to(device))

    def of(self, photos: Tensor, features: Tensor) -> "Described":
        """(P, V) features of P photos.

        Args:
            photos: (P,) numbers of the photos, and `features`, (P, V), of their features.
        """
        return Described(self.descriptors[photos[:, None], features], self.places[photos[:, None], features])


@dataclass(frozen=True)
class Matches:
    """Features of P pairs of photos that are each other's nearest, the V most alike ones of each pair.

    Attributes:
        cosines: (P, V), best first; 0 where a pair has fewer, or where they say nothing.
        ones: (P, V) features of the one photo.
        others: (P, V) features of the other photo.
    """

    cosines: Tensor
    ones: Described
    others: Described

    def agreement(self, weights: Tensor) -> Tensor:
        """(..., P) the weights of matches, each times the weights of all that are shifted alike, as a weighted mean.

        A vote of shifts is Lowe's (IJCV 2004), as a kernel density instead of bins.

        Args:
            weights: (..., P, V) of the matches.
        """
        return self.parts(weights).sum(dim=-1)

    def parts(self, weights: Tensor) -> Tensor:
        """(..., P, V) what each match adds to the agreement."""
        return weights * self.votes(weights) / weights.sum(dim=-1, keepdim=True).clamp(min=TINY)

    def weights(self, worth: "Worth | None") -> Tensor:
        """(P, V) how much each is worth; by None: its cosine above `UNLIKE`."""
        return self.plain() if worth is None else worth(self)

    def plain(self) -> Tensor:
        """(P, V) how far their cosines stand above `UNLIKE`."""
        return (self.cosines - UNLIKE).clamp(min=0)

    def votes(self, weights: Tensor) -> Tensor:
        """(..., P, V) of each match the sum of the weights of all, the less, the more they are shifted otherwise."""
        return torch.einsum("pvw,...pw->...pv", self._alike, weights)

    @cached_property
    def _alike(self) -> Tensor:
        """(P, V, V) from 0 to 1, how alike the shifts of two matches are."""
        shifts = self.ones.places - self.others.places
        return (-torch.cdist(shifts, shifts).square() / (2 * SLACK**2)).clamp(min=FAR).exp()


def mutual(one: Described, others: Described) -> tuple[Tensor, Tensor, Tensor]:
    """Which features of a photo, (K, D), and of P other ones, (P, K, D), are each other's nearest.

    Returns:
        (P, V) their cosines, as for `Matches`, and their rows in `one` and in `others`.
    """
    cosines = others.descriptors @ one.descriptors.T  # (P, K, K): theirs, ours
    best, theirs = cosines.max(dim=1)  # of each of our features
    both = cosines.amax(dim=2).gather(1, theirs) == best
    above, ours = ((best - LOWEST).clamp(min=0) * both).topk(min(VOTERS, best.shape[1]), dim=1)
    return torch.where(above > 0, above + LOWEST, 0.0), ours, theirs.gather(1, ours)


class Dropped(nn.Dropout):
    """Dropout of the same numbers for all matches of two photos: random numbers for each match would take most of the
    time.
    """

    def __init__(self) -> None:
        super().__init__(DROPPED)

    def forward(self, values: Tensor) -> Tensor:
        """(P, V, F) numbers, of which some are 0."""
        return values * super().forward(values.new_ones(len(values), 1, values.shape[-1])) if self.training else values


class Worth(nn.Module):
    """Small networks that say how much matched features are worth, by what they look like, where they are, and how
    many are shifted alike. Untrained they say nearly the same as `Matches.plain`.
    """

    def __init__(self) -> None:
        super().__init__()
        # The first layers of all networks see the same numbers, so that they are one.
        self.hidden = nn.Sequential(Dropped(), nn.Linear(2 * WIDEST + 8, NETWORKS * HIDDEN), nn.GELU(), Dropped())
        self.last = nn.Parameter(torch.zeros(NETWORKS, HIDDEN))
        self.least = nn.Parameter(torch.full((NETWORKS,), UNLIKE))

    def forward(self, matches: Matches) -> Tensor:
        """(P, V) weights of matches: what the networks say, as a mean."""
        return self.each(matches).mean(dim=0)

    def each(self, matches: Matches) -> Tensor:
        """(NETWORKS, P, V) weights of matches."""
        one, other = matches.ones, matches.others
        votes = matches.votes(matches.plain())
        numbers = torch.stack([8 * (matches.cosines - 0.7), votes, votes.log1p(), matches.cosines.sign()], dim=-1)
        both = [8 * one.descriptors * other.descriptors, 4 * (one.descriptors + other.descriptors)]
        hidden = self.hidden(torch.cat([*both, numbers, one.places, other.places], dim=-1))
        told = torch.einsum("pvnh,nh->npv", hidden.unflatten(-1, self.last.shape), self.last)
        above = matches.cosines - self.least[:, None, None] + REACH * told
        return nn.functional.softplus(SHARP * above) / SHARP * matches.cosines.sign()

    def save(self, path: Path) -> None:
        """Write its weights."""
        save_file({name: value.cpu().contiguous() for name, value in self.state_dict().items()}, path)

    @staticmethod
    def load(path: Path) -> "Worth":
        """The networks whose weights lie there, on the device that works.

        Raises:
            ValueError: the file is damaged, or of another version.
        """
        worth = Worth()
        try:
            worth.load_state_dict(load_file(path))
        except (OSError, SafetensorError, RuntimeError):
            raise ValueError(f"{path} is damaged or of another version") from None
        return worth.to(best_device()).eval()
