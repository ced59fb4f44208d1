"""Which photos get a second look: of each query the nearest individuals, of each of them the nearest photos.

The two flanks of an animal are two pictures: photos that are told to show different sides are not compared.
"""

import numpy as np
import pandas as pd

from finprint.keypoints.params import Match
from finprint.keypoints.points import Alike
from finprint.keypoints.tables import PAIRS, SecondLook, no_points
from finprint.pictures.shards import Crops
from finprint.store.tables import TEST, TRAIN, VALIDATION

BLOCK = 512  # queries whose cosines are computed at a time, which bounds the memory


def second_look(photos: pd.DataFrame, vectors: np.ndarray, crops: Crops, params: Match) -> SecondLook:
    """Match the validation photos with training photos, and the test photos with all labelled ones.

    Args:
        photos: table `PHOTOS` of N photos, with a column `code`, the number of the individual; -1: none.
        vectors: (N, D) float32 unit vectors, whose cosines choose what is matched.
        crops: of these photos.
        params: the section `match`; if it is not enabled, nothing is matched.

    Raises:
        UserError: the networks' weights cannot be had, or a photo has no crop or cannot be read.
    """
    if not params.enabled:
        return SecondLook(pd.DataFrame(columns=list(PAIRS.columns)), no_points(), [])
    # The networks take seconds to import, which are of no use where nothing is matched.
    from finprint.keypoints.descriptors import by_descriptors
    from finprint.keypoints.pairs import match_pairs

    named = photos["code"].to_numpy() >= 0
    split = photos["split"].to_numpy(str)
    alike = by_descriptors(photos, crops, params) if params.choose == "both" else None
    listed = []
    for asked, searched in ((VALIDATION, [TRAIN]), (TEST, [TRAIN, VALIDATION])):
        queries = np.flatnonzero((split == asked) & (named | (asked == TEST)))
        gallery = np.flatnonzero(np.isin(split, searched) & named)
        listed.append(shortlist(photos, vectors, queries, gallery, params, alike))
    table = pd.concat(listed, ignore_index=True)
    images, identities = photos["image"].to_numpy(object), photos["identity"].to_numpy(object)
    rows = table[["query", "match"]].to_numpy()
    named_pairs = pd.DataFrame(images[rows], columns=["query", "match"])
    table = named_pairs.assign(identity=identities[rows[:, 1]], cosine=table["cosine"])
    return match_pairs(table, photos, crops, params)


def shortlist(
    photos: pd.DataFrame,
    vectors: np.ndarray,
    queries: np.ndarray,
    gallery: np.ndarray,
    params: Match,
    alike: Alike | None = None,
) -> pd.DataFrame:
    """The gallery photos to match with each query: of the nearest individuals the nearest photos.

    Args:
        photos: columns `code` and `viewpoint` of N photos.
        vectors: (N, D) their unit vectors.
        queries: (Q,) rows of the queries, and `gallery`, (G,) rows of the photos that they are compared with.
        params: how many individuals, and how many photos of each.
        alike: a second measure, of (Q,) queries and (G,) gallery rows, (Q, G), where a (Q, G) mask says so. Then the
            individuals are taken alternately by both measures, and their photos by this one.

    Returns:
        Rows (query, match) of the photos and their cosine, by query, the best individual first; ties by row.
    """
    codes, viewpoints = photos["code"].to_numpy(), photos["viewpoint"].fillna("").to_numpy(str)
    gallery = gallery[np.argsort(codes[gallery], kind="stable")]
    if not len(gallery) or not len(queries):
        return pd.DataFrame({"query": np.zeros(0, np.int64), "match": np.zeros(0, np.int64), "cosine": np.zeros(0)})
    _, starts = np.unique(codes[gallery], return_index=True)
    stops = np.append(starts[1:], len(gallery))
    rows = []
    for start in range(0, len(queries), BLOCK):
        block = queries[start : start + BLOCK]
        mask = comparable(viewpoints[block], viewpoints[gallery])
        measure = cosines = np.where(mask, vectors[block] @ vectors[gallery].T, -np.inf)
        places = _places(np.maximum.reduceat(cosines, starts, axis=1))  # (B, C)
        if alike is not None:
            measure = np.where(mask, alike(block, gallery, mask), -np.inf)
            places = np.minimum(2 * places + 1, 2 * _places(np.maximum.reduceat(measure, starts, axis=1)))
        for query, near, order in zip(block, measure, np.argsort(places, axis=1, kind="stable"), strict=True):
            for individual in order[: params.individuals]:
                own = near[starts[individual] : stops[individual]]
                for place in np.argsort(-own, kind="stable")[: params.photos]:
                    if np.isfinite(own[place]):
                        rows.append((query, gallery[starts[individual] + place]))
    ends = np.array(rows, np.int64).reshape(-1, 2)
    cosine = np.einsum("pd,pd->p", vectors[ends[:, 0]], vectors[ends[:, 1]]).astype(float)
    return pd.DataFrame({"query": ends[:, 0], "match": ends[:, 1], "cosine": cosine})


def _places(measure: np.ndarray) -> np.ndarray:
    """(B, C) the place of each individual in the order of its row, from 0, best first."""
    return np.argsort(np.argsort(-measure, axis=1, kind="stable"), axis=1, kind="stable")


def comparable(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(Q, G) bool: do photos with these viewpoints show the same side, or is a side not told?"""
    return (ones[:, None] == others) | (ones[:, None] == "") | (others == "")
