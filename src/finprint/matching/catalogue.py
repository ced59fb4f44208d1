"""How photos with vectors become gallery and queries."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from finprint.base.errors import UserError
from finprint.store.tables import NEW, TEST, TRAIN, VALIDATION
from finprint.store.vectors import Vectors

UNKNOWN = -2  # code of an individual who is not in the gallery


@dataclass(frozen=True)
class Catalogue:
    """Photos with vectors, arranged for search. Individuals have codes, their place in `names`.

    Attributes:
        photos: table `PHOTOS` of the photos that have vectors, with a column `code` (-1: no identity).
        members: vectors by one model or several, each with a row for each of `photos`.
        names: (C,) the individuals, sorted.
    """

    photos: pd.DataFrame
    members: tuple[Vectors, ...]
    names: np.ndarray

    def blend(self, shares: Sequence[float] = ()) -> np.ndarray:
        """(N, sum of D) float32 unit vectors whose cosines are the weighted mean of the members' cosines.

        Args:
            shares: weights of the members, of sum 1; none: equal ones.
        """
        weights = shares or [1 / len(self.members)] * len(self.members)
        if len(self.members) == 1:
            return self.members[0].array
        return np.hstack([np.float32(np.sqrt(w)) * m.array for w, m in zip(weights, self.members, strict=True) if w])

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


def catalogue(photos: pd.DataFrame, *members: Vectors) -> Catalogue:
    """Join the table of photos with vectors; photos without a vector were rejected and are left out.

    Args:
        photos: table `PHOTOS`.
        members: vectors of the same photos by one model or several.

    Raises:
        UserError: the members' photos differ.
    """
    images = members[0].images
    if any(not images.equals(other.images) for other in members[1:]):
        raise UserError("the rounds' vectors are of different photos: run `dvc repro` again")
    places = pd.Series(np.arange(len(images)), index=images)
    photos = with_further_animals(photos, images)
    present = photos[photos["image"].isin(places.index)].reset_index(drop=True)
    labelled = present["split"] != TEST
    names = np.unique(present.loc[labelled, "identity"].dropna().to_numpy(str))
    codes = pd.Categorical(present["identity"].where(labelled), categories=names).codes
    rows = places.loc[present["image"]].to_numpy()
    arranged = tuple(replace(member, images=present["image"], array=member.array[rows]) for member in members)
    return Catalogue(present.assign(code=codes.astype(np.int64)), arranged, names)


def with_further_animals(photos: pd.DataFrame, images: pd.Series) -> pd.DataFrame:
    """The photos, and behind them a row for each further animal (NAME#2, NAME#3) that was cropped from one to identify.

    Args:
        photos: table `PHOTOS`.
        images: ids of crops.
    """
    further = images[images.str.contains(r"#\d+$") & ~images.isin(photos["image"])]
    if not len(further):
        return photos
    of = further.str.replace(r"#\d+$", "", regex=True)
    rows = pd.DataFrame({"image": of, "further": further}).merge(photos[photos["split"] == TEST], on="image")
    return pd.concat([photos, rows.drop(columns="image").rename(columns={"further": "image"})], ignore_index=True)
