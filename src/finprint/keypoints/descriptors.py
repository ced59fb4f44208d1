"""How alike photos are by the descriptors of their local features alone: fast enough to search a small gallery.

Features that are each other's nearest count, each by its cosine above `UNLIKE`.
"""

import numpy as np
import pandas as pd
import torch

from finprint.base.device import best_device
from finprint.base.progress import bar
from finprint.engine.params import LOCAL, Engine
from finprint.keypoints.features import extract, opened
from finprint.keypoints.params import Match
from finprint.keypoints.points import Alike
from finprint.keypoints.threads import side_by_side
from finprint.keypoints.views import views_of
from finprint.pictures.shards import Crops

UNLIKE = 0.6  # the cosine of two features that says nothing (docs/log.md, 2026-11-28, antelopes)
CHUNK = 64  # gallery photos at a time, which bounds the memory


def by_descriptors(photos: pd.DataFrame, crops: Crops, params: Match, engine: Engine = LOCAL) -> Alike:
    """A measure of how alike photos are, after computing the local features of all of them.

    Args:
        photos: table `PHOTOS`.
        crops: of these photos.
        params: the section `match`.
        engine: where the features are computed.

    Returns:
        A function of (Q,) and (G,) rows of `photos` and a (Q, G) mask; it gives (Q, G) float32, 0 outside the mask.

    Raises:
        UserError: the networks' weights cannot be had, or a photo has no crop or cannot be read.
    """
    views = views_of(photos, crops, params)
    keys = {row: views.key(row) for row in crops.rows(photos["image"]).tolist()}
    with opened(params, engine) as bench:
        extract(bench, views, keys, params.image_size)
        described = [bench.load(key).descriptors if key in bench.features else None for key in keys.values()]
    wide = next((one.shape[1] for one in described if one is not None), 1)
    stacked = torch.zeros((len(described), params.keypoints, wide), dtype=torch.float16)
    for place, one in zip(stacked, described, strict=True):
        if one is not None:
            place[: len(one)] = torch.from_numpy(one)

    def alike(queries: np.ndarray, gallery: np.ndarray, mask: np.ndarray) -> np.ndarray:
        def row(number: int) -> np.ndarray:
            asked = np.flatnonzero(mask[number])
            measured = np.zeros(len(gallery), np.float32)
            measured[asked] = agreement(stacked[queries[number]], stacked[gallery[asked]])
            return measured

        rows = side_by_side(row, range(len(queries)))
        return np.stack(list(bar("photos compared by descriptors", len(queries), "query", rows)))

    return alike


@torch.inference_mode()
def agreement(one: torch.Tensor, others: torch.Tensor) -> np.ndarray:
    """(G,) float32, how much the features of a photo agree with those of each other photo.

    Args:
        one: (K, D) unit vectors, zeros where there are fewer features, and `others`, (G, K, D).
    """
    device = best_device()
    sums = []
    for start in range(0, len(others), CHUNK):
        cosines = others[start : start + CHUNK].to(device).float() @ one.to(device).float().T  # (C, K, K): theirs, ours
        best, theirs = cosines.max(dim=1)  # of each of our features
        ours = cosines.argmax(dim=2)  # of each of theirs
        mutual = ours.gather(1, theirs) == torch.arange(len(one), device=device)
        sums.append(((best - UNLIKE).clamp(min=0) * mutual).sum(dim=1).cpu())
    return torch.cat(sums).numpy() if sums else np.zeros(0, np.float32)
