"""Probabilities: how likely an animal is new, and how likely each individual is the right one."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from finprint.matching.names import NOBODY
from finprint.matching.openset import Checked
from finprint.matching.ranking import Ranking, softmax

FOLDS = 5  # of the validation queries, by animal
METHODS = ("logistic", "isotonic")


@dataclass(frozen=True)
class Logistic:
    """1 / (1 + exp(-(slope x + constant))), Platt's scaling."""

    kind: ClassVar[str] = "logistic"
    slope: float
    constant: float

    def predict(self, values: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-np.clip(self.slope * values + self.constant, -30, 30)))


@dataclass(frozen=True)
class Scaled:
    """A share times a factor, the chance that the true individual is among those ranked."""

    kind: ClassVar[str] = "scaled"
    factor: float

    def predict(self, values: np.ndarray) -> np.ndarray:
        return self.factor * values


@dataclass(frozen=True)
class Isotonic:
    """A curve that only rises or only falls: straight lines between knots (x, y), level beyond the outermost ones."""

    kind: ClassVar[str] = "isotonic"
    x: list[float]
    y: list[float]

    def predict(self, values: np.ndarray) -> np.ndarray:
        return np.interp(values, self.x, self.y)


Curve = Logistic | Scaled | Isotonic
CURVES = {curve.kind: curve for curve in (Logistic, Scaled, Isotonic)}


@dataclass(frozen=True)
class Calibration:
    """Curves from scores to probabilities.

    P(new) comes from the distance between the best known individual's score and the query's threshold. The rest
    is shared among the individuals by a softmax of their scores, which a second curve corrects.

    Attributes:
        new: curve from the distance to P(new), logistic or isotonic.
        temperature: of the softmax, in units of the score.
        known: curve from the softmax's share to P(right, if the animal is known), scaled or isotonic.
        log_loss: mean over the validation queries, nats, each predicted by curves fitted without its animal.
    """

    new: Curve
    temperature: float
    known: Curve
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

    def state(self) -> dict[str, Any]:
        """The calibration as JSON can hold it; `from_state` makes it again, to the last bit."""
        curves = {
            name: {"kind": curve.kind} | asdict(curve) for name, curve in (("new", self.new), ("known", self.known))
        }
        return {"temperature": self.temperature, "log_loss": self.log_loss} | curves

    @staticmethod
    def from_state(state: dict[str, Any]) -> "Calibration":
        """The calibration whose `state` this is."""
        new, known = ({**state[name]} for name in ("new", "known"))
        curves = [CURVES[curve.pop("kind")](**curve) for curve in (new, known)]
        return Calibration(curves[0], state["temperature"], curves[1], state["log_loss"])


def calibrate(checked: Checked, thresholds: np.ndarray, animals: np.ndarray) -> Calibration | None:
    """Fit the curves on validation. Cross-validated log loss decides of which kind each is.

    Args:
        checked: Q queries with their ranking.
        thresholds: (Q,) of each query.
        animals: (Q,) int, equal for photos of one animal. The photos of an animal are never used both to fit a curve
            and to judge it.

    Returns:
        None where there are no known or no new queries.
    """
    if not checked.both:
        return None
    fold = animal_folds(animals)
    distance = _distance(checked.ranking, thresholds)
    new, new_loss = _chosen(_Evidence(distance, checked.new, checked.weights, fold, falling=True))

    among = ~checked.new
    if not (checked.place[among] < checked.ranking.scores.shape[1]).any():  # no right one is ranked: no softmax helps
        return None
    temperature = _temperature(checked)
    shares = softmax(checked.ranking, temperature)[among]
    places = shares.shape[1]
    right = (checked.ranking.identities == checked.truth[:, None])[among]
    weights, folds = np.repeat(checked.weights[among], places), np.repeat(fold[among], places)
    known, known_loss = _chosen(_Evidence(shares.ravel(), right.ravel(), weights, folds, falling=False))
    known_share = checked.weights[among].sum() / checked.weights.sum()
    return Calibration(new, temperature, known, float(new_loss + known_share * known_loss * places))


def animal_folds(animals: np.ndarray) -> np.ndarray:
    """(Q,) the number of a fold for each query, the same for all photos of one animal; of (Q,) codes."""
    number = pd.factorize(animals)[0]
    return np.random.default_rng(0).permutation(number.max() + 1)[number] % FOLDS


def _distance(ranking: Ranking, thresholds: np.ndarray) -> np.ndarray:
    """(Q,) best score above the threshold; -2, as far below as cosines can be, where the gallery is empty."""
    return np.where(np.isfinite(ranking.best), ranking.best.astype(float) - thresholds, -2.0)


def _temperature(checked: Checked) -> float:
    """The softmax's temperature of the least log loss, over the known queries whose individual is ranked."""
    ranked = checked.place < checked.ranking.scores.shape[1]
    ranking, place, weights = checked.ranking[ranked], checked.place[ranked], checked.weights[ranked]

    def loss(log_temperature: float) -> float:
        chance = softmax(ranking, float(np.exp(log_temperature)))[np.arange(len(place)), place]
        return float(-(weights * np.log(np.maximum(chance, 1e-12))).sum())

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(1e-3), np.log(1.0)), method="bounded").x))


@dataclass(frozen=True)
class _Evidence:
    """What a curve is fitted to.

    Attributes:
        values: (N,) float.
        hits: (N,) bool, did it come true?
        weights: (N,).
        fold: (N,) the fold of each, to validate by.
        falling: does the chance fall as the values rise? So does P(new); P(right) rises.
    """

    values: np.ndarray
    hits: np.ndarray
    weights: np.ndarray
    fold: np.ndarray
    falling: bool

    def __getitem__(self, rows: np.ndarray) -> "_Evidence":
        return _Evidence(self.values[rows], self.hits[rows], self.weights[rows], self.fold[rows], self.falling)


def _chosen(evidence: _Evidence) -> tuple[Curve, float]:
    """The better of the two kinds of curve, fitted to all the evidence, and its cross-validated log loss."""
    losses = {}
    for method in METHODS:
        chance = np.full(len(evidence.values), np.average(evidence.hits, weights=evidence.weights))
        for fold in np.unique(evidence.fold):
            rest = evidence.fold != fold
            if evidence.hits[rest].any() and not evidence.hits[rest].all():
                chance[~rest] = _fit(method, evidence[rest]).predict(evidence.values[~rest])
        chance = np.clip(chance, 1e-4, 1 - 1e-4)
        nats = -np.log(np.where(evidence.hits, chance, 1 - chance))
        losses[method] = float(np.average(nats, weights=evidence.weights))
    method = min(METHODS, key=losses.__getitem__)
    return _fit(method, evidence), losses[method]


def _fit(method: str, evidence: _Evidence) -> Curve:
    values, hits, weights = evidence.values, evidence.hits, evidence.weights
    if method == "isotonic":
        # Beyond the outermost mistake isotonic regression says 0 or 1; half a query of either kind keeps it from that.
        ends = np.array([values.min(), values.max()])
        fitted = IsotonicRegression(y_min=0, y_max=1, increasing=not evidence.falling, out_of_bounds="clip").fit(
            np.concatenate([values, ends, ends]),
            np.concatenate([hits, [0, 0, 1, 1]]),
            sample_weight=np.concatenate([weights, np.full(4, 0.5 * weights.mean())]),
        )
        return Isotonic(fitted.X_thresholds_.tolist(), fitted.y_thresholds_.tolist())
    if evidence.falling:
        fitted = LogisticRegression(C=1e6).fit(values[:, None], hits, sample_weight=weights)
        return Logistic(float(fitted.coef_[0, 0]), float(fitted.intercept_[0]))
    return Scaled(float(np.average(hits, weights=weights) / max(np.average(values, weights=weights), 1e-12)))
