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
    from finprint.keypoints.lessons import Learned
    from finprint.keypoints.worth import Worth

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

    def table(self, queries: np.ndarray, identities: np.ndarray) -> pd.DataFrame:
        """Table `COMPARED`: of each individual the mean of the two photos that agree best.

        Args:
            queries: (Q,) ids.
            identities: names, by the photo's row.
        """
        by = ["query", "identity"]
        table = self._ranked(queries, identities)
        best = table[table.groupby(by, sort=False).cumcount() < BEST]
        return best.groupby(by)["agreement"].mean().reset_index()

    def best(self, queries: np.ndarray, identities: np.ndarray, images: np.ndarray) -> pd.DataFrame:
        """Columns query, match and identity: of the individuals that agree best with a query, the best photo of each.

        Args:
            queries, identities: as for `table`.
            images: ids, by the photo's row.
        """
        table = self._ranked(queries, identities)
        table = table[table["agreement"] > 0].drop_duplicates(["query", "identity"])
        table = table[table.groupby("query", sort=False).cumcount() < DRAWN].sort_values("query", kind="stable")
        return table.assign(match=images[table["row"]])[["query", "match", "identity"]].reset_index(drop=True)

    def _ranked(self, queries: np.ndarray, identities: np.ndarray) -> pd.DataFrame:
        """Each photo that a query was compared with, those that agree best first."""
        asked, place = np.nonzero(self.rows >= 0)
        rows = self.rows[asked, place]
        named = {"query": queries[asked], "identity": identities[rows], "row": rows}
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
    from finprint.keypoints.pairs import match_pairs

    images, identities = photos["image"].to_numpy(object), photos["identity"].to_numpy(object)
    searches = _searches(photos)
    compared, small, learned = _compare(photos, vectors, crops, params, engine, worth)
    listed = [
        shortlist(photos, vectors, queries, gallery, params, one)
        for (queries, gallery), one in zip(searches, compared, strict=True)
    ]
    table = pd.concat(listed, ignore_index=True)
    rows = table[["query", "match"]].to_numpy()
    named_pairs = pd.DataFrame(images[rows], columns=["query", "match"])
    table = named_pairs.assign(identity=identities[rows[:, 1]], cosine=table["cosine"])
    asked = [(one, images[queries]) for (queries, _), one in zip(searches, compared, strict=True) if one is not None]
    told = pd.concat([none_compared(), *(one.table(ids, identities) for one, ids in asked)], ignore_index=True)
    looked = match_pairs(table, photos, crops, params, engine)
    looked = replace(looked, compared=told, too_small=sorted({*looked.too_small, *small}), learned=learned)
    if params.individuals or not asked:
        return looked
    best = pd.concat([one.best(ids, identities, images) for one, ids in asked], ignore_index=True)
    worth = learned.worth if learned else worth
    return replace(looked, points=agreeing_points(best, photos, crops, params, engine, worth))


def _searches(photos: pd.DataFrame) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows of the photos that validate and of those to identify, each with the rows of the photos to search in."""
    split, named = photos["split"].to_numpy(str), photos["code"].to_numpy() >= 0
    return [
        (np.flatnonzero((split == asked) & (named | (asked == TEST))), np.flatnonzero(np.isin(split, searched) & named))
        for asked, searched in ((VALIDATION, [TRAIN]), (TEST, [TRAIN, VALIDATION]))
    ]


def _compare(
    photos: pd.DataFrame, vectors: Array, crops: Crops, params: Match, engine: Engine, worth: "Worth | None"
) -> tuple[Sequence[Compared | None], list[str], "Learned | None"]:
    """Compare the queries of each search with their nearest photos by descriptors; None if it is not wanted. And the
    photos that are too small for that, and what was learned.
    """
    searches = _searches(photos)
    if not params.compared:
        return [None] * len(searches), [], None
    from finprint.keypoints.descriptors import agreements, describe
    from finprint.keypoints.lessons import learn_worth

    count = min(params.compared, max(len(gallery) for _, gallery in searches))
    rows = [nearest(photos, vectors, queries, gallery, count) for queries, gallery in searches]
    used = np.unique(np.concatenate([*(queries for queries, _ in searches), *(each.ravel() for each in rows)]))
    seen = describe(photos, crops, used[used >= 0], params, engine)
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
    return compared, seen.small, learned


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
