"""How alike photos are by the descriptors of their local features alone: fast enough for hundreds of photos a query.

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
from finprint.keypoints.threads import side_by_side
from finprint.keypoints.views import views_of
from finprint.pictures.shards import Crops

UNLIKE = 0.6  # the cosine of two features that says nothing (docs/log.md, 2026-11-28, antelopes)
CHUNK = 16  # gallery photos at a time, so that their cosines stay in the processor's cache


def agreements(
    photos: pd.DataFrame, crops: Crops, queries: np.ndarray, rows: np.ndarray, params: Match, engine: Engine = LOCAL
) -> np.ndarray:
    """(Q, N) float32, how much the local features of queries agree with those of other photos.

    Args:
        photos: table `PHOTOS`.
        crops: of these photos.
        queries: (Q,) rows of `photos`.
        rows: (Q, N) rows of the photos that each is compared with; -1: none, which counts 0.
        params: the section `match`.
        engine: where the features are computed.

    Raises:
        UserError: the networks' weights cannot be had, or a photo has no crop or cannot be read.
    """
    used = np.union1d(queries, rows[rows >= 0])
    views = views_of(photos, crops, params)
    keys = {row: views.key(row) for row in crops.rows(photos["image"].iloc[used]).tolist()}
    with opened(params, engine) as bench:
        extract(bench, views, keys, params.image_size)
        described = [bench.load(key).descriptors if key in bench.features else None for key in keys.values()]
    wide = next((one.shape[1] for one in described if one is not None), 1)
    stacked = torch.zeros((len(described), params.keypoints, wide), dtype=torch.float16)
    for place, one in zip(stacked, described, strict=True):
        if one is not None:
            place[: len(one)] = torch.from_numpy(one)

    def of_query(number: int) -> np.ndarray:
        there = rows[number] >= 0
        measured = np.zeros(rows.shape[1], np.float32)
        one, *others = np.searchsorted(used, [queries[number], *rows[number, there]])
        measured[there] = agreement(stacked[one], stacked[others])
        return measured

    each = side_by_side(of_query, range(len(queries)))
    compared = bar("photos compared by descriptors", len(queries), "query", each)
    return np.stack([*compared]) if len(queries) else np.zeros(rows.shape, np.float32)


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
        mutual = cosines.amax(dim=2).gather(1, theirs) == best
        sums.append(((best - UNLIKE).clamp(min=0) * mutual).sum(dim=1).cpu())
    return torch.cat(sums).numpy() if sums else np.zeros(0, np.float32)
