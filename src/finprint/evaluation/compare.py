"""Two experiments' answers to the same photos: which is better, and could it be chance?"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc_data.index import DataIndexDirError
from scmrepo.exceptions import SCMError

from finprint.answers.tables import ANSWERS
from finprint.base.errors import UserError
from finprint.evaluation.judging import Judged, judged_test, judged_validation
from finprint.matching.catalogue import build_catalogue
from finprint.matching.metrics import gains
from finprint.store.tables import PHOTOS, ROWS, TEST, TRUTH, VALIDATION, read_table
from finprint.store.vectors import without_vectors

FLIPS = 10_000  # of the permutation test
LEVEL = 0.05  # of the test and of the interval
TINY = 1e-12  # differences that rounding makes
NEEDED = {
    "data/photos.parquet": PHOTOS,
    "data/round2/rows.parquet": ROWS,
    "data/search/validation.parquet": ANSWERS,
    "data/search/answers.parquet": ANSWERS,
    "data/truth.parquet": TRUTH,
}
FIGURES = "metrics/figures"
COLUMNS = ["split", "metric", "a", "b", "difference", "low", "high", "p", "queries"]
METRICS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "map5": gains,
    "top1": lambda places: (places == 0).astype(float),
    "top5": lambda places: (places < 5).astype(float),
}


@dataclass(frozen=True)
class Difference:
    """B minus A in one metric, over the same queries.

    Attributes:
        a, b: the metric of either.
        low, high: 95 % interval of the difference: all differences that the test does not refute at 5 %. So it holds 0
            just where p is above 0.05.
        p: two-sided p-value of a permutation test: the chance of so large a difference if A and B were
            equally good.
        queries: number of queries.
    """

    a: float
    b: float
    low: float
    high: float
    p: float
    queries: int

    def row(self, split: str, metric: str) -> dict[str, object]:
        """A row of `COLUMNS`."""
        return {"split": split, "metric": metric, "difference": self.b - self.a} | vars(self)


def paired_difference(a: np.ndarray, b: np.ndarray, animals: np.ndarray, seed: int, limit: float = 1.0) -> Difference:
    """Test a difference of means over paired queries, where photos of one animal are not independent.

    The signs of whole animals' differences are flipped at random (Fisher's permutation test). The interval comes from
    the same flips: a difference of x is refuted where the test refutes that B - x and A are equally good.

    Args:
        a: (Q,) worth of each query, and `b`, (Q,), of the same queries in the other experiment.
        animals: (Q,) int, equal for photos of one animal.
        seed: of the flips.
        limit: no difference can be greater; infinite for a loss.
    """
    _, number = np.unique(animals, return_inverse=True)
    photos = np.bincount(number).astype(float)  # (A,)
    summed = np.bincount(number, b - a)
    if not summed.any():
        return Difference(float(a.mean()), float(b.mean()), 0.0, 0.0, 1.0, len(a))
    signs = np.random.default_rng(seed).integers(0, 2, (FLIPS, len(summed)), dtype=np.int8) * 2 - 1
    # By parts, because a product of all flips at once would hold them all as floats.
    flipped = np.concatenate([part @ np.column_stack([summed, photos]) for part in np.array_split(signs, 10)])
    low, high = _ends(flipped[:, 0], flipped[:, 1], float(summed.sum()), len(a))
    # A flip counts against a difference x where it reaches as far as what was observed; of no difference, x is 0.
    p = (1 + ((low <= TINY) & (high >= -TINY)).sum()) / (1 + FLIPS)
    needed = int(LEVEL * (1 + FLIPS))  # flips with which the p-value of a difference rises above the level
    least, most = (float(np.clip(end, -limit, limit)) for end in (np.sort(low)[needed - 1], np.sort(high)[-needed]))
    return Difference(float(a.mean()), float(b.mean()), least, most, float(p), len(a))


def _ends(flipped: np.ndarray, photos: np.ndarray, observed: float, queries: int) -> tuple[np.ndarray, np.ndarray]:
    """For each flip the range of differences x that it counts against, |flipped - x photos| >= |observed - x queries|.

    Args:
        flipped: (F,) sums of the differences with flipped signs.
        photos: (F,) sums of the animals' numbers of photos with the same signs.
        observed: sum of the differences.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.stack([(observed - flipped) / (queries - photos), (observed + flipped) / (queries + photos)])
    always = np.abs(photos) == queries  # all signs alike: the flip is what was observed, whatever x is
    return np.where(always, -np.inf, ends.min(axis=0)), np.where(always, np.inf, ends.max(axis=0))


def compare(a: dict[str, Judged], b: dict[str, Judged], seed: int) -> pd.DataFrame:
    """Compare answers by split ("validation", "test") and metric, over the queries that both answered.

    Returns:
        A table of `COLUMNS`.
    """
    rows = []
    for split in (VALIDATION, TEST):
        common = a[split].truth.index.intersection(b[split].truth.index)
        if not len(common):
            continue
        one, two = (_only(judged[split], common) for judged in (a, b))
        for name, worth in METRICS.items():
            difference = paired_difference(
                worth(one.outcomes.place), worth(two.outcomes.place), one.outcomes.individual, seed
            )
            rows.append(difference.row(split, name))
    return pd.DataFrame(rows, columns=COLUMNS)


def read_experiment(where: str) -> dict[str, Judged]:
    """Answers of an experiment, beside the truth.

    Args:
        where: the folder of another checkout, "." for this one, or a name of a commit, branch or
            experiment of this repository.

    Raises:
        UserError: there is no such checkout or revision, or it has no answers.
    """
    with tempfile.TemporaryDirectory() as scratch:
        tables = {}
        for name, schema in NEEDED.items():
            tables[name] = read_table(fetched(where, name, Path(scratch)), schema)
    photos, rows, validation, test, truth = tables.values()
    catalogue = build_catalogue(photos, without_vectors(rows["image"]))
    return {VALIDATION: judged_validation(catalogue, validation), TEST: judged_test(catalogue, test, truth)}


def read_figures(where: str, folder: str = FIGURES) -> dict[str, bytes]:
    """The figures of an experiment: the PNGs in a folder of it, by name; none where they are not in the cache.

    Args:
        where: as in `read_experiment`.
        folder: from the project's root.
    """
    source = _source(where)
    try:
        names = sorted(Path(path).name for path in source.ls(folder, detail=False) if path.endswith(".png"))
        with tempfile.TemporaryDirectory() as scratch:
            return {Path(name).stem: fetched(where, f"{folder}/{name}", Path(scratch)).read_bytes() for name in names}
    except (FileNotFoundError, DataIndexDirError, UserError):
        return {}


def _source(where: str) -> DVCFileSystem:
    try:
        return DVCFileSystem(**({"url": where} if Path(where).is_dir() else {"rev": where}))
    except (DvcException, SCMError) as error:
        raise UserError(f"{where} is no folder with a checkout, nor a commit, branch or experiment: {error}") from None


def fetched(where: str, path: str, scratch: Path) -> Path:
    """A copy of an experiment's file."""
    copy = scratch / Path(path).name
    try:
        _source(where).get_file(path, str(copy))
    except (FileNotFoundError, DataIndexDirError):
        what = "is not there" if Path(where).is_dir() else "is not in the cache here: check it out"
        raise UserError(f"{path} of {where} {what}; `dvc repro` makes it, `dvc pull` fetches it") from None
    return copy


def _only(judged: Judged, queries: pd.Index) -> Judged:
    return Judged(judged.answers, judged.truth.loc[queries], judged.animals)
