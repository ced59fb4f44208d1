"""How alike photos are by their local features alone: fast enough for hundreds of photos a query.

Features that are each other's nearest by their descriptors count, each by its cosine above `UNLIKE`, and by how many
others lie shifted as far and in the same direction: those of one animal in one pose do. A vote of shifts is Lowe's
(IJCV 2004), as a kernel density instead of bins.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from finprint.base.device import best_device
from finprint.base.progress import bar
from finprint.engine.params import LOCAL, Engine
from finprint.keypoints.features import extract, opened
from finprint.keypoints.params import Match
from finprint.keypoints.points import SLACK, WIDEST
from finprint.keypoints.threads import side_by_side
from finprint.keypoints.views import views_of
from finprint.pictures.shards import Crops

UNLIKE = 0.6  # the cosine of two features that says nothing (docs/log.md, 2026-11-28, antelopes)
CHUNK = 16  # gallery photos at a time, so that their cosines stay in the processor's cache
TINY = 1e-6  # instead of a sum of no weights
VOTERS = 64  # pairs of features that vote, the most alike ones; with all 256 the results are the same


@dataclass(frozen=True)
class Described:
    """The local features of photos.

    Attributes:
        descriptors: (..., K, D) unit vectors, zeros where there are fewer features.
        places: (..., K, 2) their x and y as shares of the photo's longer side.
    """

    descriptors: torch.Tensor
    places: torch.Tensor

    def __getitem__(self, photos: int | slice | list[int]) -> "Described":
        return Described(self.descriptors[photos], self.places[photos])

    def on(self, device: torch.device) -> "Described":
        """The same on a device, in full precision."""
        return Described(self.descriptors.to(device).float(), self.places.to(device))


def agreements(
    photos: pd.DataFrame, crops: Crops, queries: np.ndarray, rows: np.ndarray, params: Match, engine: Engine = LOCAL
) -> tuple[np.ndarray, list[str]]:
    """How much the local features of queries agree with those of other photos.

    Args:
        photos: table `PHOTOS`.
        crops: of these photos.
        queries: (Q,) rows of `photos`.
        rows: (Q, N) rows of the photos that each is compared with; -1: none, which counts 0.
        params: the section `match`.
        engine: where the features are computed.

    Returns:
        (Q, N) float32 agreements, and the photos that are too small for local features.

    Raises:
        UserError: the networks' weights cannot be had, or a photo has no crop or cannot be read.
    """
    used = np.union1d(queries, rows[rows >= 0])
    views = views_of(photos, crops, params)
    keys = {row: views.key(row) for row in crops.rows(photos["image"].iloc[used]).tolist()}
    shape = (len(used), params.keypoints)
    stacked = Described(torch.zeros((*shape, WIDEST), dtype=torch.float16), torch.zeros((*shape, 2)))
    small = []
    with opened(params, engine) as bench:
        extract(bench, views, keys, params.image_size)
        for place, (row, key) in enumerate(keys.items()):
            if key not in bench.features:
                small.append(str(crops.index["image"].iloc[row]))
                continue
            one = bench.load(key)
            stacked.descriptors[place, : len(one), : one.descriptors.shape[1]] = torch.from_numpy(one.descriptors)
            stacked.places[place, : len(one)] = torch.from_numpy(one.points / one.frame.max())

    def of_query(number: int) -> np.ndarray:
        there = rows[number] >= 0
        measured = np.zeros(rows.shape[1], np.float32)
        one, *others = np.searchsorted(used, [queries[number], *rows[number, there]])
        measured[there] = agreement(stacked[one], stacked[others])
        return measured

    each = side_by_side(of_query, range(len(queries)))
    compared = bar("photos compared by descriptors", len(queries), "query", each)
    return np.stack([*compared]) if len(queries) else np.zeros(rows.shape, np.float32), small


@torch.inference_mode()
def agreement(one: Described, others: Described) -> np.ndarray:
    """(G,) float32, how much the features of a photo agree with those of each other photo.

    Args:
        one: of a photo, (K, D) and (K, 2).
        others: of G photos, (G, K, D) and (G, K, 2).
    """
    device = best_device()
    one = one.on(device)
    sums = []
    for start in range(0, len(others.descriptors), CHUNK):
        some = others[start : start + CHUNK].on(device)
        cosines = some.descriptors @ one.descriptors.T  # (C, K, K): theirs, ours
        best, theirs = cosines.max(dim=1)  # of each of our features
        mutual = cosines.amax(dim=2).gather(1, theirs) == best
        weights, ours = ((best - UNLIKE).clamp(min=0) * mutual).topk(min(VOTERS, best.shape[1]), dim=1)  # (C, V)
        pairs = theirs.gather(1, ours)[..., None].expand(-1, -1, 2)
        shifts = one.places[ours] - some.places.gather(1, pairs)  # (C, V, 2)
        alike = (-torch.cdist(shifts, shifts).square() / (2 * SLACK**2)).exp()
        votes = (alike @ weights[..., None])[..., 0]
        sums.append(((weights * votes).sum(dim=1) / weights.sum(dim=1).clamp(min=TINY)).cpu())
    return torch.cat(sums).numpy() if sums else np.zeros(0, np.float32)
