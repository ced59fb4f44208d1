"""How near photos are to each other, unless they show the two sides of an animal."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from finprint.store.arrays import Array

BLOCK = 512  # queries whose cosines are computed at a time, which bounds the memory


def comparable(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(Q, G) bool: may photos with these viewpoints show the same of an animal? Left and right do not; a photo from the
    front or above may show some of either."""
    left, right = (np.array([side]) for side in ("left", "right"))
    return ~((ones[:, None] == left) & (others == right) | (ones[:, None] == right) & (others == left))


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
        """(Q, G) cosines of photos, given by their rows; -inf where one shows the left side and one the right."""
        mask = comparable(self.viewpoints[queries], self.viewpoints[gallery])
        return np.where(mask, self.vectors[queries] @ self.vectors[gallery].T, -np.inf)


def nearest(photos: pd.DataFrame, vectors: Array, queries: np.ndarray, gallery: np.ndarray, count: int) -> np.ndarray:
    """(Q, `count`) rows of the photos that are nearest to each query; -1 where there are fewer.

    Args:
        photos: a column `viewpoint` of the photos; those that show the other side than the query are not taken.
        vectors: (N, D) their unit vectors.
        queries: (Q,) rows of the queries, and `gallery`, (G,), rows of the photos that they are compared with.
        count: of photos.
    """
    near = Near.of(photos, vectors)
    rows = np.full((len(queries), count), -1)
    for start in range(0, len(queries), BLOCK):
        cosines = near.cosines(queries[start : start + BLOCK], gallery)
        places = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
        there = np.isfinite(np.take_along_axis(cosines, places, axis=1))
        rows[start : start + BLOCK, : places.shape[1]] = np.where(there, gallery[places], -1)
    return rows
