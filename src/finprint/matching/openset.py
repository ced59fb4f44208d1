"""Known or new: the score below which an animal is called new, and the place of `new_individual` among the answers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from finprint.matching.metrics import hit_places
from finprint.matching.names import NOBODY, UNKNOWN
from finprint.matching.ranking import ANSWERS, Ranking

BAGS = 50  # bootstrap samples of a fitted threshold


@dataclass(frozen=True)
class Threshold:
    """A threshold for new individuals, and the curve it was chosen from.

    Attributes:
        value: an individual scoring less stands behind `new_individual`.
        curve: (T, 2) columns threshold and MAP@5 on validation, thresholds ascending.
        interval: the 95 % interval of a fitted value; None where there is none.
    """

    value: float
    curve: np.ndarray
    interval: tuple[float, float] | None = None

    def table(self) -> pd.DataFrame:
        """The curve as a plot needs it: a table (threshold, map5) of six places, and of about 500 rows at most."""
        table = pd.DataFrame(self.curve, columns=["threshold", "map5"])
        return table.iloc[:: max(1, len(table) // 500)].round(6)


@dataclass(frozen=True)
class Checked:
    """Q queries whose true individuals are known, ranked in a gallery.

    Attributes:
        ranking: at least 5 places.
        truth: (Q,) codes; UNKNOWN for an individual who is not in the gallery.
        new: (Q,) bool, the individual is not in the gallery.
        weights: (Q,) how much each counts.
    """

    ranking: Ranking
    truth: np.ndarray
    new: np.ndarray
    weights: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> "Checked":
        return Checked(self.ranking[rows], self.truth[rows], self.new[rows], self.weights[rows])

    @property
    def both(self) -> bool:
        """Are there both known and new animals? Only then can a threshold be fitted."""
        return bool(self.new.any() and not self.new.all())

    @property
    def place(self) -> np.ndarray:
        """(Q,) the place, 0 to K - 1, at which the true individual stands; K where it does not."""
        return hit_places(self.ranking.identities, self.truth)


def share_weights(new: np.ndarray, share: float | None) -> np.ndarray:
    """(Q,) weights by which `share` of the queries are new; all 1 where `share` is None or one kind is missing."""
    seen = new.mean() if len(new) else 0.0
    if share is None or not 0 < seen < 1:
        return np.ones(len(new))
    return np.where(new, share / seen, (1 - share) / (1 - seen))


def best_map5(checked: Checked) -> Threshold:
    """The threshold of the best MAP@5. It is exact, because every threshold that changes an answer is tried.

    As the threshold rises past a score, `new_individual` moves ahead of that answer: a known animal at
    that place falls from 1/r to 1/(r + 1), a new one climbs. So MAP@5 is a sum of steps, which one sort of the scores
    gives. Among equally good thresholds the middle of the widest stretch is taken.

    Raises:
        ValueError: there are no queries.
    """
    if not len(checked.truth):
        raise ValueError("a threshold needs validation queries")
    gains = np.append(1 / np.arange(1, ANSWERS + 1), 0.0)  # what each place is worth; the last: not among the five
    place, new, weights = checked.place, checked.new, checked.weights
    known = ~new & (place < ANSWERS)
    start = (weights[known] * gains[place[known]]).sum()  # with new_individual behind all: only known animals count
    scores = checked.ranking.scores[:, :ANSWERS].astype(float)
    start += (weights[new] * gains[np.isfinite(scores[new]).sum(axis=1)]).sum()  # fewer than five: new is still named
    # What passing each score changes.
    falls = weights[known] * (gains[place[known] + 1] - gains[place[known]])
    climbs = weights[new, None] * (gains[:-1] - gains[1:])
    steps = np.concatenate([falls, climbs.ravel()])
    at = np.concatenate([scores[known, place[known]], scores[new].ravel()])
    real = np.isfinite(at)
    order = np.argsort(at[real], kind="stable")
    levels, first = np.unique(at[real][order], return_index=True)
    if not len(levels):
        return Threshold(0.0, np.array([[0.0, start / weights.sum()]]))
    jumps = np.add.reduceat(steps[real][order], first)
    worth = (start + np.concatenate([[0.0], np.cumsum(jumps)])) / weights.sum()  # (L + 1,)
    # Past the cosines' range where a score reaches it, so that every stretch has a middle.
    edges = np.concatenate([[min(-1.0, levels[0] - 1e-6)], levels, [max(1.0, levels[-1] + 1e-6)]])
    best = np.isclose(worth, worth.max(), rtol=0, atol=1e-12)
    chosen = int(np.where(best, np.diff(edges), 0.0).argmax())
    value = float((edges[chosen] + edges[chosen + 1]) / 2)
    return Threshold(value, np.column_stack([(edges[:-1] + edges[1:]) / 2, worth]))


def bagged_map5(checked: Checked) -> float:
    """The mean of the best thresholds of bootstrap samples (bagging, Breiman 1996).

    MAP@5 by threshold is a jagged curve with a flat top, and its very best place is an accident of the
    sample. The mean loses half as much on other queries (bench/threshold.py). Known and new queries are
    drawn separately, so that every sample has both.
    """
    rng = np.random.default_rng(0)
    kinds = [rows for rows in (np.flatnonzero(checked.new), np.flatnonzero(~checked.new)) if len(rows)]
    samples = [np.concatenate([rng.choice(rows, len(rows)) for rows in kinds]) for _ in range(BAGS)]
    return float(np.mean([best_map5(checked[rows]).value for rows in samples]))


def best_answers(checked: Checked) -> tuple[np.ndarray, np.ndarray]:
    """(Q,) the place of the right answer, 5 where it is not among the five, and (Q,) whether `new_individual`
    comes first, at the threshold of the best MAP@5."""
    thresholds = np.full(len(checked.truth), best_map5(checked).value)
    codes = with_new(checked.ranking, thresholds).codes
    return hit_places(codes, checked.truth), codes[:, 0] == UNKNOWN


def called_new(best: np.ndarray, share: float, weights: np.ndarray) -> float:
    """The highest threshold that calls at most `share` of the queries new, which are those of a lower best score.

    Args:
        best: (Q,) score of the best known individual.
        share: 0 to 1.
        weights: (Q,).
    """
    order = np.argsort(best, kind="stable")
    below = np.cumsum(weights[order])
    first = int(np.searchsorted(below, share * weights.sum() * (1 + 1e-12), side="right"))  # the first to stay known
    # A tie stands or falls together: at a threshold of just its score all of it stays known.
    return float(best[order][first]) if first < len(best) else float(best.max()) + 1e-6


def precise_new(checked: Checked, precision: float) -> float:
    """The highest threshold below which at least `precision` of the queries are new; where there is no such threshold,
    the lowest score, with which no query is called new."""
    best = checked.ranking.best.astype(float)
    levels, level = np.unique(best, return_inverse=True)
    called = np.cumsum(np.bincount(level, checked.weights))
    right = np.cumsum(np.bincount(level, checked.weights * checked.new))
    serving = np.flatnonzero(right >= precision * called * (1 - 1e-12))
    if not len(serving):
        return float(levels[0])
    return float((levels[serving[-1]] + (np.append(levels, levels[-1] + 2e-6)[serving[-1] + 1])) / 2)


TARGETS: dict[str, Callable[[Checked, float], float]] = {
    "map5": lambda checked, _: bagged_map5(checked),
    "new_share": lambda checked, share: called_new(checked.ranking.best.astype(float), share, checked.weights),
    "known_called_new": lambda checked, most: called_new(
        checked.ranking.best[~checked.new].astype(float), most, checked.weights[~checked.new]
    ),
    "new_precision": precise_new,
}


def species_thresholds(
    checked: Checked, species: np.ndarray, target: str, value: float, overall: float, shrinkage: float
) -> dict[str, float]:
    """A threshold for each species, drawn towards the overall one where there is little evidence.

    A species' evidence is the smaller of its numbers of known and of new queries, because a threshold needs both.
    Its own threshold has the weight evidence / (evidence + shrinkage).

    Args:
        species: (Q,) names.
        target: of `TARGETS`, with its `value`.
        overall: threshold of all species.
        shrinkage: how many queries of evidence weigh as much as all the other species.
    """
    thresholds = {}
    for name in np.unique(species.astype(str)):
        own = checked[species == name]
        evidence = min(int(own.new.sum()), int((~own.new).sum()))
        if evidence:
            share = evidence / (evidence + shrinkage)
            thresholds[name] = share * TARGETS[target](own, value) + (1 - share) * overall
    return thresholds


@dataclass(frozen=True)
class FiveAnswers:
    """The five answers to each of Q queries, `new_individual` among them.

    Attributes:
        codes: (Q, 5); UNKNOWN where the answer is `new_individual`. Where fewer than four individuals are known, the
            last places hold NOBODY.
        scores: (Q, 5); of `new_individual` the threshold, -inf at NOBODY.
        photos: (Q, 5) gallery rows; NOBODY where there is none, as for `new_individual`.
        places: (Q, 5) places in the ranking; NOBODY for `new_individual`.
    """

    codes: np.ndarray
    scores: np.ndarray
    photos: np.ndarray
    places: np.ndarray


def with_new(ranking: Ranking, thresholds: np.ndarray, ahead: np.ndarray | None = None) -> FiveAnswers:
    """Put `new_individual` into each query's answers, ahead of all who score less than its threshold.

    Args:
        ranking: of Q queries, at least 5 places.
        thresholds: (Q,).
        ahead: (Q,) how many individuals stand before `new_individual`, if something else than the threshold decides;
            its score is then the threshold, or as near to it as the order allows.
    """
    scores = ranking.scores[:, :ANSWERS].astype(float)  # a threshold between float32 neighbours is neither of them
    if ahead is None:
        ahead = (scores >= thresholds[:, None]).sum(axis=1)
    walled = np.column_stack([np.full(len(scores), np.inf), scores, np.full(len(scores), -np.inf)])
    above, below = (np.take_along_axis(walled, (ahead + k)[:, None], 1)[:, 0] for k in (0, 1))
    thresholds = np.clip(thresholds, below, above)
    ahead = ahead[:, None]  # (Q, 1), the place of new_individual
    answers = np.arange(ANSWERS)[None]  # (1, 5)
    source = np.where(answers <= ahead, answers, answers - 1)

    def moved(values: np.ndarray, of_new: int | np.ndarray) -> np.ndarray:
        return np.where(answers == ahead, of_new, np.take_along_axis(values[:, :ANSWERS], source, 1))

    return FiveAnswers(
        moved(ranking.identities, UNKNOWN),
        moved(scores, thresholds[:, None]),
        moved(ranking.photos, NOBODY),
        moved(np.broadcast_to(np.arange(ranking.scores.shape[1]), ranking.scores.shape), NOBODY),
    )


def ahead_of_new(each: np.ndarray, new: np.ndarray) -> np.ndarray:
    """(Q,) how many of the five best individuals are at least as likely as that the animal is new.

    The expected MAP@5 of an order is the sum of the chance at each place, times 1/rank. 1/rank falls, so it is greatest
    where the chances fall, too (rearrangement inequality). Individuals keep their order.

    Args:
        each: (Q, K) probabilities of the ranked individuals, falling, 0 at NOBODY; `new`: (Q,) of being new.
    """
    likelier = (each[:, :ANSWERS] >= new[:, None]) & (each[:, :ANSWERS] > 0)
    return np.cumprod(likelier, axis=1).sum(axis=1)
