"""The matched points that the pages draw where no pairs are matched: the features by which photos agree."""

import numpy as np
import pandas as pd

from finprint.base.progress import bar
from finprint.keypoints.descriptors import agreeing
from finprint.keypoints.features import Bench
from finprint.keypoints.pairs import placed, points_of
from finprint.keypoints.tables import no_points
from finprint.keypoints.threads import side_by_side
from finprint.keypoints.worth import Worth


def agreeing_points(bench: Bench, pairs: pd.DataFrame, worth: Worth | None = None) -> pd.DataFrame:
    """Table `POINTS` of photos that agree.

    Args:
        bench: holds these photos and their local features, as `descriptors.describe` leaves it.
        pairs: columns query, match and identity; the rows of a query follow each other, with one photo of each
            individual.
        worth: says how much a match is worth; None: all count alike.
    """
    if not len(pairs):
        return no_points()
    queries, others = (bench.crops.rows(pairs[side]) for side in ("query", "match"))
    keys = bench.keys(np.concatenate([queries, others]))

    def matched(rows: np.ndarray) -> list[np.ndarray]:
        one = bench.load(keys[queries[rows[0]]])
        two = (bench.load(keys[row]) for row in others[rows].tolist())
        return [placed(one, other, *agreeing(one, other, worth)) for other in two]

    asked = np.split(np.arange(len(pairs)), np.flatnonzero(np.diff(queries)) + 1)
    each = bar("points to draw", len(asked), "query", side_by_side(matched, asked))
    return points_of(pairs, [points for several in each for points in several])
