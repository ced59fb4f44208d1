"""Known or new: where `new_individual` stands among a query's answers, and the score below which it leads."""

from dataclasses import dataclass

import numpy as np

from finprint.ranking import ANSWERS, Ranking


@dataclass(frozen=True)
class Threshold:
    """A threshold for new individuals, and the curve it was chosen from.

    Attributes:
        value: cosine; an individual scoring less stands behind `new_individual`.
        curve: (T, 2) columns threshold and MAP@5 on validation, thresholds ascending.
    """

    value: float
    curve: np.ndarray


def true_place(ranking: Ranking, truth: np.ndarray) -> np.ndarray:
    """The place, 0 to K - 1, at which each query's true individual stands; K where it does not.

    Args:
        truth: (Q,) codes; an individual who is not in the gallery has a code that no row holds.
    """
    hits = ranking.identities == truth[:, None]  # (Q, K)
    return np.where(hits.any(axis=1), hits.argmax(axis=1), ranking.identities.shape[1])


def fit_threshold(ranking: Ranking, truth: np.ndarray, new: np.ndarray) -> Threshold:
    """The threshold of the best MAP@5, exactly, over all that tell two rankings apart.

    As the threshold rises past a score, `new_individual` moves ahead of that answer: a known animal at
    that place falls from 1/r to 1/(r + 1), a new one climbs. MAP@5 is thus a sum of steps, found by one
    sort of the scores. Among equally good thresholds the middle of the widest stretch is taken.

    Args:
        ranking: of Q validation queries, at least 5 places.
        truth: (Q,) codes, see `true_place`.
        new: (Q,) bool, the individual is not in the gallery.

    Raises:
        ValueError: there are no queries.
    """
    if not len(truth):
        raise ValueError("a threshold needs validation queries")
    gains = np.append(1 / np.arange(1, ANSWERS + 1), 0.0)  # worth of each place, the last: not among the five
    place = true_place(ranking, truth)
    known = ~new & (place < ANSWERS)
    start = gains[place[known]].sum()  # with new_individual behind all: only known animals count
    scores = ranking.scores[:, :ANSWERS].astype(float)
    start += gains[np.isfinite(scores[new]).sum(axis=1)].sum()  # fewer than five known: new is still named
    # What passing each score changes.
    steps = np.concatenate(
        [gains[place[known] + 1] - gains[place[known]], np.tile(gains[:-1] - gains[1:], int(new.sum()))]
    )
    at = np.concatenate([scores[known, place[known]], scores[new].ravel()])
    real = np.isfinite(at)
    order = np.argsort(at[real], kind="stable")
    levels, first = np.unique(at[real][order], return_index=True)
    if not len(levels):
        return Threshold(0.0, np.array([[0.0, start / len(truth)]]))
    jumps = np.add.reduceat(steps[real][order], first)
    worth = (start + np.concatenate([[0.0], np.cumsum(jumps)])) / len(truth)  # (L + 1,)
    # Past the cosines' range where a score reaches it, so that every stretch has a middle.
    edges = np.concatenate([[min(-1.0, levels[0] - 1e-6)], levels, [max(1.0, levels[-1] + 1e-6)]])
    best = np.isclose(worth, worth.max(), rtol=0, atol=1e-12)
    chosen = int(np.where(best, np.diff(edges), 0.0).argmax())
    value = float((edges[chosen] + edges[chosen + 1]) / 2)
    return Threshold(value, np.column_stack([(edges[:-1] + edges[1:]) / 2, worth]))


def with_new(ranking: Ranking, threshold: float, new_code: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Put `new_individual` into each query's answers, ahead of all who score less than the threshold.

    Args:
        ranking: of Q queries, at least 5 places.
        new_code: the code that stands for `new_individual`.

    Returns:
        (Q, 5) codes, scores and gallery rows; where fewer than four individuals are known, the last
        places hold NOBODY. The score of `new_individual` is the threshold, its photo NOBODY.
    """
    scores = ranking.scores[:, :ANSWERS].astype(float)  # a threshold between float32 neighbours is neither
    ahead = (scores >= threshold).sum(axis=1)[:, None]  # (Q, 1), the place of new_individual
    places = np.arange(ANSWERS)[None]  # (1, 5)
    source = np.where(places <= ahead, places, places - 1)
    out = []
    for values, new in ((ranking.identities, new_code), (scores, threshold), (ranking.photos, -1)):
        moved = np.take_along_axis(values[:, :ANSWERS], source, 1)
        out.append(np.where(places == ahead, new, moved))
    return out[0], out[1], out[2]
