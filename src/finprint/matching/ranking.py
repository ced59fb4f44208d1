"""From vectors to the individuals likeliest to be shown: nearest photos, gathered by individual."""

from dataclasses import dataclass, fields

import numpy as np

from finprint.engine.params import LOCAL, Engine
from finprint.matching.indexes import FLAT, GPU_NEIGHBOURS, Compressed, all_nearest, chosen, flat_on_gpu, nearest_rows
from finprint.matching.names import NOBODY, take
from finprint.store.arrays import Array

ANSWERS = 5  # a query is answered by so many names
BLOCK = 4096  # queries looked up at a time, which bounds the memory
NONE = np.zeros((0, 0), np.float32)  # queries


@dataclass(frozen=True)
class Ranking:
    """The best K individuals of each of Q queries, best first.

    Attributes:
        identities: (Q, K) int64 codes, distinct in a row; NOBODY where the gallery has no more individuals.
        scores: (Q, K) float32, falling: the cosine of each individual's nearest photo, until the scores are blended;
            -inf at NOBODY.
        photos: (Q, K) int64 gallery rows of these photos; NOBODY where there is none.
        means: (Q, K) float32 mean cosines of each individual's nearest few photos; -inf at NOBODY.
    """

    identities: np.ndarray
    scores: np.ndarray
    photos: np.ndarray
    means: np.ndarray

    @property
    def best(self) -> np.ndarray:
        """(Q,) the first place's scores."""
        return self.scores[:, 0]

    def __len__(self) -> int:
        return len(self.identities)

    def __getitem__(self, queries: np.ndarray | slice) -> "Ranking":
        return Ranking(**{field.name: getattr(self, field.name)[queries] for field in fields(self)})

    @staticmethod
    def empty(queries: int, places: int) -> "Ranking":
        """A ranking of nobody."""
        return Ranking(
            np.full((queries, places), NOBODY),
            np.full((queries, places), -np.inf, np.float32),
            np.full((queries, places), NOBODY),
            np.full((queries, places), -np.inf, np.float32),
        )


class Gallery:
    """Gallery photos, whose vectors stay where they are, with the individuals on them.

    Args:
        vectors: (G, D) float32 unit vectors.
        codes: (G,) int64, the individual on each photo, at least 0.
        kind: `flat`, `ivf_sq8`, `ivf_pq`, or `auto`, which chooses by the number of vectors.
        asked: (Q, D) some queries, by which the recall of an index that is not exact is told.
        engine: where all vectors are read, for a large search.

    Attributes:
        exact: does each search read all vectors?
        compressed: the index, where the gallery is not exact.
    """

    def __init__(
        self, vectors: Array, codes: np.ndarray, kind: str = FLAT, asked: Array = NONE, engine: Engine = LOCAL
    ) -> None:
        self.vectors = vectors
        self._engine = engine
        self.codes = codes
        self.photos_of = np.bincount(codes, minlength=1)  # (C,)
        self.individuals = int((self.photos_of > 0).sum())
        kind = chosen(kind, len(codes))
        self.exact = kind == FLAT
        self.compressed = None if self.exact else Compressed(vectors, kind, asked, engine)
        self._on_gpu = flat_on_gpu(vectors) if self.exact else None

    @property
    def recall(self) -> float | None:
        """Share of queries whose nearest photo is found; None where nobody asked: see `Compressed`."""
        return 1.0 if self.compressed is None else self.compressed.recall

    def nearest(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Cosines and gallery rows, each (Q, `count`), of the nearest photos, best first.

        Equal cosines are ordered by the individual's code, then by the row. An index that is not exact and finds fewer
        photos fills up with -inf and NOBODY.
        """
        if self.compressed is not None:
            return self._ordered(*self.compressed.search(queries, count))
        if self._on_gpu is None or self.reads(count):
            return self.exactly(queries, count)
        scores, photos = self._on_gpu.search(np.ascontiguousarray(queries, dtype=np.float32), count)
        scores[photos < 0] = -np.inf
        return self._ordered(scores, photos)

    def reads(self, count: int) -> bool:
        """Does the search for so many photos read all vectors?"""
        return self.exact and (self._on_gpu is None or count > GPU_NEIGHBOURS)

    def exactly(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The same without an index, by reading all vectors."""
        return self._ordered(*nearest_rows(queries, self.vectors, count, engine=self._engine))

    def all_exactly(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All that such a reading tells: at least `count` cosines and gallery rows, and where they are complete.

        See `all_nearest`.
        """
        (scores, photos), bound = all_nearest(queries, self.vectors, count, engine=self._engine)
        scores, photos = self._ordered(scores, photos)
        return scores, photos, bound

    def _ordered(self, scores: np.ndarray, photos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        tied = np.flatnonzero((scores[:, 1:] == scores[:, :-1]).any(axis=1))
        order = np.lexsort((photos[tied], self.codes[photos[tied]], -scores[tied]), axis=1)
        photos[tied] = np.take_along_axis(photos[tied], order, 1)  # the scores are in order as they are
        return scores, photos


def rank(
    queries: Array, gallery: Gallery, places: int = ANSWERS, neighbours: int = 100, mean_photos: int = 1
) -> Ranking:
    """Rank the gallery's individuals for each query by their best photo's cosine.

    With an exact index the result is exact whatever `neighbours` is: where so many photos show fewer
    than `places` individuals, or a tie reaches beyond them, more are looked up. Equal scores are ordered
    by the individual's code, and equal photos of one individual by the gallery row. In the means, a photo that is
    not among the neighbours counts with the last neighbour's cosine, which it cannot exceed.

    Args:
        queries: (Q, D) float32 unit vectors.
        places: K.
        neighbours: gallery photos looked up for a query at first.
        mean_photos: how many photos of an individual make its mean.
    """
    ranking = Ranking.empty(len(queries), places)
    if not len(gallery.codes):
        return ranking
    for start in range(0, len(queries), BLOCK):
        block = slice(start, start + BLOCK)
        _fill(ranking[block], queries[block], gallery, neighbours, mean_photos)
    return ranking


def _fill(ranking: Ranking, queries: np.ndarray, gallery: Gallery, neighbours: int, mean_photos: int) -> None:
    """Rank some queries into `ranking`, in place."""
    places = ranking.identities.shape[1]
    wanted = min(places, gallery.individuals)
    todo = np.arange(len(queries))
    exact = gallery.exact

    def put(rows: np.ndarray, scores: np.ndarray, photos: np.ndarray, last: np.ndarray | float) -> np.ndarray:
        """Rank the queries `rows`; of whom does a photo count that was not looked up, of a cosine of `last` at most?"""
        ranked = _distinct(scores, photos, gallery, places, mean_photos)
        for field in fields(Ranking):
            getattr(ranking, field.name)[rows] = getattr(ranked, field.name)
        # A place that is empty (-inf), or ties with the last neighbour, may belong to such a photo.
        short: np.ndarray = ranked.scores[:, wanted - 1] <= last
        return short

    while len(todo):
        count = min(neighbours, len(gallery.codes))
        if gallery.reads(count) or (exact and not gallery.exact):
            scores, photos, bound = gallery.all_exactly(queries[todo], count)
        else:
            scores, photos = gallery.nearest(queries[todo], count)
            bound = scores[:, -1]
        last = scores[:, count - 1] if exact else -np.inf
        short = put(todo, scores[:, :count], photos[:, :count], last)
        if exact and count == len(gallery.codes):
            break
        if scores.shape[1] > count and short.any():  # a reading in blocks tells more than was asked for
            some, least = scores[short], bound[short, None]
            known = np.where(some > least, photos[short], NOBODY)
            short[short] = put(todo[short], np.maximum(some, least), known, bound[short])
        todo = todo[short]
        neighbours *= 4 if exact else 1
        exact = True  # an approximate index does not know where to go on


def _distinct(scores: np.ndarray, photos: np.ndarray, gallery: Gallery, places: int, mean_photos: int) -> Ranking:
    """The first `places` distinct individuals of each row of neighbours, without a loop over rows.

    Args:
        scores: (Q, N) cosines, falling, and `photos`, (Q, N) gallery rows, of the neighbours.
    """
    shown = take(gallery.codes, photos, NOBODY)  # (Q, N)
    least = np.maximum(scores[:, -1], -1)
    rows = np.arange(len(scores))
    free = photos >= 0
    ranked = Ranking.empty(len(scores), places)
    for place in range(places):
        first = free.argmax(axis=1)
        left = free[rows, first]
        if not left.any():
            break
        individual = shown[rows, first]
        same = shown == individual[:, None]
        free &= ~same
        means = scores[rows, first]
        if mean_photos > 1:
            seen = np.minimum(same.sum(axis=1), mean_photos)
            counted = np.minimum(gallery.photos_of[individual], mean_photos)
            same &= np.cumsum(same, axis=1, dtype=np.int16) <= mean_photos
            total = np.where(same, scores, 0).sum(axis=1)
            means = (total + np.where(counted > seen, (counted - seen) * least, 0)) / counted
        for out, values in zip(
            (ranked.identities, ranked.scores, ranked.photos, ranked.means),
            (individual, scores[rows, first], photos[rows, first], means),
            strict=True,
        ):
            out[left, place] = values[left]
    return ranked


def softmax(ranking: Ranking, temperature: float) -> np.ndarray:
    """(Q, K) shares of the ranked individuals by their scores; 0 at NOBODY."""
    present = ranking.identities != NOBODY
    scores = np.where(present, ranking.scores, -1e9).astype(float)
    powers = np.where(present, np.exp((scores - scores.max(axis=1, keepdims=True)) / temperature), 0)
    return powers / np.maximum(powers.sum(axis=1, keepdims=True), 1e-12)


def expanded(vectors: Array, neighbours: int) -> Array:
    """Database-side augmentation: each gallery vector is drawn towards its nearest ones (Arandjelovic and
    Zisserman, CVPR 2012; weights cosine ** 3 as Radenovic et al., TPAMI 2019).

    Args:
        vectors: (G, D) float32 unit vectors.
        neighbours: how many of the nearest ones are added, for which all vectors are held in memory; 0: the vectors
            stay as they are.

    Returns:
        (G, D) float32 unit vectors.
    """
    if not neighbours or len(vectors) < 2:
        return vectors
    array, codes = vectors[:], np.zeros(len(vectors), int)
    cosines, rows = Gallery(array, codes).nearest(array, min(neighbours + 1, len(array)))  # itself among them
    summed = np.einsum("gn,gnd->gd", np.maximum(cosines, 0) ** 3, array[rows])
    return (summed / np.linalg.norm(summed, axis=1, keepdims=True)).astype(np.float32)
