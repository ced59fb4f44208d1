"""The rules by which scores become answers: blend, thresholds, probabilities, all fitted on validation."""

from dataclasses import dataclass, replace

import numpy as np

from finprint.answers.params import NewThreshold, Search
from finprint.answers.scoring import Blend, blended, fit_blend, nearest_alone
from finprint.matching.calibration import Calibration, calibrate
from finprint.matching.openset import TARGETS, Checked, Threshold, best_map5, called_new, species_thresholds
from finprint.matching.ranking import Ranking


@dataclass(frozen=True)
class Rules:
    """What validation decides about answers.

    Attributes:
        blend: of the score's components.
        threshold: the score below which an animal is new, and the curve of its choice (empty: not fitted).
        fitted: was the threshold fitted, on validation or to the share wanted?
        by_species: thresholds of single species.
        calibration: of the probabilities; None where validation does not show both kinds.
    """

    blend: Blend
    threshold: Threshold
    fitted: bool
    by_species: dict[str, float]
    calibration: Calibration | None

    def thresholds(self, species: np.ndarray) -> np.ndarray:
        """(Q,) each query's threshold, by its species."""
        return np.array([self.by_species.get(name, self.threshold.value) for name in species], float)

    def calling_new(self, share: float, ranking: Ranking, parts: np.ndarray) -> "Rules":
        """These rules with a threshold that calls at most `share` of these queries new; P(new) moves with it."""
        best = blended(ranking, parts, self.blend).best.astype(float)
        value = called_new(best, share, np.ones(len(best)))
        return replace(self, threshold=replace(self.threshold, value=value), fitted=True)


def fit_rules(checked: Checked, parts: np.ndarray, species: np.ndarray, animals: np.ndarray, params: Search) -> Rules:
    """Fit blend, thresholds and probabilities on validation queries.

    Args:
        checked: Q queries, ranked by the nearest photo.
        parts: (Q, K, F) components of the scores.
        species: (Q,) names.
        animals: (Q,) codes, equal for photos of one animal.
    """
    blend = nearest_alone(parts.shape[2])
    if params.blend == "fit" and checked.both:
        blend, _ = fit_blend(checked, parts)
    checked = replace(checked, ranking=blended(checked.ranking, parts, blend))
    threshold, fitted = _fit_threshold(checked, params.new)
    by_species = {}
    if params.new.per_species and fitted:
        by_species = species_thresholds(
            checked, species, params.new.target, params.new.value, threshold.value, params.new.shrinkage
        )
    rules = Rules(blend, threshold, fitted, by_species, None)
    return replace(rules, calibration=calibrate(checked, rules.thresholds(species), animals))


def _fit_threshold(checked: Checked, params: NewThreshold) -> tuple[Threshold, bool]:
    """The threshold by its target, with the curve of MAP@5; and whether it could be fitted."""
    if not checked.both:
        return Threshold(params.value if params.target == "fixed" else params.default, np.zeros((0, 2))), False
    best = best_map5(checked)
    if params.target == "fixed":
        return replace(best, value=params.value), False
    return replace(best, value=TARGETS[params.target](checked, params.value)), True
