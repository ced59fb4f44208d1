"""The individuals that each query might show, with the components of their scores."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from finprint.answers.components import Components, Ranked, compute
from finprint.answers.params import Search
from finprint.matching.catalogue import Catalogue
from finprint.matching.names import NOBODY, take
from finprint.matching.ranking import Gallery, Ranking, expanded, rank
from finprint.store.arrays import Selection


@dataclass(frozen=True)
class Shortlist:
    """Q queries, each with the K individuals that it might show.

    Attributes:
        shares: weights of the catalogue's members, by which the individuals were looked up.
        queries: (Q,) rows of the catalogue.
        ranking: by the nearest photo; its photos are rows of the catalogue.
        components: of the scores.
        species: (Q,) of the table, else the best individual's; "" where neither is known.
        galleries: what was searched: one, or one a species.
        together: are the photos of an encounter judged together?
    """

    shares: tuple[float, ...]
    queries: np.ndarray
    ranking: Ranking
    components: Components
    species: np.ndarray
    galleries: tuple[Gallery, ...] = ()
    together: bool = False

    def __getitem__(self, rows: np.ndarray) -> "Shortlist":
        kept = {name: getattr(self, name)[rows] for name in ("queries", "ranking", "components", "species")}
        return replace(self, **kept)


def look_up(
    catalogue: Catalogue,
    shares: Sequence[float],
    queries: np.ndarray,
    gallery: np.ndarray,
    params: Search,
    components: Collection[str] | None = None,
) -> Shortlist:
    """Look up the individuals that each query might show.

    Args:
        catalogue: photos and vectors.
        shares: weights of the members.
        queries: (Q,) and `gallery`, (G,), rows of the catalogue.
        params: the section `search`.
        components: of the scores, as for `compute`.
    """
    array, codes = catalogue.blend(shares), catalogue.codes
    species = catalogue.photos["species"].fillna("").to_numpy(str)
    galleries: list[Gallery] = []
    ranking = Ranking.empty(len(queries), params.shortlist)
    for rows, photos in _searches(species, queries, gallery, params.species == "same"):
        asked = Selection([array], queries[rows])
        vectors = expanded(Selection([array], photos), params.expand)
        stored = Gallery(vectors, codes[photos], params.index, asked, catalogue.engine)
        galleries.append(stored)
        ranked = rank(asked, stored, params.shortlist, params.neighbours, params.mean_photos)
        ranking.identities[rows], ranking.scores[rows] = ranked.identities, ranked.scores
        ranking.photos[rows], ranking.means[rows] = take(photos, ranked.photos, NOBODY), ranked.means
    best = take(species, ranking.photos[:, 0], "")
    kinds = np.where(species[queries] == "", best, species[queries])
    values = compute(Ranked(catalogue, shares, queries, gallery, ranking), params, components)
    return Shortlist(tuple(shares), queries, ranking, values, kinds, tuple(galleries))


def _searches(
    species: np.ndarray, queries: np.ndarray, gallery: np.ndarray, same: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(numbers of queries, gallery rows to search them in), by species if `same`; "" goes with every species."""
    if not same:
        yield np.arange(len(queries)), gallery
        return
    asked = species[queries]
    for name in np.unique(asked):
        alike = (species[gallery] == name) | (species[gallery] == "") | (name == "")
        yield np.flatnonzero(asked == name), gallery[alike]
