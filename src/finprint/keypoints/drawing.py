"""The matched points that the pages draw where no pairs are matched: the features by which photos agree."""

import numpy as np
import pandas as pd

from finprint.base.progress import bar
from finprint.engine.params import LOCAL, Engine
from finprint.keypoints.descriptors import agreeing
from finprint.keypoints.features import opened
from finprint.keypoints.pairs import placed, points_of
from finprint.keypoints.params import Match
from finprint.keypoints.threads import side_by_side
from finprint.keypoints.views import views_of
from finprint.keypoints.worth import Worth
from finprint.pictures.shards import Crops


def agreeing_points(
    pairs: pd.DataFrame,
    photos: pd.DataFrame,
    crops: Crops,
    params: Match,
    engine: Engine = LOCAL,
    worth: Worth | None = None,
) -> pd.DataFrame:
    """Table `POINTS` of photos that agree, from local features that were computed before.

    Args:
        pairs: columns query, match and identity; one photo of each individual.
        photos: table `PHOTOS`.
        crops: of these photos.
        params: the section `match`.
        engine: where the features were computed.
        worth: says how much a match is worth; None: all count alike.
    """
    views = views_of(photos, crops, params)
    ends = [crops.rows(pairs[side]) for side in ("query", "match")]
    keys = {row: views.key(row) for row in np.unique(np.concatenate(ends)).tolist()}
    with opened(params, engine) as bench:

        def matched(rows: tuple[int, int]) -> np.ndarray:
            one, other = (bench.load(keys[row]) for row in rows)
            return placed(one, other, *agreeing(one, other, worth))

        couples = list(zip(*(rows.tolist() for rows in ends), strict=True))
        each = bar("points to draw", len(couples), "pair", side_by_side(matched, couples))
        return points_of(pairs, [*each])
