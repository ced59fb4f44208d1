"""A folder of vectors with the photos they belong to, and how photos become gallery and queries."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from finprint.errors import UserError
from finprint.files import atomic, read_json, write_array, write_json
from finprint.tables import NEW, ROWS, TEST, TRAIN, VALIDATION, read_table, write_table

UNKNOWN = -2  # code of an individual who is not in the gallery


@dataclass(frozen=True)
class Vectors:
    """Unit vectors of photos, (N, D) float32, and the model that they come from (a hash of its weights)."""

    images: pd.Series
    array: np.ndarray
    model: str


def write_vectors(folder: Path, vectors: Vectors) -> None:
    """Write a folder of vectors, atomically."""
    with atomic(folder) as part:
        part.mkdir()
        write_array(part / "vectors.npy", vectors.array)
        write_table(part / "rows.parquet", pd.DataFrame({"image": vectors.images}), ROWS)
        write_json(part / "model.json", {"model": vectors.model})


def read_vectors(folder: Path) -> Vectors:
    """Read a folder of vectors.

    Raises:
        UserError: the folder is missing, its parts disagree, or a vector is no unit vector.
    """
    rows = read_table(folder / "rows.parquet", ROWS)
    array = np.load(folder / "vectors.npy")
    if len(array) != len(rows):
        raise UserError(f"{folder}: {len(array)} vectors, but {len(rows)} rows: run `dvc repro` again")
    wrong = ~np.isclose(np.linalg.norm(array, axis=1), 1, atol=1e-3)  # NaN is wrong, too
    if wrong.any():
        raise UserError(
            f"{folder}: the vector of {rows['image'][int(wrong.argmax())]} is no unit vector ({wrong.sum()} are not): "
            "the training has diverged, lower lr"
        )
    return Vectors(rows["image"], array, read_json(folder / "model.json")["model"])


def blend(first: Vectors, second: Vectors, share: float) -> Vectors:
    """Vectors whose cosines are the weighted mean of two models' cosines.

    Args:
        first: (N, D1), and `second`, (N, D2), of the same photos in the same order.
        share: weight of the first one's cosines, 0 to 1.

    Returns:
        (N, D1 + D2) unit vectors, or one of the two where the other has no weight.

    Raises:
        UserError: the photos differ.
    """
    if not first.images.equals(second.images):
        raise UserError("the two rounds' vectors are of different photos: run `dvc repro` again")
    if share in (0, 1):
        return first if share else second
    array = np.hstack([np.sqrt(share) * first.array, np.sqrt(1 - share) * second.array])
    return Vectors(first.images, array.astype(np.float32), f"{first.model} {second.model}")


@dataclass(frozen=True)
class Catalogue:
    """Photos with vectors, arranged for search. Individuals have codes, their place in `names`.

    Attributes:
        photos: table `PHOTOS` of the photos that have vectors, with a column `code` (-1: no identity).
        array: (N, D) float32, a vector for each row of `photos`.
        names: (C,) the individuals, sorted.
    """

    photos: pd.DataFrame
    array: np.ndarray
    names: np.ndarray

    def where(self, *splits: str) -> np.ndarray:
        """Rows of the photos of `splits`; of labelled splits, those that have an identity."""
        chosen = self.photos["split"].isin(splits)
        return np.flatnonzero(chosen & ((self.photos["split"] == TEST) | (self.photos["code"] >= 0)))

    def truth(self, queries: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Codes (Q,) of labelled `queries`, UNKNOWN for an individual not in `gallery`; and (Q,) bool: unknown."""
        codes = self.photos["code"].to_numpy()
        new = ~np.isin(codes[queries], codes[gallery])
        return np.where(new, UNKNOWN, codes[queries]), new

    def true_names(self, queries: np.ndarray, gallery: np.ndarray) -> pd.Series:
        """The right answers to labelled `queries`, by image: a name, or `new_individual`."""
        codes, new = self.truth(queries, gallery)
        names = np.where(new, NEW, self.names[np.where(new, 0, codes)])
        return pd.Series(names, index=self.photos["image"].iloc[queries])

    @property
    def train(self) -> np.ndarray:
        """Rows of the gallery that validation is searched in."""
        return self.where(TRAIN)

    @property
    def validation(self) -> np.ndarray:
        """Rows of the validation queries."""
        return self.where(VALIDATION)


def catalogue(photos: pd.DataFrame, vectors: Vectors) -> Catalogue:
    """Join the table of photos with vectors; photos without a vector were rejected and are left out."""
    places = pd.Series(np.arange(len(vectors.images)), index=vectors.images)
    present = photos[photos["image"].isin(places.index)].reset_index(drop=True)
    labelled = present["split"] != TEST
    names = np.unique(present.loc[labelled, "identity"].dropna().to_numpy(str))
    codes = pd.Categorical(present["identity"].where(labelled), categories=names).codes
    return Catalogue(present.assign(code=codes.astype(np.int64)), vectors.array[places.loc[present["image"]]], names)
