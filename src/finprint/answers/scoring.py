"""The score of an individual: cosines of several kinds, blended with weights that validation chose."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from finprint.matching.catalogue import Catalogue
from finprint.matching.openset import Checked
from finprint.matching.ranking import NOBODY, Ranking, softmax
from finprint.store.vectors import Vectors

# What a score is made of: the cosine to the individual's nearest photo, the mean to its nearest few, the one to
# the nearest of its sub-centres in the classifier that the model was trained with; and, if asked for, the chance
# that the query is of the individual's species.
COMPONENTS = ("nearest", "mean", "classifier", "species")
SPECIES_TEMPERATURE = 0.05  # of the softmax over a shortlist by which a species is predicted
BLOCK = 1024  # queries at a time, which bounds the memory


@dataclass(frozen=True)
class Blend:
    """How a score is blended.

    Attributes:
        weights: (F,) of the first F `COMPONENTS`, not negative, of sum 1.
        missing: (3,) constant and slopes by which `nearest` and `mean` stand in for `classifier` where the
            classifier does not know an individual.
    """

    weights: np.ndarray
    missing: np.ndarray


def nearest_alone(count: int) -> Blend:
    """The blend of `count` components that takes the nearest photo's cosine as it is."""
    return Blend(np.eye(count)[0], np.array([0.0, 1.0, 0.0]))


def components(
    ranking: Ranking, known: Catalogue, queries: np.ndarray, shares: list[float], species: bool = False
) -> np.ndarray:
    """The components of every ranked individual's score.

    Args:
        ranking: of Q queries, K places.
        queries: (Q,) rows of `known`.
        shares: weights of the members.
        species: is the last component wanted?

    Returns:
        (Q, K, F) float32; -inf where nobody stands; NaN for the classifier where no model knows the individual.
    """
    total, told = np.zeros((2, *ranking.identities.shape), np.float32)
    for share, member in zip(shares, known.members, strict=True):
        if share:
            cosines = _classifier(ranking.identities, known.names, member, queries)
            total += np.float32(share) * np.nan_to_num(cosines)
            told += np.float32(share) * np.isfinite(cosines)  # a model that left a fold out may not know an individual
    parts = [ranking.scores, ranking.means, np.divide(total, told, out=np.full_like(total, np.nan), where=told > 0)]
    if species:
        parts.append(_same_species(ranking, known, queries))
    parts[2:] = [np.where(ranking.identities == NOBODY, -np.inf, part) for part in parts[2:]]
    return np.stack(parts, axis=2).astype(np.float32)


def _same_species(ranking: Ranking, known: Catalogue, queries: np.ndarray) -> np.ndarray:
    """(Q, K) chance that each ranked individual is of the query's species: 1 or 0 where the table tells that,
    else the share of its species in a softmax over the shortlist's scores."""
    photos = known.photos[known.photos["code"] >= 0]
    often = photos.groupby("code")["species"].agg(lambda kinds: kinds.mode().get(0, ""))
    kinds = often.reindex(range(len(known.names))).fillna("").to_numpy(str)
    theirs = np.append(kinds, "")[ranking.identities]  # (Q, K), NOBODY is the last
    told = known.photos["species"].fillna("").to_numpy(str)[queries][:, None]  # (Q, 1)
    mass = softmax(ranking, SPECIES_TEMPERATURE)
    predicted = np.zeros(theirs.shape)
    for kind in np.unique(kinds):
        of_kind = theirs == kind
        predicted += of_kind * (mass * of_kind).sum(axis=1, keepdims=True)
    return np.where(told == "", predicted, (theirs == told) | (theirs == ""))


def _classifier(identities: np.ndarray, names: np.ndarray, member: Vectors, queries: np.ndarray) -> np.ndarray:
    """(Q, K) margin-free cosines of the queries to the nearest sub-centre; NaN where there is none."""
    row = {name: place for place, name in enumerate(member.classes)}
    place = np.array([row.get(name, -1) for name in names] + [-1])  # the last: NOBODY
    wanted = place[identities]  # (Q, K)
    out = np.full(identities.shape, np.nan, np.float32)
    if not len(member.classes):
        return out
    for start in range(0, len(queries), BLOCK):
        block = slice(start, start + BLOCK)
        centres = member.centres[wanted[block]]  # (B, K, S, D)
        cosines = np.einsum("bksd,bd->bks", centres, member.array[queries[block]], optimize=True).max(axis=2)
        out[block] = np.where(wanted[block] >= 0, cosines, np.nan)
    return out


def blended(ranking: Ranking, parts: np.ndarray, blend: Blend) -> Ranking:
    """Rank anew by the blended score; equal scores stay in the order they were.

    Args:
        ranking: Q queries, K places.
        parts: (Q, K, F) of `components`.
    """
    scores = np.where(ranking.identities == NOBODY, -np.inf, _filled(parts, blend.missing) @ blend.weights)
    order = np.argsort(-scores, axis=1, kind="stable")
    return Ranking(
        *(np.take_along_axis(values, order, 1) for values in (ranking.identities, scores.astype(np.float32))),
        *(np.take_along_axis(values, order, 1) for values in (ranking.photos, ranking.means)),
    )


def _filled(parts: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """The components with what is missing of the classifier filled in, and 0 where nobody stands."""
    parts = np.where(np.isneginf(parts), 0, parts).astype(float)
    guess = missing[0] + parts[..., :2] @ missing[1:]
    parts[..., 2] = np.where(np.isnan(parts[..., 2]), guess, parts[..., 2])
    return parts


def fit_blend(checked: Checked, parts: np.ndarray) -> tuple[Blend, float]:
    """The weights under which the right answers were likeliest: a conditional logit (McFadden 1974).

    Of each query one of K individuals is right, or none is; the chances are a softmax over the weighted
    components, and a constant for "none". Weights are not negative, so that a score never falls as a
    cosine rises.

    Args:
        checked: Q queries, with their ranking by the nearest photo.
        parts: (Q, K, F) of `components`.

    Returns:
        The blend, and its log loss (mean over the queries, nats), to compare other choices by.
    """
    present = checked.ranking.identities != NOBODY
    missing = _substitute(parts[present])
    filled = _filled(parts, missing)
    hits = checked.ranking.identities == checked.truth[:, None]  # (Q, K)
    use = checked.new | hits.any(axis=1)  # who stands behind the K places teaches nothing
    filled, hits, present, weights = filled[use], hits[use], present[use], checked.weights[use]
    count = filled.shape[2]
    if not len(filled):
        return nearest_alone(count), 0.0

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        logits = np.where(present, filled @ theta[:-1], -np.inf)  # (Q, K)
        logits = np.column_stack([logits, np.full(len(logits), theta[-1])])
        logits -= logits.max(axis=1, keepdims=True)
        chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        true = np.column_stack([hits, ~hits.any(axis=1)])
        share = weights / weights.sum()
        value = -(share * np.log(np.maximum((chances * true).sum(axis=1), 1e-12))).sum()
        error = (chances - true) * share[:, None]  # (Q, K + 1)
        return float(value), np.append(np.einsum("qk,qkf->f", error[:, :-1], filled), error[:, -1].sum())

    start = np.append(np.full(count, 5.0), 7.0)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, 300)] * count + [(None, None)])
    weights_found = found.x[:-1]
    if weights_found.sum() <= 0:
        return nearest_alone(count), float(found.fun)
    return Blend(weights_found / weights_found.sum(), missing), float(found.fun)


def _substitute(parts: np.ndarray) -> np.ndarray:
    """(3,) least-squares constant and slopes of the classifier's cosine on `nearest` and `mean`; (M, F) given."""
    parts = parts[np.isfinite(parts).all(axis=1)].astype(float)
    if len(parts) < 10:
        return nearest_alone(3).missing
    design = np.column_stack([np.ones(len(parts)), parts[:, :2]])
    return np.linalg.lstsq(design, parts[:, 2], rcond=None)[0]
