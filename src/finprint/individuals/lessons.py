"""The photos that individuals are learned from, and whom each shows."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from finprint.base.errors import UserError
from finprint.base.files import sha256_json
from finprint.base.words import counted
from finprint.learning.lessons import Lessons, Targets
from finprint.pictures.shards import Crops
from finprint.store.tables import TRAIN, VALIDATION


@dataclass(frozen=True)
class IndividualLessons(Lessons):
    """Lessons whose classes are the identities; an identity stands once for each viewpoint that is a class of its own.

    Attributes:
        species: (C,) int64 numbers of the species that each class is of, -1 where that is unknown.
    """

    species: np.ndarray


def lessons(
    photos: pd.DataFrame, crops: Crops, pseudo_labels: pd.DataFrame | None = None, apart: bool = False
) -> IndividualLessons:
    """The training photos that have an identity and a crop, and after them the pseudo-labelled ones.

    Args:
        photos: table `PHOTOS`.
        crops: of these photos.
        pseudo_labels: table `LABELS`.
        apart: is each viewpoint of an individual a class of its own? A pseudo-label is then learned only if a training
            photo shows this individual from this viewpoint.

    Raises:
        UserError: there are fewer than two individuals to learn from, or no viewpoint is told though they are apart.
    """
    named = photos[(photos["split"] == TRAIN) & photos["identity"].notna()][["image", "identity"]]
    named = named.assign(weight=1.0, labelled=True)
    if pseudo_labels is not None:
        named = pd.concat([named, pseudo_labels[["image", "identity", "weight"]].assign(labelled=False)])
    named = named[named["image"].isin(crops.index["image"])]
    named = named.assign(side=_sides(photos, named["image"]) if apart else "")
    shown = pd.MultiIndex.from_frame(named[["identity", "side"]])
    if apart:
        known = shown.isin(shown[named["labelled"]])
        named, shown = named[known], shown[known]
    every = shown.unique().sort_values()
    classes, codes = every.get_level_values("identity"), every.get_indexer(shown)
    images = named["image"].drop_duplicates()
    if classes.nunique() < 2:
        raise UserError(
            f"{counted(len(images), 'training photo')} of {counted(classes.nunique(), 'individual')}, nothing to learn "
            "from: the catalogue must name at least two individuals, each with a photo that does not validate"
        )
    told = photos.dropna(subset="species").drop_duplicates("identity").set_index("identity")["species"]
    species, _ = pd.factorize(told.reindex(classes), sort=True)
    photo = pd.Index(images).get_indexer(named["image"])
    place = named.groupby("image").cumcount().to_numpy()  # of a photo's first name, its second, ...
    labels = np.zeros((len(images), place.max() + 1), np.int64)
    weights = np.zeros(labels.shape, np.float32)
    labels[photo, place], weights[photo, place] = codes, named["weight"]
    targets = Targets(torch.from_numpy(labels), torch.from_numpy(weights))
    return IndividualLessons(crops.rows(images), targets, classes.tolist(), species.astype(np.int64))


def _sides(photos: pd.DataFrame, images: pd.Series) -> np.ndarray:
    """The sides that some photos show, left or right; "" where it is not told, or another view.

    Raises:
        UserError: no photo tells its viewpoint.
    """
    if "viewpoint" not in photos or photos["viewpoint"].isna().all():
        raise UserError("train.viewpoints is apart, but no photo tells its viewpoint: tell it, or set it to together")
    told = photos.set_index("image")["viewpoint"].reindex(images)
    return told.where(told.isin(["left", "right"]), "").fillna("").to_numpy(str)


def labelled(photos: pd.DataFrame, crops: Crops) -> pd.DataFrame:
    """The photos of the catalogue that have an identity and a crop, those that validate among them."""
    named = photos["split"].isin([TRAIN, VALIDATION]) & photos["identity"].notna()
    return photos[named & photos["image"].isin(crops.index["image"])].reset_index(drop=True)


def fingerprint(
    photos: pd.DataFrame, crops: Crops, pseudo_labels: pd.DataFrame | None = None, apart: bool = False
) -> str:
    """A hash of all that a round learns from and is scored on, and of nothing else.

    New photos to identify change the files that the stages read. Without a pseudo-label they do not change this hash,
    and so the same is not learned twice.

    Args:
        photos: table `PHOTOS`.
        crops: of these photos.
        pseudo_labels: table `LABELS` that the round learns from as well.
        apart: as for `lessons`; only then are viewpoints learned from.
    """
    table = labelled(photos, crops)
    learned = [table[["image", "species", "identity", "split", "fold"]].fillna("").to_numpy().tolist()]
    images = table["image"]
    if pseudo_labels is not None:
        named = pseudo_labels[pseudo_labels["image"].isin(crops.index["image"])]
        learned.append(named[["image", "identity", "weight"]].to_numpy().tolist())
        images = pd.concat([images, named["image"]])
    if apart:
        learned.append(_sides(photos, images).tolist())
    return sha256_json([*learned, [crops.digest(row) for row in crops.rows(images)]])
