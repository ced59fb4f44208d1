"""What a score is made of: each component is one class, which says how it is computed and how a gap is filled in.

A new component is one class here, listed in `COMPONENTS`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from finprint.answers.params import Search
from finprint.matching.catalogue import Catalogue
from finprint.matching.names import NOBODY, take
from finprint.matching.ranking import Ranking, softmax
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
        queries: (Q,) rows of the catalogue.
        ranking: by the nearest photo.
    """

    catalogue: Catalogue
    shares: Sequence[float]
    queries: np.ndarray
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


class Classifier(Component):
    """The cosine to the nearest of the individual's sub-centres in the classifier that the model was trained with.

    It is the mean over the members that know the individual, by their shares: a member that left a fold out may not
    know it. Where no member does, a plane through `nearest` and `mean` stands in (least squares).
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

    def fit_fill(self, values: Values) -> list[float]:
        return _fit_plane(self.name, values) or [0.0, 1.0, 0.0]

    def fill(self, values: Values, fitted: list[float]) -> np.ndarray:
        return _on_plane(self.name, values, fitted)


class Keypoints(Component):
    """The second look: how well local features match those of the individual's best photo.

    It is log(1 + sum of the match scores) / log(1 + 1000), so that it lies between 0 and 1 as the cosines do. Only a
    few individuals of each query are matched. For the others a plane through `nearest` and `mean` stands in (least
    squares): what such cosines usually come with.
    """

    name = "keypoints"

    def wanted(self, catalogue: Catalogue, params: Search) -> bool:
        return catalogue.local_scores is not None

    def compute(self, ranked: Ranked) -> np.ndarray:
        catalogue, identities = ranked.catalogue, ranked.ranking.identities
        assert catalogue.local_scores is not None
        asked = catalogue.photos["image"].to_numpy(object)[ranked.queries][:, None]
        pairs = np.broadcast_to(asked, identities.shape).ravel(), catalogue.names.of(identities).ravel()
        sums = catalogue.local_scores.reindex(pd.MultiIndex.from_arrays(pairs)).to_numpy(float)
        return (np.log1p(sums) / np.log1p(1000)).reshape(identities.shape)

    def fit_fill(self, values: Values) -> list[float]:
        return _fit_plane(self.name, values) or [0.0, 0.0, 0.0]

    def fill(self, values: Values, fitted: list[float]) -> np.ndarray:
        return _on_plane(self.name, values, fitted)


class Species(Component):
    """The chance that the query is of the individual's species. It is never missing.

    1 or 0 where the table tells the species of both. Else the share of the individual's species in a softmax over the
    shortlist's scores.
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
        return np.where(told == "", predicted, (theirs == told) | (theirs == ""))


COMPONENTS: dict[str, Component] = {one.name: one for one in (Nearest(), Mean(), Classifier(), Keypoints(), Species())}


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


def compute(ranked: Ranked, params: Search) -> Components:
    """The components that the params ask for, of every ranked individual."""
    nobody = ranked.ranking.identities == NOBODY
    asked = [one for one in COMPONENTS.values() if one.wanted(ranked.catalogue, params)]
    values = [np.where(nobody, -np.inf, one.compute(ranked)) for one in asked]
    return Components(tuple(one.name for one in asked), np.stack(values, axis=2).astype(np.float32))


def _fit_plane(name: str, values: Values) -> list[float] | None:
    """Constant and slopes of the plane through `nearest` and `mean` that is next to a component; None: too few values.

    A component may be missing where another one is there, so only its own gaps are left out.
    """
    there = np.isfinite(values[name]) & np.isfinite(values[Nearest.name])
    if there.sum() < LEAST:
        return None
    nearest, mean, own = (values[column][there].astype(float) for column in (Nearest.name, Mean.name, name))
    plane: list[float] = np.linalg.lstsq(np.column_stack([np.ones(len(own)), nearest, mean]), own, rcond=None)[
        0
    ].tolist()
    return plane


def _on_plane(name: str, values: Values, plane: list[float]) -> np.ndarray:
    """A component, its gaps filled in by a plane through `nearest` and `mean`."""
    both = np.stack([values[Nearest.name], values[Mean.name]], axis=-1)
    return np.where(np.isnan(values[name]), plane[0] + both @ np.array(plane[1:]), values[name])


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
