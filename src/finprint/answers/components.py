"""What a score is made of: each component is one class, which says how it is computed and how a gap is filled in.

A new component is one class here, listed in `COMPONENTS`.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from finprint.answers.params import Search
from finprint.answers.species import chances
from finprint.matching.catalogue import Catalogue
from finprint.matching.names import NOBODY, take
from finprint.matching.ranking import Ranking, softmax
from finprint.store.arrays import BLOCK as ROWS
from finprint.store.arrays import Array
from finprint.store.vectors import Vectors

BLOCK = 1024  # queries at a time, which bounds the memory
LEAST = 10  # values that a plane is fitted to

Values = Mapping[str, np.ndarray]  # components of the same shape, by name


@dataclass(frozen=True)
class Ranked:
    """Q queries, each with the K individuals that it might show: what components are computed from.

    Attributes:
        catalogue: its members' vectors made the ranking.
        shares: weights of the members.
        queries: (Q,) and `gallery`, (G,), rows of the catalogue.
        ranking: by the nearest photo.
    """

    catalogue: Catalogue
    shares: Sequence[float]
    queries: np.ndarray
    gallery: np.ndarray
    ranking: Ranking


class Component(ABC):
    """One ingredient of a score: the higher, the likelier is the individual."""

    name: ClassVar[str]

    @abstractmethod
    def compute(self, ranked: Ranked) -> np.ndarray:
        """(Q, K); NaN where it is missing. What it says at NOBODY does not count."""

    def wanted(self, catalogue: Catalogue, params: Search) -> bool:
        """Do these params ask for it, and has the catalogue what it is computed from?"""
        return True

    def fit_fill(self, values: Values) -> list[float]:
        """What `fill` needs to know, learned from the values of all components, -inf and NaN among them."""
        return []

    def fill(self, values: Values, fitted: list[float]) -> np.ndarray:
        """The values of this component, the missing ones filled in by means of the other components."""
        return values[self.name]


class Nearest(Component):
    """The cosine to the individual's nearest photo. It is never missing."""

    name = "nearest"

    def compute(self, ranked: Ranked) -> np.ndarray:
        return ranked.ranking.scores


class Mean(Component):
    """The mean cosine to the individual's nearest few photos, `search.mean_photos` of them. It is never missing."""

    name = "mean"

    def compute(self, ranked: Ranked) -> np.ndarray:
        return ranked.ranking.means


class Sparse(Component):
    """A component that is often missing. A plane through `nearest` and `mean` stands in there (least squares).

    Attributes:
        too_few: constant and slopes that stand in where fewer than `LEAST` values are there to fit a plane to.
    """

    too_few: ClassVar[tuple[float, float, float]] = (0.0, 1.0, 0.0)

    def fit_fill(self, values: Values) -> list[float]:
        there = np.isfinite(values[self.name]) & np.isfinite(values[Nearest.name])
        if there.sum() < LEAST:
            return list(self.too_few)
        nearest, mean, own = (values[name][there].astype(float) for name in (Nearest.name, Mean.name, self.name))
        design = np.column_stack([np.ones(len(own)), nearest, mean])
        plane: list[float] = np.linalg.lstsq(design, own, rcond=None)[0].tolist()
        return plane

    def fill(self, values: Values, fitted: list[float]) -> np.ndarray:
        both = np.stack([values[Nearest.name], values[Mean.name]], axis=-1)
        own = values[self.name]
        return np.where(np.isnan(own), fitted[0] + both @ np.array(fitted[1:]), own)


class Classifier(Sparse):
    """The cosine to the nearest of the individual's sub-centres in the classifier that the model was trained with.

    It is the mean over the members that know the individual, by their shares: a member that left a fold out may not
    know it. It is missing where no member does.
    """

    name = "classifier"

    def compute(self, ranked: Ranked) -> np.ndarray:
        identities = ranked.ranking.identities
        total, told = np.zeros((2, *identities.shape), np.float32)
        for share, member in zip(ranked.shares, ranked.catalogue.members, strict=True):
            if share:
                cosines = _cosines_to_centres(ranked, member)
                total += np.float32(share) * np.nan_to_num(cosines)
                told += np.float32(share) * np.isfinite(cosines)
        return np.divide(total, told, out=np.full_like(total, np.nan), where=told > 0)


class Local(Sparse):
    """What the second look says, a column of `Catalogue.local_scores`; nobody is better for not having been looked at.

    Attributes:
        unit: what the column is divided by, which brings it to the order of the cosines.
    """

    unit: ClassVar[float]
    too_few = (0.0, 0.0, 0.0)

    def wanted(self, catalogue: Catalogue, params: Search) -> bool:
        return catalogue.local_scores is not None and bool(catalogue.local_scores[self.name].notna().any())

    def compute(self, ranked: Ranked) -> np.ndarray:
        catalogue, identities = ranked.catalogue, ranked.ranking.identities
        if catalogue.local_scores is None:
            return np.full(identities.shape, np.nan)
        asked = catalogue.photos["image"].to_numpy(object)[ranked.queries][:, None]
        pairs = np.broadcast_to(asked, identities.shape).ravel(), catalogue.names.of(identities).ravel()
        values = catalogue.local_scores[self.name].reindex(pd.MultiIndex.from_arrays(pairs)).to_numpy(float)
        return values.reshape(identities.shape) / self.unit


class Keypoints(Local):
    """How well local features match those of the individual's best photo.

    It is the best pair's score and not its logarithm, because each further inlier says as much as the one before. Only
    a few individuals of each query are matched. For the others it is missing, and counts as such cosines usually do.
    """

    name = "keypoints"
    unit = 100


class Descriptors(Local):
    """How well the descriptors of local features agree with those of the individual's best photos.

    It is missing where no photo of the individual was compared. Only the nearest `match.compared` photos of the query's
    side are.
    """

    name = "descriptors"
    unit = 10


class SameSide(Sparse):
    """The cosine to the individual's nearest photo of the query's viewpoint: the two flanks are two pictures.

    It is missing where the query's viewpoint is not told, or the individual has no photo of it.
    """

    name = "same_side"

    def wanted(self, catalogue: Catalogue, params: Search) -> bool:
        return "viewpoint" in catalogue.photos and bool(catalogue.photos["viewpoint"].notna().any())

    def compute(self, ranked: Ranked) -> np.ndarray:
        viewpoints = ranked.catalogue.photos["viewpoint"].fillna("").to_numpy(str)
        array, codes = ranked.catalogue.blend(ranked.shares), ranked.catalogue.codes
        cosines = np.full(ranked.ranking.identities.shape, np.nan, np.float32)
        for side in np.unique(viewpoints[ranked.queries]):
            own = ranked.gallery[viewpoints[ranked.gallery] == side]
            if side == "" or not len(own):
                continue
            own = own[np.argsort(codes[own], kind="stable")]
            asked = np.flatnonzero(viewpoints[ranked.queries] == side)
            for start in range(0, len(own), ROWS):
                self._raise(cosines, asked, own[start : start + ROWS], ranked, array)
        return cosines

    @staticmethod
    def _raise(cosines: np.ndarray, asked: np.ndarray, own: np.ndarray, ranked: Ranked, array: Array) -> None:
        """Raise `cosines`, in place, to those of some photos.

        Args:
            cosines: (Q, K), NaN where there was no photo yet.
            asked: queries of one viewpoint, and `own`, catalogue rows of gallery photos of it, sorted by individual.
        """
        individuals, starts = np.unique(ranked.catalogue.codes[own], return_index=True)
        place = np.full(len(ranked.catalogue.names), NOBODY)
        place[individuals] = np.arange(len(individuals))
        stored = array[own]
        for start in range(0, len(asked), BLOCK):
            block = asked[start : start + BLOCK]
            best = np.maximum.reduceat(array[ranked.queries[block]] @ stored.T, starts, axis=1)
            places = take(place, ranked.ranking.identities[block], NOBODY)
            nearest = np.take_along_axis(best, np.maximum(places, 0), 1)
            cosines[block] = np.fmax(cosines[block], np.where(places >= 0, nearest, np.nan))


class Species(Component):
    """The chance that the query is of the individual's species. It is never missing.

    1 or 0 where the table tells the species of both. Else the probability by the network of `classes.of=[species]`, and
    without such a network the share of the individual's species in a softmax over the shortlist's scores.
    """

    name = "species"
    temperature = 0.05  # of the softmax

    def wanted(self, catalogue: Catalogue, params: Search) -> bool:
        return params.species == "prior"

    def compute(self, ranked: Ranked) -> np.ndarray:
        photos, names = ranked.catalogue.photos, ranked.catalogue.names
        labelled = photos[photos["code"] >= 0]
        most_often = labelled.groupby("code")["species"].agg(lambda kinds: kinds.mode().get(0, ""))
        kinds = most_often.reindex(range(len(names))).fillna("").to_numpy(str)
        theirs = take(kinds, ranked.ranking.identities, "")  # (Q, K)
        told = photos["species"].fillna("").to_numpy(str)[ranked.queries][:, None]  # (Q, 1)
        mass = softmax(ranked.ranking, self.temperature)
        predicted = np.zeros(theirs.shape)
        for kind in np.unique(kinds):
            of_kind = theirs == kind
            predicted += of_kind * (mass * of_kind).sum(axis=1, keepdims=True)
        by_network = chances(photos.iloc[ranked.queries], theirs)
        predicted = np.where(np.isfinite(by_network), by_network, predicted)
        return np.where(told == "", predicted, (theirs == told) | (theirs == ""))


COMPONENTS: dict[str, Component] = {
    one.name: one for one in (Nearest(), Mean(), Classifier(), Keypoints(), Descriptors(), SameSide(), Species())
}


@dataclass(frozen=True)
class Components:
    """The components of the scores of Q queries, each with K individuals.

    Attributes:
        names: (F,) of `COMPONENTS`.
        values: (Q, K, F) float32; -inf at NOBODY, NaN where a component is missing.
    """

    names: tuple[str, ...]
    values: np.ndarray

    def __getitem__(self, queries: np.ndarray) -> "Components":
        return Components(self.names, self.values[queries])

    def fit_fills(self) -> dict[str, list[float]]:
        """What each component's `fill` needs to know, by name, learned from these values."""
        values = dict(zip(self.names, np.moveaxis(self.values, 2, 0), strict=True))
        return {name: COMPONENTS[name].fit_fill(values) for name in self.names}

    def filled(self, fills: Mapping[str, list[float]]) -> np.ndarray:
        """(Q, K, F) float64 without missing values, and 0 at NOBODY."""
        values = np.where(np.isneginf(self.values), 0, self.values).astype(float)
        by_name = dict(zip(self.names, np.moveaxis(values, 2, 0), strict=True))
        return np.stack([COMPONENTS[name].fill(by_name, fills[name]) for name in self.names], axis=2)


def compute(ranked: Ranked, params: Search, names: Collection[str] | None = None) -> Components:
    """The components of every ranked individual.

    Args:
        ranked: the queries and their individuals.
        params: the section `search`.
        names: of the components; None: those that the params ask for and the catalogue has the data of.
    """
    nobody = ranked.ranking.identities == NOBODY
    catalogue = ranked.catalogue
    asked = [
        one for name, one in COMPONENTS.items() if (one.wanted(catalogue, params) if names is None else name in names)
    ]
    values = [np.where(nobody, -np.inf, one.compute(ranked)) for one in asked]
    return Components(tuple(one.name for one in asked), np.stack(values, axis=2).astype(np.float32))


def _cosines_to_centres(ranked: Ranked, member: Vectors) -> np.ndarray:
    """(Q, K) cosines of the queries to the nearest sub-centre, without margins; NaN where the member has none."""
    identities = ranked.ranking.identities
    row = {name: place for place, name in enumerate(member.classes)}
    places = np.array([row.get(name, NOBODY) for name in ranked.catalogue.names.individuals], int)
    rows = take(places, identities, NOBODY)  # (Q, K)
    cosines = np.full(identities.shape, np.nan, np.float32)
    if not len(member.classes):
        return cosines
    for start in range(0, len(ranked.queries), BLOCK):
        block = slice(start, start + BLOCK)
        centres = member.centres[rows[block]]  # (B, K, S, D)
        each = np.einsum("bksd,bd->bks", centres, member.array[ranked.queries[block]], optimize=True)
        cosines[block] = np.where(rows[block] >= 0, each.max(axis=2), np.nan)
    return cosines
