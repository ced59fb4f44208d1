"""Which places of two photos made them alike: heat maps of their cosine."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import matplotlib
import numpy as np
import torch
import torch.nn.functional as F

from finprint.model.embedder import Embedder
from finprint.model.views import plain_view

COLOURS = "inferno"
STRENGTH = 0.65  # opacity of the hottest place


@dataclass(frozen=True)
class Explanation:
    """What made a query and its match alike.

    Attributes:
        query: (H, W) float32, 0 to 1, of the size of the query's crop: what each place adds to the cosine,
            as a share of the most that one adds; 0 where it takes away.
        match: the same of the match's crop.
        cosine: of the two plain views by this model. The search takes the mean with the mirror images
            and with another round, so its cosine differs a little.
    """

    query: np.ndarray
    match: np.ndarray
    cosine: float


def explain(embedder: Embedder, pairs: Sequence[tuple[np.ndarray, np.ndarray]], batch: int = 16) -> list[Explanation]:
    """Explain the likeness of pairs of crops, from their plain views (not the mirror images).

    Args:
        embedder: the model, on any device; it is put into evaluation mode.
        pairs: a query's crop and its match's, `(H, W, 3)` uint8 RGB.
        batch: pairs a step.
    """
    embedder = embedder.eval()
    explained = []
    for start in range(0, len(pairs), batch):
        chunk = pairs[start : start + batch]
        views = [_views(embedder, [pair[side] for pair in chunk]) for side in (0, 1)]
        queries, matches, cosines = contributions(embedder, *views)
        for (query, match), hot, warm, cosine in zip(chunk, queries, matches, cosines, strict=True):
            explained.append(Explanation(_heat(hot, query.shape), _heat(warm, match.shape), float(cosine)))
    return explained


def contributions(
    embedder: Embedder, queries: torch.Tensor, matches: torch.Tensor
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What each place of two photos adds to the cosine of their vectors.

    Gradient times activation at each place of the feature maps (HiResCAM: Draelos and Carin, Use HiResCAM
    instead of Grad-CAM, 2020), of the cosine with the vectors' lengths held constant, which splits it into
    a sum over places (Zhu, Yang and Chen, Visual explanation for deep metric learning, TIP 2021). For GeM,
    of degree 1 in the activations, and the affine neck the split is exact up to the neck's constant;
    DOLG's is one of first order. bench/deletion.py checks that the hot places matter.

    Args:
        embedder: in evaluation mode.
        queries: (N, 3, S, S), values 0 to 1.
        matches: (N, 3, S, S).

    Returns:
        (N, S, S) of the queries, (N, S, S) of the matches, both signed, (N,) cosines.
    """
    stages, vectors = zip(*(_with_leaves(embedder, photos) for photos in (queries, matches)), strict=True)
    lengths = [vector.detach().norm(dim=1).clamp(min=1e-12) for vector in vectors]
    units = [vector.detach() / length[:, None] for vector, length in zip(vectors, lengths, strict=True)]
    maps = []
    for leaves, vector, length, other in zip(stages, vectors, lengths, units[::-1], strict=True):
        cosine = (vector * other).sum(dim=1) / length
        gradients = torch.autograd.grad(cosine.sum(), leaves)
        spread = [_spread(g * leaf, queries.shape[-1]) for g, leaf in zip(gradients, leaves, strict=True)]
        maps.append(torch.stack(spread).sum(dim=0))
    cosines = (units[0] * units[1]).sum(dim=1)
    return maps[0].cpu().numpy(), maps[1].cpu().numpy(), cosines.cpu().numpy()


def overlay(pixels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A crop under its heat map, for people: the hotter, the brighter and the more opaque.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        heat: (H, W), 0 to 1.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    colours = matplotlib.colormaps[COLOURS](heat)[..., :3] * 255
    opacity = STRENGTH * heat[..., None]
    grey = pixels.mean(axis=2, keepdims=True)  # the photo's own colours would be taken for heat
    return np.rint((1 - opacity) * (0.5 * pixels + 0.5 * grey) + opacity * colours).astype(np.uint8)


def _views(embedder: Embedder, crops: list[np.ndarray]) -> torch.Tensor:
    views = np.stack([plain_view(crop, embedder.config.image_size, embedder.config.padded) for crop in crops])
    return torch.from_numpy(views).permute(0, 3, 1, 2).to(embedder.mean.device).float() / 255


def _with_leaves(embedder: Embedder, photos: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
    """The feature maps, cut off from the backbone, and the vectors (N, D) that come of them; of the photos as they
    stand, not of the quarter turns that a cyclic model pools."""
    with torch.no_grad():
        maps = embedder.maps(photos)
    with torch.enable_grad():
        leaves = [stage.detach().requires_grad_() for stage in maps]
        return leaves, embedder.vectors(*leaves)


def _spread(products: torch.Tensor, side: int) -> torch.Tensor:
    """(N, C, h, w) summed over channels and spread over (N, side, side) pixels; each photo's sum stays the same."""
    places = products.detach().float().sum(dim=1, keepdim=True)
    share = places.shape[-2] * places.shape[-1] / side**2
    return F.interpolate(places * share, size=(side, side), mode="bilinear", align_corners=False)[:, 0]


def _heat(signed: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A square map as heat of a crop's shape (H, W, 3)."""
    hot = cv2.resize(np.maximum(signed, 0), (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    top = hot.max()
    return hot / top if top > 0 else hot
