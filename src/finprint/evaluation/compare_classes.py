"""Two experiments' probabilities of classes for the same photos: which are better, and could it be chance?"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from finprint.classes.judging import Judged, judged
from finprint.classes.results import told
from finprint.evaluation.compare import COLUMNS, fetched, paired_difference
from finprint.store.guesses import read_guesses
from finprint.store.tables import PHOTOS, TRUTH, read_table

PROBABILITIES = ("probabilities.npy", "rows.parquet", "classes.json")  # the files of a folder of guesses


def compare_classes(a: dict[str, Judged], b: dict[str, Judged], seed: int) -> pd.DataFrame:
    """Compare log loss, top-1 and top-5 by role, over the photos that both judge.

    Signs are flipped by whole groups (encounters, near-duplicates), as A tells them.

    Returns:
        A table of `COLUMNS`; the column `split` holds the role.
    """
    rows = []
    for role in (role for role in a if role in b):
        images = [pd.Index(one[role].guesses.photos["image"]) for one in (a, b)]
        common = images[0].intersection(images[1])
        if not len(common):
            continue
        here, there = (own.get_indexer(common) for own in images)
        groups, other = a[role].guesses.photos["group"].to_numpy()[here], b[role].worth()
        for metric, worth in a[role].worth().items():
            limit = np.inf if metric == "log_loss" else 1.0
            difference = paired_difference(worth[here], other[metric][there], groups, seed, limit)
            rows.append(difference.row(role, metric))
    return pd.DataFrame(rows, columns=COLUMNS)


def read_classes(where: str, of: str) -> dict[str, Judged]:
    """An experiment's probabilities beside the labels, by role.

    Args:
        where: as for `compare.read_experiment`.
        of: what is told, `identity` or `species`.

    Raises:
        UserError: there is no such checkout or revision, or it has no probabilities of these classes.
    """
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        for name in PROBABILITIES:
            fetched(where, f"data/labels/{of}/probabilities/{name}", place)
        photos = read_table(fetched(where, "data/photos.parquet", place), PHOTOS)
        truth = read_table(fetched(where, "data/truth.parquet", place), TRUTH)
        return judged(read_guesses(place), told(photos, truth, of))
