"""The second look: photos that may show the same animal are compared once more, by their local features.

The two flanks of an animal are two pictures: a photo of the left one is not compared with one of the right one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from finprint.engine.params import LOCAL, Engine
from finprint.keypoints.compared import Compared, best_photos, individuals_compared
from finprint.keypoints.near import nearest
from finprint.keypoints.params import Match
from finprint.keypoints.shortlist import shortlist
from finprint.keypoints.tables import PAIRS, SecondLook, no_points, none_compared
from finprint.pictures.shards import Crops
from finprint.store.arrays import Array
from finprint.store.tables import TEST, TRAIN, VALIDATION

if TYPE_CHECKING:
    from finprint.keypoints.features import Bench
    from finprint.keypoints.lessons import Learned
    from finprint.keypoints.worth import Worth

Rows = tuple[np.ndarray, np.ndarray]  # of queries, and of the photos that they are compared with


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
    with opened(photos, crops, params, engine) as bench:
        glance = _compare(bench, vectors, searches, worth)
        pairs = [
            shortlist(photos, vectors, queries, gallery, params, one)
            for (queries, gallery), one in zip(searches, glance.compared, strict=True)
        ]
        looked = match_pairs(bench, _named(pd.concat(pairs, ignore_index=True), photos))
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
        return replace(looked, points=agreeing_points(bench, best, glance.worth))


def _named(pairs: pd.DataFrame, photos: pd.DataFrame) -> pd.DataFrame:
    """Columns query, match, identity and cosine of pairs of rows."""
    one, other = (photos.iloc[pairs[side]].reset_index(drop=True) for side in ("query", "match"))
    return pairs.assign(query=one["image"], match=other["image"], identity=other["identity"])


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


def _compare(bench: "Bench", vectors: Array, searches: Sequence[Rows], worth: "Worth | None") -> _Glance:
    """Compare the queries of each search with their nearest photos by descriptors."""
    photos, params = bench.photos, bench.params
    if not params.compared:
        return _Glance([None] * len(searches), [], None, worth)
    from finprint.keypoints.descriptors import agreements, describe
    from finprint.keypoints.lessons import learn_worth

    count = min(params.compared, max(len(gallery) for _, gallery in searches))
    rows = [nearest(photos, vectors, queries, gallery, count) for queries, gallery in searches]
    used = np.unique(np.concatenate([*(queries for queries, _ in searches), *(each.ravel() for each in rows)]))
    seen = describe(bench, used[used >= 0])
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
