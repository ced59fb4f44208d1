"""Probabilities of classes in a folder, with the photos that they belong to."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

from finprint.base.errors import UserError
from finprint.base.files import atomic, read_json, write_array, write_json
from finprint.store.tables import TEST, VALIDATION, read_table, write_table

QUERY = "query"  # a photo whose class nobody has told
ROLES = (VALIDATION, TEST, QUERY)
GUESSED = pa.DataFrameSchema(
    {
        "image": pa.Column("string", unique=True, coerce=True),
        # validation: its fold is left out by a model | test: of the test share, no model learns from it
        "role": pa.Column("string", pa.Check.isin(ROLES), coerce=True),
        "group": pa.Column("int32", coerce=True),
        "label": pa.Column("string", nullable=True, coerce=True),
    },
    strict=True,
    name="guesses",
)


@dataclass(frozen=True)
class Guesses:
    """Probabilities of N photos.

    Attributes:
        photos: table `GUESSED`.
        array: (N, C) float32, rows that sum to 1.
        classes: the C names.
    """

    photos: pd.DataFrame
    array: np.ndarray
    classes: list[str]

    def __getitem__(self, rows: np.ndarray) -> "Guesses":
        return Guesses(self.photos[rows].reset_index(drop=True), self.array[rows], self.classes)

    def of(self, role: str) -> "Guesses":
        """Those of the photos in a role."""
        return self[(self.photos["role"] == role).to_numpy()]

    def codes(self) -> np.ndarray:
        """(N,) numbers of the labels' classes; -1 where there is no label, or one that is no class."""
        return pd.Index(self.classes).get_indexer(pd.Index(self.photos["label"]))


def write_guesses(folder: Path, guesses: Guesses) -> None:
    """Write a folder of probabilities, atomically."""
    with atomic(folder) as draft:
        draft.mkdir()
        write_array(draft / "probabilities.npy", guesses.array.astype(np.float32))
        write_table(draft / "rows.parquet", guesses.photos, GUESSED)
        write_json(draft / "classes.json", guesses.classes)


def read_guesses(folder: Path) -> Guesses:
    """Read a folder of probabilities.

    Raises:
        UserError: a file is missing or damaged, the files disagree, or a row is no distribution.
    """
    photos = read_table(folder / "rows.parquet", GUESSED)
    try:
        array = np.load(folder / "probabilities.npy", allow_pickle=False)
        classes = read_json(folder / "classes.json")
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is missing: `dvc repro` makes it") from None
    except (ValueError, EOFError):
        raise UserError(f"{folder} is damaged: delete it, and `dvc repro` makes it anew") from None
    if array.shape != (len(photos), len(classes)):
        raise UserError(
            f"{folder}: probabilities of {array.shape}, but {len(photos)} photos and {len(classes)} classes: "
            "delete it and run `dvc repro` again"
        )
    wrong = ~(np.isclose(array.sum(axis=1), 1, atol=1e-3) & (array >= 0).all(axis=1))  # true for NaN as well
    if wrong.any():
        raise UserError(
            f"{folder}: the probabilities of {photos['image'][int(wrong.argmax())]} do not add up to 1 "
            f"({wrong.sum()} photos): the training has diverged, lower classify.lr"
        )
    return Guesses(photos, array, classes)
