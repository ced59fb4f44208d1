"""The tables of the second look: their columns, checked where they are read and written."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from finprint.base.files import atomic
from finprint.store.tables import read_table, text, write_table


def _share() -> pa.Column:
    return pa.Column("float32", pa.Check.in_range(0, 1), coerce=True)


PAIRS = pa.DataFrameSchema(
    {
        "query": text(),
        "match": text(),  # a gallery photo
        "identity": text(),  # of the gallery photo
        "cosine": pa.Column("float64", coerce=True),  # of the pair's vectors, the mean of the rounds
        # Missing in these three: a photo of the pair is too small for local features.
        "matches": pa.Column("Int32", pa.Check.ge(0), nullable=True, coerce=True),  # matched local features
        "inliers": pa.Column("Int32", pa.Check.ge(0), nullable=True, coerce=True),  # ... that one affine map explains
        "score": pa.Column("Float64", pa.Check.ge(0), nullable=True, coerce=True),  # of `pairs.pair_score`
    },
    unique=["query", "match"],
    strict=True,
    name="matched pairs",
)
POINTS = pa.DataFrameSchema(  # the matched points of the best pair of each query and individual
    {
        "query": text(),
        "match": text(),
        **{side: _share() for side in ("x", "y")},  # in the query's crop, as shares of its width and height
        **{side: _share() for side in ("match_x", "match_y")},  # in the gallery photo's crop
        "score": _share(),  # of this match
        "inlier": pa.Column("bool", coerce=True),
    },
    strict=True,
    name="matched points",
)


def no_points() -> pd.DataFrame:
    """An empty table `POINTS`."""
    return pd.DataFrame(columns=list(POINTS.columns))


@dataclass(frozen=True)
class SecondLook:
    """What matching has found.

    Attributes:
        pairs: table `PAIRS`, by query, the nearest individuals first.
        points: table `POINTS`.
        too_small: photos without local features, sorted.
    """

    pairs: pd.DataFrame
    points: pd.DataFrame
    too_small: list[str]

    def metrics(self) -> dict[str, int]:
        """The numbers of metrics/match.json."""
        return {
            "queries": self.pairs["query"].nunique(),
            "pairs": len(self.pairs),
            "matched_pairs": int(self.pairs["score"].notna().sum()),
            "too_small": len(self.too_small),
        }


def write_second_look(folder: Path, looked: SecondLook) -> None:
    """Write the tables `pairs.parquet` and `points.parquet`, atomically."""
    with atomic(folder) as draft:
        draft.mkdir()
        write_table(draft / "pairs.parquet", looked.pairs, PAIRS)
        write_table(draft / "points.parquet", looked.points, POINTS)


def read_points(folder: Path) -> pd.DataFrame:
    """The matched points of the best pair of each query and individual: table `POINTS`.

    Raises:
        UserError: the table is missing or damaged.
    """
    return read_table(folder / "points.parquet", POINTS)


def read_local_scores(folder: Path) -> pd.Series | None:
    """The best score of each query with each individual, by both names; None if the second look was off.

    Raises:
        UserError: the table is missing or damaged.
    """
    pairs = read_table(folder / "pairs.parquet", PAIRS)
    if not len(pairs):
        return None
    return pairs.groupby(["query", "identity"])["score"].max().astype(float)
