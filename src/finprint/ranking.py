"""From vectors to the individuals likeliest to be shown: exact nearest photos, best photo of each individual."""

from dataclasses import dataclass

import faiss
import numpy as np

ANSWERS = 5  # a query is answered by so many names
NOBODY = -1  # fills the places of a ranking where the gallery has no more individuals


@dataclass(frozen=True)
class Ranking:
    """The best individuals of each query, best first; Q queries, K places.

    Attributes:
        identities: (Q, K) int64 codes, distinct in a row; NOBODY where there is none.
        scores: (Q, K) float32 cosines of each individual's nearest photo; -inf where there is none.
        photos: (Q, K) int64 gallery rows of these photos; NOBODY where there is none.
    """

    identities: np.ndarray
    scores: np.ndarray
    photos: np.ndarray

    @property
    def best(self) -> np.ndarray:
        """(Q,) the first place's scores."""
        return self.scores[:, 0]


def rank(
    queries: np.ndarray, gallery: np.ndarray, codes: np.ndarray, places: int = ANSWERS, neighbours: int = 100
) -> Ranking:
    """Rank the gallery's individuals for each query by their best photo's cosine.

    The result is exact whatever `neighbours` is: where so many photos show fewer than `places`
    individuals, or a tie reaches beyond them, more are looked up. Equal scores are ordered by the
    individual's code, an individual's by the gallery row.

    Args:
        queries: (Q, D) float32 unit vectors.
        gallery: (G, D) float32 unit vectors.
        codes: (G,) int64, the individual on each gallery photo, at least 0.
        places: K.
        neighbours: gallery photos looked up a query at first.
    """
    index = faiss.IndexFlatIP(gallery.shape[1])
    index.add(np.ascontiguousarray(gallery, dtype=np.float32))
    count = len(queries)
    ranking = Ranking(
        np.full((count, places), NOBODY),
        np.full((count, places), -np.inf, np.float32),
        np.full((count, places), NOBODY),
    )
    if not len(gallery):
        return ranking
    wanted = min(places, len(np.unique(codes)))
    todo = np.arange(count)
    while len(todo):
        neighbours = min(neighbours, len(gallery))
        scores, photos = index.search(np.ascontiguousarray(queries[todo], dtype=np.float32), neighbours)
        for field, values in zip(
            ("identities", "scores", "photos"), _distinct(scores, photos, codes, places), strict=True
        ):
            getattr(ranking, field)[todo] = values
        if neighbours == len(gallery):
            break
        # A place that is empty (-inf), or ties with the last neighbour, may belong to a photo not looked up.
        todo = todo[ranking.scores[todo, wanted - 1] <= scores[:, -1]]
        neighbours *= 4
    return ranking


def _distinct(
    scores: np.ndarray, photos: np.ndarray, codes: np.ndarray, places: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first `places` distinct individuals of each row of neighbours, without a loop over rows.

    Args:
        scores: (Q, N) cosines, and `photos`, (Q, N) gallery rows, of the neighbours.
        codes: (G,) individuals.

    Returns:
        Individuals, scores and photos, each (Q, places).
    """
    order = np.lexsort((photos, codes[photos], -scores), axis=1)
    scores, photos = np.take_along_axis(scores, order, 1), np.take_along_axis(photos, order, 1)
    shown = codes[photos]  # (Q, N)
    rows = np.arange(len(scores))
    free = np.ones(shown.shape, bool)
    best = (
        np.full((len(rows), places), NOBODY), np.full((len(rows), places), -np.inf, np.float32),
        np.full((len(rows), places), NOBODY),
    )  # fmt: skip
    for place in range(places):
        first = free.argmax(axis=1)
        left = free[rows, first]
        for out, values in zip(best, (shown, scores, photos), strict=True):
            out[left, place] = values[rows, first][left]
        free &= shown != shown[rows, first][:, None]
    return best
