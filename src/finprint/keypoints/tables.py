"""The tables of the second look: their columns, checked where they are read and written."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pandera.pandas as pa

from finprint.base.files import atomic
from finprint.store.tables import read_table, text, write_table

if TYPE_CHECKING:
    from finprint.keypoints.lessons import Learned

WORTH = "worth.safetensors"  # of `Worth`, beside the tables
LINES = 24  # matched points of a pair that the report draws, the surest ones


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
# The matched points of the best pair of each query and individual. Where no pairs are matched: the features by which
# the query agrees most with the best photo of an individual, for the few individuals that agree best.
POINTS = pa.DataFrameSchema(
    {
        "query": text(),
        "match": text(),
        **{side: _share() for side in ("x", "y")},  # in the query's crop, as shares of its width and height
        **{side: _share() for side in ("match_x", "match_y")},  # in the gallery photo's crop
        "score": _share(),  # of this match; without pairs its share of the agreement
        "inlier": pa.Column("bool", coerce=True),
    },
    strict=True,
    name="matched points",
)
COMPARED = pa.DataFrameSchema(  # queries, and the individuals with whose photos they were compared by descriptors
    {
        "query": text(),
        "identity": text(),
        # Of `descriptors.agreement`, the mean of the individual's best photos.
        "agreement": pa.Column("float32", pa.Check.ge(0), coerce=True),
    },
    unique=["query", "identity"],
    strict=True,
    name="photos compared by descriptors",
)


def no_points() -> pd.DataFrame:
    """An empty table `POINTS`."""
    return pd.DataFrame(columns=list(POINTS.columns))


def none_compared() -> pd.DataFrame:
    """An empty table `COMPARED`."""
    return COMPARED.validate(pd.DataFrame(columns=list(COMPARED.columns)))


@dataclass(frozen=True)
class SecondLook:
    """What matching has found.

    Attributes:
        pairs: table `PAIRS`, by query, the nearest individuals first.
        points: table `POINTS`.
        compared: table `COMPARED`; empty unless the params ask for it.
        too_small: photos without local features, sorted.
        learned: which matched features tell animals apart; None: it was not asked for, or known before.
    """

    pairs: pd.DataFrame
    points: pd.DataFrame
    compared: pd.DataFrame
    too_small: list[str]
    learned: "Learned | None" = None

    def metrics(self) -> dict[str, float]:
        """The numbers of metrics/match.json."""
        numbers: dict[str, float] = {
            "queries": pd.concat([self.pairs["query"], self.compared["query"]]).nunique(),
            "pairs": len(self.pairs),
            "matched_pairs": int(self.pairs["score"].notna().sum()),
            "too_small": len(self.too_small),
        }
        return numbers | (self.learned.metrics() if self.learned else {})


def write_second_look(folder: Path, looked: SecondLook) -> None:
    """Write the tables `pairs.parquet`, `points.parquet` and `compared.parquet`, and what was learned, atomically."""
    with atomic(folder) as draft:
        draft.mkdir()
        write_table(draft / "pairs.parquet", looked.pairs, PAIRS)
        write_table(draft / "points.parquet", looked.points, POINTS)
        write_table(draft / "compared.parquet", looked.compared, COMPARED)
        if looked.learned and looked.learned.worth:
            looked.learned.worth.save(draft / WORTH)


def read_points(folder: Path) -> pd.DataFrame:
    """The matched points of the best pair of each query and individual: table `POINTS`.

    Raises:
        UserError: the table is missing or damaged.
    """
    return read_table(folder / "points.parquet", POINTS)


def read_local_scores(folder: Path) -> pd.DataFrame | None:
    """What the second look says of each query and individual, see `local_scores`.

    Raises:
        UserError: a table is missing or damaged.
    """
    return local_scores(read_table(folder / "pairs.parquet", PAIRS), read_table(folder / "compared.parquet", COMPARED))


def local_scores(pairs: pd.DataFrame, compared: pd.DataFrame) -> pd.DataFrame | None:
    """What the second look says of each query and individual, as `Catalogue.local_scores`; None if it was off.

    How many features agree by chance differs from photo to photo. So of `compared` it says by how many standard
    deviations an individual stands above the mean of all that the query was compared with.

    Args:
        pairs: table `PAIRS`, and `compared`, table `COMPARED`.
    """
    if not len(pairs) and not len(compared):
        return None
    by = ["query", "identity"]
    matched = pairs.groupby(by)["score"].max().astype(float).rename("keypoints")
    each = compared.groupby("query")["agreement"]
    spread = each.transform("std", ddof=0)
    standing = (compared["agreement"] - each.transform("mean")) / spread.where(spread > 0)
    descriptors = standing.set_axis(pd.MultiIndex.from_frame(compared[by])).astype(float).rename("descriptors")
    return pd.concat([matched, descriptors], axis=1)
