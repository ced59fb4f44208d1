"""Probabilities: how likely an animal is new, and how likely each individual is the right one."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from finprint.matching.names import NOBODY
from finprint.matching.openset import Checked, share_weights
from finprint.matching.ranking import Ranking, softmax

FOLDS = 5  # of the validation queries, by animal
PLENTY = 100  # animals of either kind from which on a curve may take any falling form

# What catalogues have in common (bench/small_catalogues.py --prior; docs/experiments.md): the score at which an animal
# is as likely new as known, in units in which known animals score 1 on average, and 0 where their own individual is
# left out; and the logarithm of the curve's steepness, over the square of that distance in standard deviations.
PLACE, PLACE_SPREAD = 0.63, 0.2
STEEPNESS, STEEPNESS_SPREAD = -0.5, 0.7
ALIKE = 0.5  # correlation of the scores of one animal's photos: n of them tell as much as n / (1 + (n - 1) ALIKE) alone


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
    """Fit the curves on validation. Where there are plenty of animals, cross-validated log loss decides of which kind
    each is.

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
    among = ~checked.new
    if not (checked.place[among] < checked.ranking.scores.shape[1]).any():  # no right one is ranked: no softmax helps
        return None
    told = told_apart(checked, thresholds, animals)
    logistic, fold = fit_new(told), animal_folds(animals)
    distance = _distance(checked.ranking, thresholds)
    plenty = min(len(np.unique(animals[rows])) for rows in (checked.new, among)) >= PLENTY
    evidence = _Evidence(distance, checked.new, checked.weights, fold, falling=True)
    losses = {"logistic": _loss(evidence, lambda rows: fit_new(told[rows]))}
    if plenty:
        losses["isotonic"] = _loss(evidence, lambda rows: _isotonic(evidence[rows]))
    kind = min(losses, key=losses.__getitem__)
    new = logistic if kind == "logistic" else _isotonic(evidence)

    temperature = _temperature(checked)
    shares = softmax(checked.ranking, temperature)[among]
    places = shares.shape[1]
    right = (checked.ranking.identities == checked.truth[:, None])[among]
    weights, folds = np.repeat(checked.weights[among], places), np.repeat(fold[among], places)
    ranked = _Evidence(shares.ravel(), right.ravel(), weights, folds, falling=False)
    known_losses = {"scaled": _loss(ranked, lambda rows: _scaled(ranked[rows], places))}
    if plenty:
        known_losses["isotonic"] = _loss(ranked, lambda rows: _isotonic(ranked[rows]))
    known_kind = min(known_losses, key=known_losses.__getitem__)
    known = _scaled(ranked, places) if known_kind == "scaled" else _isotonic(ranked)
    known_share = checked.weights[among].sum() / checked.weights.sum()
    log_loss = losses[kind] + known_share * known_losses[known_kind] * places
    return Calibration(new, temperature, known, float(log_loss))


@dataclass(frozen=True)
class Told:
    """What tells new animals from known ones: the distances of Q queries, and what they are measured by.

    Attributes:
        values: (Q,) best score above the threshold.
        new: (Q,) bool.
        without: (Q,) the same of known animals, their own individual left out, as if they were new; NaN else. A
            model that learned from an animal scores it lower than it would a new one (docs/experiments.md), so these
            give the unit of the scores, not the place of new animals.
        animals: (Q,) int.
        weights: (Q,) of the queries: by these, a share of them is new.
    """

    values: np.ndarray
    new: np.ndarray
    without: np.ndarray
    animals: np.ndarray
    weights: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> "Told":
        return Told(self.values[rows], self.new[rows], self.without[rows], self.animals[rows], self.weights[rows])

    @property
    def share(self) -> float:
        """Of new animals."""
        return float(np.clip(np.average(self.new, weights=self.weights), 1e-3, 1 - 1e-3))

    @property
    def evidence(self) -> np.ndarray:
        """(Q,) how much each query tells: less, the more there are of its animal."""
        _, number, photos = np.unique(self.animals, return_inverse=True, return_counts=True)
        return np.asarray(1 / (1 + (photos[number] - 1) * ALIKE))

    def unit(self) -> "Unit":
        """What the values are measured by: without a known animal to leave out, new ones give the lower mean."""
        left_out, known, evidence = np.isfinite(self.without), ~self.new, self.evidence
        high = float(np.average(self.values[known], weights=evidence[known]))
        kinds = [self.values[known] - high]
        if left_out.any():
            low = float(np.average(self.without[left_out], weights=evidence[left_out]))
            kinds.append(self.without[left_out] - low)
        else:
            low = float(np.average(self.values[self.new], weights=evidence[self.new]))
        spread = max(float(np.sqrt(np.mean(np.concatenate(kinds) ** 2))), 1e-3)
        return Unit(low, max(high - low, 0.1 * spread), spread)


@dataclass(frozen=True)
class Unit:
    """The scale of the values: `low`, the mean of known animals as if they were new; `size`, how far above it known
    animals lie on average; `spread`, the standard deviation within both kinds."""

    low: float
    size: float
    spread: float


def told_apart(checked: Checked, thresholds: np.ndarray, animals: np.ndarray) -> Told:
    """The evidence of `fit_new`; arguments as for `calibrate`."""
    scores = checked.ranking.scores[:, :2].astype(float)
    second = scores[:, 1] if scores.shape[1] > 1 else np.full(len(scores), -np.inf)
    without = np.where(checked.place == 0, second, scores[:, 0])
    as_if_new = ~checked.new & np.isfinite(without)
    without = np.where(as_if_new, np.where(as_if_new, without, 0) - thresholds, np.nan)
    return Told(_distance(checked.ranking, thresholds), checked.new, without, animals, checked.weights)


def fit_new(told: Told, place: float = PLACE) -> Logistic:
    """P(new) by the score: a logistic curve, drawn towards what catalogues have in common (maximum a posteriori).

    The photos of one animal count as fewer, because they score alike; so the evidence grows with the number
    of animals, and with few of them the curve stays near the prior's.

    Args:
        told: both kinds of queries, known and new.
        place: the prior's; the bootstrap draws it.
    """
    from scipy.optimize import minimize  # takes half a second to import, for which `identify` need not wait
    from scipy.special import expit, logit

    evidence, unit = told.evidence, told.unit()
    z = (told.values - unit.low) / unit.size
    log_steep = STEEPNESS + 2 * np.log(unit.size / unit.spread)
    offset = logit(np.average(told.new, weights=evidence))

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        steep = np.exp(theta[1])
        odds = steep * (theta[0] - z) + offset
        prior = (theta - [place, log_steep]) / [PLACE_SPREAD, STEEPNESS_SPREAD]
        value = (evidence * (np.logaddexp(0, odds) - told.new * odds)).sum() + (prior**2).sum() / 2
        error = evidence * (expit(odds) - told.new) * steep
        slopes = np.array([error.sum(), (error * (theta[0] - z)).sum()])
        return float(value), slopes + prior / [PLACE_SPREAD, STEEPNESS_SPREAD]

    fitted = minimize(loss, [place, log_steep], jac=True, method="L-BFGS-B", bounds=[(-5, 5), (-10, 10)]).x
    slope = -float(np.exp(fitted[1])) / unit.size
    return Logistic(slope, float(-slope * (unit.low + unit.size * fitted[0]) + logit(told.share)))


def even(curve: Logistic) -> float:
    """The value at which the chance is one half."""
    return -curve.constant / curve.slope


def place_interval(told: Told, draws: int) -> tuple[float, float]:
    """95 % interval of `even(fit_new(told))`: known and new animals are drawn anew, and so is the prior's place."""
    rng = np.random.default_rng(0)
    kinds = [np.unique(told.animals[rows]) for rows in (told.new, ~told.new)]
    rows_of = {animal: np.flatnonzero(told.animals == animal) for kind in kinds for animal in kind}
    values = []
    for _ in range(draws):
        rows = [rows_of[animal] for kind in kinds for animal in rng.choice(kind, len(kind))]
        renamed = np.repeat(np.arange(len(rows)), [len(mine) for mine in rows])
        drawn = told[np.concatenate(rows)]
        drawn = replace(drawn, animals=renamed, weights=share_weights(drawn.new, told.share))
        values.append(even(fit_new(drawn, float(rng.normal(PLACE, PLACE_SPREAD)))))
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def animal_folds(animals: np.ndarray, draw: int = 0) -> np.ndarray:
    """(Q,) the number of a fold for each query, the same for all photos of one animal; of (Q,) codes."""
    number = pd.factorize(animals)[0]
    return np.random.default_rng(draw).permutation(number.max() + 1)[number] % FOLDS


def _distance(ranking: Ranking, thresholds: np.ndarray) -> np.ndarray:
    """(Q,) best score above the threshold; -2, as far below as cosines can be, where the gallery is empty."""
    return np.where(np.isfinite(ranking.best), ranking.best.astype(float) - thresholds, -2.0)


def _temperature(checked: Checked) -> float:
    """The softmax's temperature of the least log loss, over the known queries whose individual is ranked."""
    from scipy.optimize import minimize_scalar

    ranked = checked.place < checked.ranking.scores.shape[1]
    ranking, place, weights = checked.ranking[ranked], checked.place[ranked], checked.weights[ranked]

    # Were the right one always first, every lower temperature would be likelier: half a query's worth of being second
    # keeps it from that.
    second = ranking.identities[:, 1] != NOBODY if ranking.scores.shape[1] > 1 else np.zeros(len(place), bool)

    def loss(log_temperature: float) -> float:
        chances = np.maximum(softmax(ranking, float(np.exp(log_temperature))), 1e-12)
        told = -(weights * np.log(chances[np.arange(len(place)), place])).sum()
        wrong = -np.log(chances[second, 1]).mean() * weights.mean() / 2 if second.any() else 0.0
        return float(told + wrong)

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


def _loss(evidence: _Evidence, fit: Callable[[np.ndarray], Curve]) -> float:
    """The cross-validated log loss of a curve that is fitted to rows of the evidence, nats."""
    chance = np.full(len(evidence.values), np.average(evidence.hits, weights=evidence.weights))
    for fold in np.unique(evidence.fold):
        rest = evidence.fold != fold
        if evidence.hits[rest].any() and not evidence.hits[rest].all():
            chance[~rest] = fit(rest).predict(evidence.values[~rest])
    chance = np.clip(chance, 1e-4, 1 - 1e-4)
    nats = -np.log(np.where(evidence.hits, chance, 1 - chance))
    return float(np.average(nats, weights=evidence.weights))


def _isotonic(evidence: _Evidence) -> Isotonic:
    """Beyond the outermost mistake isotonic regression says 0 or 1; half a query of either kind keeps it from that."""
    from sklearn.isotonic import IsotonicRegression  # takes a second to import, for which `identify` need not wait

    values, hits, weights = evidence.values, evidence.hits, evidence.weights
    ends = np.array([values.min(), values.max()])
    fitted = IsotonicRegression(y_min=0, y_max=1, increasing=not evidence.falling, out_of_bounds="clip").fit(
        np.concatenate([values, ends, ends]),
        np.concatenate([hits, [0, 0, 1, 1]]),
        sample_weight=np.concatenate([weights, np.full(4, 0.5 * weights.mean())]),
    )
    return Isotonic(fitted.X_thresholds_.tolist(), fitted.y_thresholds_.tolist())


def _scaled(evidence: _Evidence, places: int) -> Scaled:
    """The share of the known whose individual is ranked, with one more query of which half is."""
    one = evidence.weights.mean()
    ranked, queries = (evidence.weights * evidence.hits).sum(), evidence.weights.sum() / places
    return Scaled(float((ranked + one / 2) / (queries + one)))
