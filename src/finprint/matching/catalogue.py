"""How photos with vectors become gallery and queries."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from finprint.base.errors import UserError
from finprint.engine.params import LOCAL, Engine
from finprint.matching.names import UNKNOWN, Names
from finprint.store.arrays import Array, Selection, SideBySide
from finprint.store.decisions import FURTHER
from finprint.store.tables import TEST, TRAIN, VALIDATION
from finprint.store.vectors import Vectors


@dataclass(frozen=True)
class Catalogue:
    """Photos with vectors, arranged for search.

    Attributes:
        photos: table `PHOTOS` of the N photos that have vectors, with a column `code` of `names`. The identities of
            the photos to identify are never read: their code is NOBODY.
        members: vectors by one model or several, each with a row for each of `photos`.
        names: the individuals on the labelled photos.
        local_scores: of the second look, by the query's image and the individual's name; missing values are NaN.
            `keypoints`: the greatest score of a pair with a photo of the individual. `descriptors`: how the individual
            stands among all that the query was compared with, in standard deviations. None: there was no second look.
        engine: where large galleries are searched.
    """

    photos: pd.DataFrame
    members: tuple[Vectors, ...]
    names: Names
    local_scores: pd.DataFrame | None = None
    engine: Engine = LOCAL

    def blend(self, shares: Sequence[float] = ()) -> Array:
        """(N, sum of D) float32 unit vectors whose cosines are the weighted mean of the members' cosines.

        Rows are read from the members' files when they are asked for.

        Args:
            shares: weights of the members, of sum 1; none: equal ones.
        """
        if len(self.members) == 1:
            return self.members[0].array
        weights = shares or [1 / len(self.members)] * len(self.members)
        return SideBySide([member.array for member in self.members], weights)

    def where(self, *splits: str) -> np.ndarray:
        """Rows of the photos of `splits`; of labelled splits, those that have an identity."""
        chosen = self.photos["split"].isin(splits)
        return np.flatnonzero(chosen & ((self.photos["split"] == TEST) | (self.photos["code"] >= 0)))

    def truth(self, queries: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Codes (Q,) of labelled `queries`, UNKNOWN for an individual not in `gallery`; and (Q,) bool: unknown."""
        codes = self.codes
        new = ~np.isin(codes[queries], codes[gallery])
        return np.where(new, UNKNOWN, codes[queries]), new

    def true_names(self, queries: np.ndarray, gallery: np.ndarray) -> pd.Series:
        """The right answers to labelled `queries`, by image: a name, or `new_individual`."""
        codes, _ = self.truth(queries, gallery)
        return pd.Series(self.names.of(codes), index=self.photos["image"].iloc[queries])

    @property
    def codes(self) -> np.ndarray:
        """(N,) int64, the individual on each photo."""
        return self.photos["code"].to_numpy()

    @property
    def train(self) -> np.ndarray:
        """Rows of the gallery that validation is searched in."""
        return self.where(TRAIN)

    @property
    def validation(self) -> np.ndarray:
        """Rows of the validation queries."""
        return self.where(VALIDATION)

    @property
    def labelled(self) -> np.ndarray:
        """Rows of the gallery that the photos to identify are searched in: training and validation photos."""
        return self.where(TRAIN, VALIDATION)


def build_catalogue(photos: pd.DataFrame, *members: Vectors, engine: Engine = LOCAL) -> Catalogue:
    """Join the table of photos with vectors; photos without a vector were rejected and are left out.

    Args:
        photos: table `PHOTOS`.
        members: vectors of the same photos by one model or several.
        engine: where large galleries are searched.

    Raises:
        UserError: the members' photos differ.
    """
    images = members[0].images
    if any(not images.equals(other.images) for other in members[1:]):
        raise UserError("the rounds' vectors are of different photos: run `dvc repro` again")
    places = pd.Series(np.arange(len(images)), index=images)
    photos = with_further_animals(photos, images)
    present = photos[photos["image"].isin(places.index)].reset_index(drop=True)
    identities = present["identity"].where(present["split"] != TEST)
    names = Names(identities)
    rows = places.loc[present["image"]].to_numpy()
    images = present["image"]
    arranged = tuple(replace(member, images=images, array=Selection([member.array], rows)) for member in members)
    return Catalogue(present.assign(code=names.codes(identities)), arranged, names, engine=engine)


def fold_as_validation(photos: pd.DataFrame, fold: int) -> pd.DataFrame:
    """The training photos alone, those of `fold` as validation photos.

    A model that left the fold out answers them out of fold: it has not learned from them.

    Args:
        photos: table `PHOTOS`.
    """
    shown = photos[photos["split"] == TRAIN].reset_index(drop=True)
    return shown.assign(split=shown["split"].mask(shown["fold"] == fold, VALIDATION))


def with_further_animals(photos: pd.DataFrame, images: pd.Series) -> pd.DataFrame:
    """The photos, followed by a row for each further animal (NAME#2, NAME#3) that was cropped from a photo to identify.

    Args:
        photos: table `PHOTOS`.
        images: ids of crops.
    """
    further = images[images.str.contains(FURTHER) & ~images.isin(photos["image"])]
    if not len(further):
        return photos
    of = further.str.replace(FURTHER, "", regex=True)
    rows = pd.DataFrame({"image": of, "further": further}).merge(photos[photos["split"] == TEST], on="image")
    return pd.concat([photos, rows.drop(columns="image").rename(columns={"further": "image"})], ignore_index=True)
