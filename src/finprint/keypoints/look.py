"""Which photos get a second look: of each query the nearest individuals, of each of them the nearest photos.

The two flanks of an animal are two pictures: photos that are told to show different sides are not compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from finprint.engine.params import LOCAL, Engine
from finprint.keypoints.near import Near
from finprint.keypoints.params import DRAWN, Match
from finprint.keypoints.tables import PAIRS, SecondLook, no_points, none_compared
from finprint.pictures.shards import Crops
from finprint.store.arrays import Array
from finprint.store.tables import TEST, TRAIN, VALIDATION

if TYPE_CHECKING:
    from finprint.keypoints.features import Bench
    from finprint.keypoints.lessons import Learned
    from finprint.keypoints.worth import Worth

Rows = tuple[np.ndarray, np.ndarray]  # of queries, and of the photos that they are compared with

BLOCK = 512  # queries whose cosines are computed at a time, which bounds the memory
BEST = 2  # photos of an individual whose agreement counts: right whales are told as well by one, antelopes less well
# What is added to an individual's places by both measures, before their reciprocals are (Cormack, Clarke and Buettcher,
# SIGIR 2009, have 60, with many more places).
FUSED = 5
BEHIND = 2.0  # what is taken from the cosines of photos that agree in nothing: they rank behind the others


@dataclass(frozen=True)
class Compared:
    """How well Q queries agree with their nearest photos by descriptors of local features.

    Attributes:
        rows: (Q, N) of the photos that each was compared with, nearest first; -1: nobody.
        agreement: (Q, N) float32, of `descriptors.agreement`.
    """

    rows: np.ndarray
    agreement: np.ndarray

    def __getitem__(self, some: slice) -> "Compared":
        return Compared(self.rows[some], self.agreement[some])

    def ranked(self, queries: np.ndarray, images: np.ndarray, identities: np.ndarray) -> pd.DataFrame:
        """Columns query, match, identity and agreement: each photo that a query was compared with, those that agree
        best first.

        Args:
            queries: (Q,) ids.
            images, identities: ids and names, by the photo's row.
        """
        asked, place = np.nonzero(self.rows >= 0)
        rows = self.rows[asked, place]
        named = {"query": queries[asked], "match": images[rows], "identity": identities[rows]}
        table = pd.DataFrame(named | {"agreement": self.agreement[asked, place]})
        return table.sort_values("agreement", ascending=False, kind="stable")

    def before(self, cosines: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        """(Q, G) a measure: the agreement of photos, and behind them the cosines of those that agree in nothing or were
        not compared.

        Args:
            cosines: (Q, G), of photos.
            gallery: (G,) their rows.
        """
        place = np.zeros(gallery.max() + 1, np.int64)
        place[gallery] = np.arange(len(gallery))
        measure = cosines - BEHIND
        asked, near = np.nonzero((self.rows >= 0) & (self.agreement > 0))
        measure[asked, place[self.rows[asked, near]]] = self.agreement[asked, near]
        return measure


def second_look(
    photos: pd.DataFrame,
    vectors: Array,
    crops: Crops,
    params: Match,
    engine: Engine = LOCAL,
    worth: "Worth | None" = None,
) -> SecondLook:
    """Match the validation photos with training photos, and the test photos with all labelled ones.

    Args:
        photos: table `PHOTOS` of N photos, with a column `code`, the number of the individual; -1: none.
        vectors: (N, D) float32 unit vectors, whose cosines choose what is matched.
        crops: of these photos.
        params: the section `match`; if it is not enabled, nothing is matched.
        engine: where features are computed and pairs are matched.
        worth: what was learned in an earlier second look about matched features; None: it is learned here from the
            training photos, if the params ask for it.

    Raises:
        UserError: the networks' weights cannot be had, or a photo has no crop or cannot be read.
    """
    if not params.enabled:
        return SecondLook(pd.DataFrame(columns=list(PAIRS.columns)), no_points(), none_compared(), [])
    # The networks take seconds to import, which are of no use where nothing is matched.
    from finprint.keypoints.drawing import agreeing_points
    from finprint.keypoints.features import opened
    from finprint.keypoints.pairs import match_pairs

    images, identities = photos["image"].to_numpy(object), photos["identity"].to_numpy(object)
    searches = _searches(photos)
    with opened(params, engine) as bench:
        glance = _compare(bench, photos, vectors, crops, searches, worth)
        pairs = [
            shortlist(photos, vectors, queries, gallery, params, one)
            for (queries, gallery), one in zip(searches, glance.compared, strict=True)
        ]
        looked = match_pairs(bench, _named(pd.concat(pairs, ignore_index=True), photos), photos, crops)
        ranked = [
            one.ranked(images[queries], images, identities)
            for (queries, _), one in zip(searches, glance.compared, strict=True)
            if one is not None
        ]
        told = pd.concat([none_compared(), *map(individuals_compared, ranked)], ignore_index=True)
        small = sorted({*looked.too_small, *glance.small})
        looked = replace(looked, compared=told, too_small=small, learned=glance.learned)
        if params.individuals or not ranked:
            return looked
        best = pd.concat([*map(best_photos, ranked)], ignore_index=True)
        return replace(looked, points=agreeing_points(bench, best, photos, crops, glance.worth))


def _named(pairs: pd.DataFrame, photos: pd.DataFrame) -> pd.DataFrame:
    """Columns query, match, identity and cosine of pairs of rows."""
    one, other = (photos.iloc[pairs[side]].reset_index(drop=True) for side in ("query", "match"))
    return pairs.assign(query=one["image"], match=other["image"], identity=other["identity"])


def individuals_compared(ranked: pd.DataFrame) -> pd.DataFrame:
    """Table `COMPARED`: of each individual the mean of the two photos that agree best.

    Args:
        ranked: of `Compared.ranked`.
    """
    by = ["query", "identity"]
    best = ranked[ranked.groupby(by, sort=False).cumcount() < BEST]
    return best.groupby(by)["agreement"].mean().reset_index()


def best_photos(ranked: pd.DataFrame) -> pd.DataFrame:
    """Columns query, match and identity: of the individuals that agree best with a query, the best photo of each.

    Args:
        ranked: of `Compared.ranked`.
    """
    table = ranked[ranked["agreement"] > 0].drop_duplicates(["query", "identity"])
    table = table[table.groupby("query", sort=False).cumcount() < DRAWN].sort_values("query", kind="stable")
    return table[["query", "match", "identity"]].reset_index(drop=True)


def _searches(photos: pd.DataFrame) -> list[Rows]:
    """The photos that validate, and those to identify."""
    split, named = photos["split"].to_numpy(str), photos["code"].to_numpy() >= 0
    return [
        (np.flatnonzero((split == asked) & (named | (asked == TEST))), np.flatnonzero(np.isin(split, searched) & named))
        for asked, searched in ((VALIDATION, [TRAIN]), (TEST, [TRAIN, VALIDATION]))
    ]


@dataclass(frozen=True)
class _Glance:
    """What descriptors tell.

    Attributes:
        compared: the queries of each search with their nearest photos; None if that is not wanted.
        small: photos that are too small for it.
        learned: what was learned for it; None if nothing was to be learned.
        worth: by which it was compared, learned now or earlier; None: all matches count alike.
    """

    compared: Sequence[Compared | None]
    small: Sequence[str]
    learned: "Learned | None"
    worth: "Worth | None"


def _compare(
    bench: "Bench",
    photos: pd.DataFrame,
    vectors: Array,
    crops: Crops,
    searches: Sequence[Rows],
    worth: "Worth | None",
) -> _Glance:
    """Compare the queries of each search with their nearest photos by descriptors."""
    params = bench.params
    if not params.compared:
        return _Glance([None] * len(searches), [], None, worth)
    from finprint.keypoints.descriptors import agreements, describe
    from finprint.keypoints.lessons import learn_worth

    count = min(params.compared, max(len(gallery) for _, gallery in searches))
    rows = [nearest(photos, vectors, queries, gallery, count) for queries, gallery in searches]
    used = np.unique(np.concatenate([*(queries for queries, _ in searches), *(each.ravel() for each in rows)]))
    seen = describe(bench, photos, crops, used[used >= 0])
    learned = None
    if worth is None and params.learn_epochs:
        # The training photos near those that validate: which ones are to be identified makes no difference.
        some = np.intersect1d(rows[0], np.flatnonzero(~photos["image"].isin(seen.small)))
        numbers = seen.numbers(some)
        learned = learn_worth(photos.iloc[some], vectors[some], seen.described, numbers, params.learn_epochs)
        worth = learned.worth
    compared = [
        Compared(each, agreements(seen, queries, each, worth))
        for each, (queries, _) in zip(rows, searches, strict=True)
    ]
    return _Glance(compared, seen.small, learned, worth)


def nearest(photos: pd.DataFrame, vectors: Array, queries: np.ndarray, gallery: np.ndarray, count: int) -> np.ndarray:
    """(Q, `count`) rows of the photos that are nearest to each query; -1 where there are fewer.

    Args:
        photos: a column `viewpoint` of the photos; those that show another side than the query are not taken.
        vectors: (N, D) their unit vectors.
        queries: (Q,) rows of the queries, and `gallery`, (G,), rows of the photos that they are compared with.
        count: of photos.
    """
    near = Near.of(photos, vectors)
    rows = np.full((len(queries), count), -1)
    for start in range(0, len(queries), BLOCK):
        cosines = near.cosines(queries[start : start + BLOCK], gallery)
        places = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
        there = np.isfinite(np.take_along_axis(cosines, places, axis=1))
        rows[start : start + BLOCK, : places.shape[1]] = np.where(there, gallery[places], -1)
    return rows


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
