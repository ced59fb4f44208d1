"""Photos compared by descriptors of their local features: what follows for photos and for individuals."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from finprint.keypoints.params import DRAWN

BEST = 2  # photos of an individual whose agreement counts: right whales are told as well by one, antelopes less well
BEHIND = 2.0  # what is taken from the cosines of photos that agree in nothing: they rank behind the others


@dataclass(frozen=True)
class Compared:
    """How well Q queries agree with their nearest photos by descriptors of local features.

    Attributes:
        rows: (Q, N) of the photos that each was compared with, nearest first; -1: nobody.
        agreement: (Q, N) float32, of `descriptors.agreement`.
    """

    rows: np.ndarray
    agreement: np.ndarray

    def __getitem__(self, some: slice) -> "Compared":
        return Compared(self.rows[some], self.agreement[some])

    def ranked(self, queries: np.ndarray, images: np.ndarray, identities: np.ndarray) -> pd.DataFrame:
        """Columns query, match, identity and agreement: each photo that a query was compared with, those that agree
        best first.

        Args:
            queries: (Q,) ids.
            images, identities: ids and names, by the photo's row.
        """
        asked, place = np.nonzero(self.rows >= 0)
        rows = self.rows[asked, place]
        named = {"query": queries[asked], "match": images[rows], "identity": identities[rows]}
        table = pd.DataFrame(named | {"agreement": self.agreement[asked, place]})
        return table.sort_values("agreement", ascending=False, kind="stable")

    def before(self, cosines: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        """(Q, G) a measure: the agreement of photos, and behind them the cosines of those that agree in nothing or were
        not compared.

        Args:
            cosines: (Q, G), of photos.
            gallery: (G,) their rows.
        """
        place = np.zeros(gallery.max() + 1, np.int64)
        place[gallery] = np.arange(len(gallery))
        measure = cosines - BEHIND
        asked, near = np.nonzero((self.rows >= 0) & (self.agreement > 0))
        measure[asked, place[self.rows[asked, near]]] = self.agreement[asked, near]
        return measure


def individuals_compared(ranked: pd.DataFrame) -> pd.DataFrame:
    """Table `COMPARED`: of each individual the mean of the two photos that agree best.

    Args:
        ranked: of `Compared.ranked`.
    """
    by = ["query", "identity"]
    best = ranked[ranked.groupby(by, sort=False).cumcount() < BEST]
    return best.groupby(by)["agreement"].mean().reset_index()


def best_photos(ranked: pd.DataFrame) -> pd.DataFrame:
    """Columns query, match and identity: of the individuals that agree best with a query, the best photo of each.

    Args:
        ranked: of `Compared.ranked`.
    """
    table = ranked[ranked["agreement"] > 0].drop_duplicates(["query", "identity"])
    table = table[table.groupby("query", sort=False).cumcount() < DRAWN].sort_values("query", kind="stable")
    return table[["query", "match", "identity"]].reset_index(drop=True)
