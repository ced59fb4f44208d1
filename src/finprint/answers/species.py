"""The species that a network of classes gives to photos whose table tells none (`classes.of` with species)."""

from pathlib import Path

import numpy as np
import pandas as pd

from finprint.store.guesses import read_guesses

COLUMN = "chance of species "  # of the table of photos, before a species
PROBABILITIES = "probabilities"  # sub-folder that the stage vote writes


def with_species(photos: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """The photos with a column for each species: the probabilities that a network gave, NaN where it gave none.

    No photo is answered by a model that has learned from it. Without such a network the photos are returned as they
    are.

    Args:
        photos: table `PHOTOS`.
        folder: `data/labels/species`.
    """
    if not (folder / PROBABILITIES).is_dir():
        return photos
    guesses = read_guesses(folder / PROBABILITIES)
    columns = [COLUMN + name for name in guesses.classes]
    table = pd.DataFrame(guesses.array, columns=columns, index=guesses.photos["image"])
    return photos.join(table, on="image")


def chances(photos: pd.DataFrame, kinds: np.ndarray) -> np.ndarray:
    """(N, K) the network's probability that photo n is of the species in (N, K) `kinds`; NaN where it says nothing,
    1 for an individual whose species nobody knows.

    Args:
        photos: N rows, with the columns of `with_species` or without.
        kinds: names, "" where not known.
    """
    values = np.full(kinds.shape, np.nan)
    for kind in np.unique(kinds):
        if COLUMN + str(kind) in photos:
            column = photos[COLUMN + str(kind)].to_numpy(float)[:, None]
            values = np.where(kinds == kind, column, values)
    answered = np.isfinite(values).any(axis=1, keepdims=True)
    return np.where((kinds == "") & answered, 1.0, values)
