"""Which pairs of photos are matched: of each query the nearest individuals, of each of them the nearest photos."""

import numpy as np
import pandas as pd

from finprint.keypoints.compared import Compared
from finprint.keypoints.near import BLOCK, Near
from finprint.keypoints.params import Match
from finprint.store.arrays import Array

# What is added to an individual's places by both measures, before their reciprocals are (Cormack, Clarke and Buettcher,
# SIGIR 2009, have 60, with many more places).
FUSED = 5


def shortlist(
    photos: pd.DataFrame,
    vectors: Array,
    queries: np.ndarray,
    gallery: np.ndarray,
    params: Match,
    compared: Compared | None = None,
) -> pd.DataFrame:
    """The gallery photos to match with each query: of the nearest individuals the nearest photos.

    A query is sure if its nearest individual stands `params.sure` above the second one, and is also first by the
    second measure, if there is one. It is matched with one photo, which nearly always shows the right individual.

    Args:
        photos: columns `code` and `viewpoint` of N photos.
        vectors: (N, D) their unit vectors.
        queries: (Q,) rows of the queries, and `gallery`, (G,) rows of the photos that they are compared with.
        params: how many individuals, and how many photos of each.
        compared: a second measure. With it, individuals are taken by their places in both orders, and their photos by
            this measure.

    Returns:
        Rows (query, match) of the photos and their cosine, by query, the best individual first; ties by row.
    """
    codes = photos["code"].to_numpy()
    gallery = gallery[np.argsort(codes[gallery], kind="stable")]
    if not len(gallery) or not len(queries):
        return pd.DataFrame({"query": np.zeros(0, np.int64), "match": np.zeros(0, np.int64), "cosine": np.zeros(0)})
    _, starts = np.unique(codes[gallery], return_index=True)
    stops = np.append(starts[1:], len(gallery))
    near = Near.of(photos, vectors)
    rows = []
    for start in range(0, len(queries), BLOCK):
        block_of = slice(start, start + BLOCK)
        block = queries[block_of]
        measure = cosines = near.cosines(block, gallery)
        best = np.maximum.reduceat(cosines, starts, axis=1)  # (B, C)
        places, sure = _places(best), _ahead(best) >= params.sure
        if compared is not None:
            measure = compared[block_of].before(cosines, gallery)
            others = _places(np.maximum.reduceat(measure, starts, axis=1))
            sure &= places.argmin(axis=1) == others.argmin(axis=1)
            places = -1 / (FUSED + places) - 1 / (FUSED + others)
        orders = np.argsort(places, axis=1, kind="stable")
        for query, measured, order, one in zip(block, measure, orders, sure, strict=True):
            individuals, each = (min(1, params.individuals), 1) if one else (params.individuals, params.photos)
            for individual in order[:individuals]:
                own = measured[starts[individual] : stops[individual]]
                for place in np.argsort(-own, kind="stable")[:each]:
                    if np.isfinite(own[place]):
                        rows.append((query, gallery[starts[individual] + place]))
    ends = np.array(rows, np.int64).reshape(-1, 2)
    cosine = np.einsum("pd,pd->p", vectors[ends[:, 0]], vectors[ends[:, 1]]).astype(float)
    return pd.DataFrame({"query": ends[:, 0], "match": ends[:, 1], "cosine": cosine})


def _places(measure: np.ndarray) -> np.ndarray:
    """(B, C) the place of each individual in the order of its row, from 0, best first."""
    return np.argsort(np.argsort(-measure, axis=1, kind="stable"), axis=1, kind="stable")


def _ahead(measure: np.ndarray) -> np.ndarray:
    """(B,) how far the first of each row (B, C) stands above the second; 0 where there is no second."""
    if measure.shape[1] < 2:
        return np.zeros(len(measure))
    second, first = np.partition(measure, -2, axis=1)[:, -2:].T
    return np.subtract(first, second, out=np.zeros(len(measure)), where=np.isfinite(second))
