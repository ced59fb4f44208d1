"""How near photos are to each other, if they show the same side of an animal."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from finprint.store.arrays import Array


def comparable(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(Q, G) bool: do photos with these viewpoints show the same side, or is a side not told?"""
    return (ones[:, None] == others) | (ones[:, None] == "") | (others == "")


@dataclass(frozen=True)
class Near:
    """N photos.

    Attributes:
        vectors: (N, D) their unit vectors.
        viewpoints: (N,) their viewpoints; "": not told.
    """

    vectors: Array
    viewpoints: np.ndarray

    @staticmethod
    def of(photos: pd.DataFrame, vectors: Array) -> "Near":
        """Of a table with a column `viewpoint`."""
        return Near(vectors, photos["viewpoint"].fillna("").to_numpy(str))

    def cosines(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        """(Q, G) cosines of photos, given by their rows; -inf where they show different sides."""
        mask = comparable(self.viewpoints[queries], self.viewpoints[gallery])
        return np.where(mask, self.vectors[queries] @ self.vectors[gallery].T, -np.inf)
