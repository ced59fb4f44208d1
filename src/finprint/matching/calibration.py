"""Probabilities: how likely an animal is new, and how likely each individual is the right one."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from finprint.matching.openset import Checked
from finprint.matching.ranking import NOBODY, Ranking, softmax

FOLDS = 5  # of the validation queries, by animal
METHODS = ("logistic", "isotonic")


class Curve(Protocol):
    """A fitted curve from a number to a probability."""

    def predict(self, values: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class Logistic:
    """1 / (1 + exp(-(slope x + constant))), Platt's scaling."""

    slope: float
    constant: float

    def predict(self, values: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-np.clip(self.slope * values + self.constant, -30, 30)))


@dataclass(frozen=True)
class Calibration:
    """Curves from scores to probabilities.

    P(new) comes from the distance between the best known individual's score and the query's threshold. What
    is left is shared among the individuals by a softmax of their scores, corrected by a curve.

    Attributes:
        new: curve from the distance to P(new).
        new_method: `logistic` or `isotonic`.
        temperature: of the softmax, in units of the score.
        known: curve from the softmax's share to P(right, if the animal is known).
        known_method: `logistic` (the softmax's share, times the chance that the animal is among those ranked)
            or `isotonic`.
        log_loss: mean over the validation queries, nats, each predicted by curves fitted without its animal.
    """

    new: Curve
    new_method: str
    temperature: float
    known: Curve
    known_method: str
    log_loss: float

    def probabilities(self, ranking: Ranking, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(Q, K) probabilities of the ranked individuals, and (Q,) of being new; a row's sum is at most 1."""
        if not len(ranking):
            return np.zeros(ranking.scores.shape), np.zeros(0)
        new = np.clip(self.new.predict(_distance(ranking, thresholds)), 0, 1)
        known = np.clip(self.known.predict(softmax(ranking, self.temperature).ravel()), 0, 1)
        known = np.where(ranking.identities == NOBODY, 0, known.reshape(ranking.scores.shape))
        known /= np.maximum(known.sum(axis=1, keepdims=True), 1)
        return known * (1 - new[:, None]), new


def calibrate(checked: Checked, thresholds: np.ndarray, animals: np.ndarray) -> Calibration | None:
    """Fit the curves on validation; the kind of each by cross-validated log loss.

    Args:
        checked: Q queries with their ranking.
        thresholds: (Q,) of each query.
        animals: (Q,) int, equal for photos of one animal, whose photos are never fitted and tested at once.

    Returns:
        None where there are no known or no new queries.
    """
    if not checked.both:
        return None
    fold = animal_folds(animals)
    distance = _distance(checked.ranking, thresholds)
    new, new_method, new_loss = _chosen(distance, checked.new, checked.weights, fold)

    among = ~checked.new
    if not (checked.place[among] < checked.ranking.scores.shape[1]).any():  # nobody was found: no softmax helps
        return None
    temperature = _temperature(checked)
    shares = softmax(checked.ranking, temperature)[among]
    right = (checked.ranking.identities == checked.truth[:, None])[among]
    spread = np.repeat(fold[among], shares.shape[1]), np.repeat(checked.weights[among], shares.shape[1])
    known, known_method, known_loss = _chosen(shares.ravel(), right.ravel(), spread[1], spread[0], among_known=True)
    known_share = checked.weights[among].sum() / checked.weights.sum()
    return Calibration(
        new, new_method, temperature, known, known_method, new_loss + known_share * known_loss * shares.shape[1]
    )


def animal_folds(animals: np.ndarray) -> np.ndarray:
    """(Q,) the number of a fold for each query, the same for all photos of one animal; of (Q,) codes."""
    number = pd.factorize(animals)[0]
    return np.random.default_rng(0).permutation(number.max() + 1)[number] % FOLDS


def _distance(ranking: Ranking, thresholds: np.ndarray) -> np.ndarray:
    """(Q,) best score above the threshold; -2, as far below as cosines can be, where nobody is known."""
    return np.where(np.isfinite(ranking.best), ranking.best.astype(float) - thresholds, -2.0)


def _temperature(checked: Checked) -> float:
    """The softmax's temperature of the least log loss, over the known queries whose individual is ranked."""
    found = checked.place < checked.ranking.scores.shape[1]
    ranking, place, weights = checked.ranking[found], checked.place[found], checked.weights[found]

    def loss(log_temperature: float) -> float:
        chance = softmax(ranking, float(np.exp(log_temperature)))[np.arange(len(place)), place]
        return float(-(weights * np.log(np.maximum(chance, 1e-12))).sum())

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(1e-3), np.log(1.0)), method="bounded").x))


class _Scaled:
    """A share times a factor: the chance that the true individual is among those ranked."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def predict(self, values: np.ndarray) -> np.ndarray:
        return self.factor * values


def _chosen(
    values: np.ndarray, hits: np.ndarray, weights: np.ndarray, fold: np.ndarray, among_known: bool = False
) -> tuple[Curve, str, float]:
    """The better of the two kinds of curve, fitted to all, with its kind and its cross-validated log loss."""
    losses = {}
    for method in METHODS:
        chance = np.full(len(values), np.average(hits, weights=weights))
        for part in np.unique(fold):
            rest = fold != part
            if hits[rest].any() and not hits[rest].all():
                curve = _fit(method, values[rest], hits[rest], weights[rest], among_known)
                chance[~rest] = curve.predict(values[~rest])
        chance = np.clip(chance, 1e-4, 1 - 1e-4)
        losses[method] = float(np.average(-np.log(np.where(hits, chance, 1 - chance)), weights=weights))
    method = min(METHODS, key=losses.__getitem__)
    return _fit(method, values, hits, weights, among_known), method, losses[method]


def _fit(method: str, values: np.ndarray, hits: np.ndarray, weights: np.ndarray, among_known: bool) -> Curve:
    if method == "isotonic":
        # Beyond the outermost mistake isotonic regression says 0 or 1; half a query of either kind keeps it from that.
        ends = np.array([values.min(), values.max()])
        return IsotonicRegression(y_min=0, y_max=1, increasing=among_known, out_of_bounds="clip").fit(
            np.concatenate([values, ends, ends]),
            np.concatenate([hits, [0, 0, 1, 1]]),
            sample_weight=np.concatenate([weights, np.full(4, 0.5 * weights.mean())]),
        )
    if among_known:
        return _Scaled(float(np.average(hits, weights=weights) / max(np.average(values, weights=weights), 1e-12)))
    fitted = LogisticRegression(C=1e6).fit(values[:, None], hits, sample_weight=weights)
    return Logistic(float(fitted.coef_[0, 0]), float(fitted.intercept_[0]))
