"""Which photos get a second look: of each query the nearest individuals, of each of them the nearest photos.

The two flanks of an animal are two pictures: photos that are told to show different sides are not compared.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from finprint.engine.params import LOCAL, Engine
from finprint.keypoints.params import Match
from finprint.keypoints.tables import PAIRS, SecondLook, no_points, none_compared
from finprint.pictures.shards import Crops
from finprint.store.arrays import Array
from finprint.store.tables import TEST, TRAIN, VALIDATION

BLOCK = 512  # queries whose cosines are computed at a time, which bounds the memory


def second_look(
    photos: pd.DataFrame, vectors: Array, crops: Crops, params: Match, engine: Engine = LOCAL
) -> SecondLook:
    """Match the validation photos with training photos, and the test photos with all labelled ones.

    Args:
        photos: table `PHOTOS` of N photos, with a column `code`, the number of the individual; -1: none.
        vectors: (N, D) float32 unit vectors, whose cosines choose what is matched.
        crops: of these photos.
        params: the section `match`; if it is not enabled, nothing is matched.
        engine: where features are computed and pairs are matched.

    Raises:
        UserError: the networks' weights cannot be had, or a photo has no crop or cannot be read.
    """
    if not params.enabled:
        return SecondLook(pd.DataFrame(columns=list(PAIRS.columns)), no_points(), none_compared(), [])
    # The networks take seconds to import, which are of no use where nothing is matched.
    from finprint.keypoints.descriptors import by_descriptors
    from finprint.keypoints.pairs import match_pairs

    split, named = photos["split"].to_numpy(str), photos["code"].to_numpy() >= 0
    images, identities = photos["image"].to_numpy(object), photos["identity"].to_numpy(object)
    viewpoints = photos["viewpoint"].fillna("").to_numpy(str)
    alike = by_descriptors(photos, crops, params, engine) if params.choose == "both" else None
    listed, compared = [], [none_compared()]
    for asked, searched in ((VALIDATION, [TRAIN]), (TEST, [TRAIN, VALIDATION])):
        queries = np.flatnonzero((split == asked) & (named | (asked == TEST)))
        gallery = np.flatnonzero(np.isin(split, searched) & named)
        agreement = None
        if alike is not None and len(queries) and len(gallery):
            mask = comparable(viewpoints[queries], viewpoints[gallery])
            agreement = np.where(mask, alike(queries, gallery, mask), -np.inf)
            compared.append(_by_individual(images[queries], identities[gallery], agreement))
        listed.append(shortlist(photos, vectors, queries, gallery, params, agreement))
    table = pd.concat(listed, ignore_index=True)
    rows = table[["query", "match"]].to_numpy()
    named_pairs = pd.DataFrame(images[rows], columns=["query", "match"])
    table = named_pairs.assign(identity=identities[rows[:, 1]], cosine=table["cosine"])
    return replace(match_pairs(table, photos, crops, params, engine), compared=pd.concat(compared, ignore_index=True))


def _by_individual(queries: np.ndarray, identities: np.ndarray, agreement: np.ndarray) -> pd.DataFrame:
    """Table `COMPARED`: of each individual the photo whose features agree best.

    Args:
        queries: (Q,) ids, `identities`: (G,) names.
        agreement: (Q, G), -inf where photos cannot be compared.
    """
    names = np.unique(identities)
    best = np.stack([agreement[:, identities == name].max(axis=1) for name in names], axis=1)
    pairs = {"query": np.repeat(queries, len(names)), "identity": np.tile(names, len(queries))}
    table = pd.DataFrame(pairs | {"agreement": best.ravel()})
    return table[np.isfinite(table["agreement"])]


def shortlist(
    photos: pd.DataFrame,
    vectors: Array,
    queries: np.ndarray,
    gallery: np.ndarray,
    params: Match,
    agreement: np.ndarray | None = None,
) -> pd.DataFrame:
    """The gallery photos to match with each query: of the nearest individuals the nearest photos.

    A query is sure if its nearest individual stands `params.sure` above the second one, and is also first by the
    second measure, if there is one. It is matched with one photo, which nearly always shows the right individual.

    Args:
        photos: columns `code` and `viewpoint` of N photos.
        vectors: (N, D) their unit vectors.
        queries: (Q,) rows of the queries, and `gallery`, (G,) rows of the photos that they are compared with.
        params: how many individuals, and how many photos of each.
        agreement: (Q, G), a second measure, -inf where photos cannot be compared. With it, individuals are taken
            alternately by both measures, and their photos by this one.

    Returns:
        Rows (query, match) of the photos and their cosine, by query, the best individual first; ties by row.
    """
    codes, viewpoints = photos["code"].to_numpy(), photos["viewpoint"].fillna("").to_numpy(str)
    by_code = np.argsort(codes[gallery], kind="stable")
    gallery = gallery[by_code]
    if not len(gallery) or not len(queries):
        return pd.DataFrame({"query": np.zeros(0, np.int64), "match": np.zeros(0, np.int64), "cosine": np.zeros(0)})
    _, starts = np.unique(codes[gallery], return_index=True)
    stops = np.append(starts[1:], len(gallery))
    rows = []
    for start in range(0, len(queries), BLOCK):
        block_of = slice(start, start + BLOCK)
        block = queries[block_of]
        mask = comparable(viewpoints[block], viewpoints[gallery])
        measure = cosines = np.where(mask, vectors[block] @ vectors[gallery].T, -np.inf)
        best = np.maximum.reduceat(cosines, starts, axis=1)  # (B, C)
        places, sure = _places(best), _ahead(best) >= params.sure
        if agreement is not None:
            measure = agreement[block_of, by_code]
            others = _places(np.maximum.reduceat(measure, starts, axis=1))
            sure &= places.argmin(axis=1) == others.argmin(axis=1)
            places = np.minimum(2 * places + 1, 2 * others)
        orders = np.argsort(places, axis=1, kind="stable")
        for query, near, order, one in zip(block, measure, orders, sure, strict=True):
            for individual in order[: 1 if one else params.individuals]:
                own = near[starts[individual] : stops[individual]]
                for place in np.argsort(-own, kind="stable")[: 1 if one else params.photos]:
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


def comparable(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(Q, G) bool: do photos with these viewpoints show the same side, or is a side not told?"""
    return (ones[:, None] == others) | (ones[:, None] == "") | (others == "")
