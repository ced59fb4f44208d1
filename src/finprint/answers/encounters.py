"""Photos of one encounter judged together, where an encounter shows one animal."""

from dataclasses import replace

import numpy as np

from finprint.answers.components import Components
from finprint.answers.shortlist import Shortlist
from finprint.matching.catalogue import Catalogue
from finprint.matching.names import NOBODY
from finprint.store.decisions import FURTHER

OWN = 0.5  # the weight of a photo's own scores; the other photos of its encounter share the rest


def judged_together(listed: Shortlist, catalogue: Catalogue) -> Shortlist:
    """The shortlist with each photo's components averaged with those of the other photos of its encounter.

    A photo keeps its individuals. A photo that has no other of its encounter among the queries keeps its components.

    Args:
        listed: of queries from `catalogue`.
        catalogue: its table tells the encounters, or has no such column.
    """
    components = listed.components
    values = components.values.astype(float)
    for rows in _encounters(catalogue, listed.queries):
        values[rows] = _averaged(listed.ranking.identities[rows], components.values[rows].astype(float))
    pooled = Components(components.names, values.astype(np.float32))
    return replace(listed, components=pooled, together=True)


def _encounters(catalogue: Catalogue, queries: np.ndarray) -> list[np.ndarray]:
    """The numbers of the queries of each encounter that has several, but for one with several animals in a photo."""
    if "encounter" not in catalogue.photos:
        return []
    rows = catalogue.photos[["image", "encounter"]].iloc[queries].reset_index(drop=True)
    further = rows["image"].str.contains(FURTHER)
    told = rows["encounter"].dropna()
    told = told[~told.isin(rows.loc[further, "encounter"])]
    return [alike.index.to_numpy() for _, alike in told.groupby(told) if len(alike) > 1]


def _averaged(identities: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(N, K, F) components of the N photos of an encounter, each averaged with the others'.

    Args:
        identities: (N, K) codes; an individual that one photo does not list counts there with the photo's least value,
            which it cannot exceed by much.
        values: (N, K, F) components; NaN where one is missing, which does not count.
    """
    listed = identities != NOBODY
    everyone = np.unique(identities[listed])
    photos, places = np.nonzero(listed)
    columns = np.searchsorted(everyone, identities[listed])
    least = np.where(listed[..., None] & np.isfinite(values), values, np.inf).min(axis=1, keepdims=True)  # (N, 1, F)
    full = np.broadcast_to(least, (len(values), len(everyone), values.shape[2])).copy()
    full[np.isinf(full)] = np.nan
    full[photos, columns] = values[photos, places]
    told = np.isfinite(full)
    own = np.where(told, full, 0)
    others = told.sum(axis=0) - told
    mean = np.divide(own.sum(axis=0) - own, others, out=np.full_like(own, np.nan), where=others > 0)
    both = np.where(told, np.where(others > 0, OWN * own + (1 - OWN) * mean, own), mean)
    averaged = values.copy()
    averaged[photos, places] = both[photos, columns]
    return averaged
