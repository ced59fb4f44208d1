"""The rules by which scores become answers: what is fitted on validation, saved in a file and loaded from it."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from finprint.answers.encounters import judged_together
from finprint.answers.grouping import Grouping
from finprint.answers.params import NewThreshold, Search
from finprint.answers.scoring import Blend, blended, fit_blend, nearest_alone, usual
from finprint.answers.shortlist import Shortlist, look_up
from finprint.base.errors import UserError
from finprint.base.files import read_json, write_array, write_json
from finprint.matching.calibration import Calibration, calibrate, even, fit_new, place_interval, told_apart
from finprint.matching.catalogue import Catalogue
from finprint.matching.names import UNKNOWN
from finprint.matching.openset import (
    TARGETS,
    Checked,
    FiveAnswers,
    Threshold,
    ahead_of_new,
    best_map5,
    called_new,
    share_weights,
    species_thresholds,
    with_new,
)
from finprint.matching.ranking import Ranking

RULES, CURVE = "rules.json", "threshold_curve.npy"
LATER = {"encounter": "ignore"}  # params that rules of an earlier version lack
LEAST_INDIVIDUALS = 10  # in the catalogue: with fewer, nothing is said of new animals
LEAST_ANIMALS = 2  # of either kind, known and new, in validation
DRAWS = 100  # bootstrap samples of the threshold's interval
TOO_FEW = "too few animals to tell new ones"


@dataclass(frozen=True)
class Rules:
    """What validation decides about answers.

    Attributes:
        params: with which the rules were fitted, and by which the individuals of a query are looked up.
        shares: weights of the catalogue's members.
        blend: of the score's components.
        threshold: the score below which an animal is new, and the curve of its choice (empty: not fitted).
        fitted: was the threshold fitted, on validation or to the share wanted?
        by_species: thresholds of single species.
        calibration: of the probabilities; None where validation tells too little of new animals (`enough`).
        grouping: of photos of new animals.
        together: are the photos of an encounter judged together?
    """

    params: Search
    shares: tuple[float, ...]
    blend: Blend
    threshold: Threshold
    fitted: bool
    by_species: dict[str, float]
    calibration: Calibration | None
    grouping: Grouping
    together: bool

    @property
    def too_few(self) -> bool:
        """Are there too few animals to tell new ones, so that there is no probability?"""
        return self.calibration is None

    def thresholds(self, species: np.ndarray) -> np.ndarray:
        """(Q,) each query's threshold, by its species."""
        return np.array([self.by_species.get(name, self.threshold.value) for name in species], float)

    def look_up(self, catalogue: Catalogue, queries: np.ndarray, gallery: np.ndarray) -> Shortlist:
        """The individuals that each query might show, with the components that these rules know.

        Args:
            queries: (Q,) and `gallery`, (G,), rows of the catalogue.
        """
        listed = look_up(catalogue, self.shares, queries, gallery, self.params, self.blend.weights)
        return judged_together(listed, catalogue) if self.together else listed

    def calling_new(self, share: float, listed: Shortlist) -> "Rules":
        """These rules with a threshold that calls at most `share` of these queries new; P(new) moves with it."""
        best = blended(listed.ranking, listed.components, self.blend).best.astype(float)
        value = called_new(best, share, np.ones(len(best)))
        return replace(self, threshold=replace(self.threshold, value=value), fitted=True)

    def calling_new_as_nearest(self, listed: Shortlist) -> "Rules":
        """These rules with a threshold that calls as many of these queries new as it calls by the nearest photo."""
        if self.blend.weights["nearest"] == 1 or not len(listed.queries):
            return self
        share = float((listed.ranking.best < self.threshold.value).mean())
        return replace(self.calling_new(share, listed), fitted=self.fitted)

    def order(self, ranking: Ranking, species: np.ndarray) -> tuple[FiveAnswers, np.ndarray]:
        """The five answers to each query, and the probability of each, (Q, 5); NaN without a calibration.

        For the target map5 they stand in the order of their probabilities, which is the best order. The other
        targets fix how often `new_individual` stands first, whatever its probability: there the threshold decides.

        Args:
            ranking: by the blended score.
            species: (Q,).
        """
        thresholds = self.thresholds(species)
        if self.calibration is None:
            five = with_new(ranking, thresholds)
            return five, np.full(five.codes.shape, np.nan)
        each, new = self.calibration.probabilities(ranking, thresholds)
        ahead = ahead_of_new(each, new) if self.params.new.target == "map5" else None
        five = with_new(ranking, thresholds, ahead)
        individuals = np.take_along_axis(each, np.maximum(five.places, 0), 1)
        return five, np.where(five.codes == UNKNOWN, new[:, None], individuals)

    def save(self, folder: Path) -> None:
        """Write `rules.json` and `threshold_curve.npy` into a folder; `load` makes the same rules of them."""
        state = {
            "params": self.params.model_dump(),
            "shares": list(self.shares),
            "blend": self.blend.state(),
            "threshold": self.threshold.value,
            "threshold_interval": self.threshold.interval and list(self.threshold.interval),
            "fitted": self.fitted,
            "threshold_by_species": self.by_species,
            "calibration": self.calibration and self.calibration.state(),
            "grouping": {"similarity": self.grouping.similarity, "agreement": self.grouping.agreement},
            "together": self.together,
        }
        write_json(folder / RULES, state)
        write_array(folder / CURVE, self.threshold.curve)

    @staticmethod
    def load(folder: Path) -> "Rules":
        """Read rules that `save` wrote, equal to the last bit: JSON keeps every digit of a number.

        Raises:
            UserError: the files are missing or damaged.
        """
        try:
            state, curve = read_json(folder / RULES), np.load(folder / CURVE, allow_pickle=False)
            return Rules(
                Search.model_validate(LATER | state["params"]),
                tuple(state["shares"]),
                Blend.from_state(state["blend"]),
                Threshold(state["threshold"], curve, _pair(state["threshold_interval"])),
                state["fitted"],
                state["threshold_by_species"],
                state["calibration"] and Calibration.from_state(state["calibration"]),
                Grouping(**state["grouping"]),
                state.get("together", False),
            )
        except FileNotFoundError as error:
            raise UserError(f"{error.filename} is missing: `dvc repro search` makes it") from None
        except (
            ValueError,
            EOFError,
            KeyError,
            TypeError,
            AttributeError,
        ):
            raise UserError(
                f"{folder / RULES} is damaged or of another version: `dvc repro search` makes it anew"
            ) from None


def _pair(interval: list[float] | None) -> tuple[float, float] | None:
    return (interval[0], interval[1]) if interval else None


def expected_weights(new: np.ndarray, params: NewThreshold) -> np.ndarray:
    """(Q,) weights by which the expected share of the queries is new; of (Q,) bool, which are."""
    return share_weights(new, None if params.expected_new == "validation" else params.expected_new)


def enough(checked: Checked, animals: np.ndarray, individuals: int) -> bool:
    """Does validation tell enough of new animals? If not, nothing is fitted.

    Args:
        animals: (Q,) codes, equal for photos of one animal.
        individuals: number in the catalogue.
    """
    kinds = (len(np.unique(animals[rows])) for rows in (checked.new, ~checked.new))
    return individuals >= LEAST_INDIVIDUALS and min(kinds) >= LEAST_ANIMALS


def fit_rules(checked: Checked, listed: Shortlist, animals: np.ndarray, params: Search, draws: int = 0) -> Rules:
    """Fit blend, thresholds and probabilities on validation queries; photos are grouped by the common threshold.

    Args:
        checked: Q queries, ranked by the nearest photo.
        listed: the same queries with the components of their scores.
        animals: (Q,) codes, equal for photos of one animal.
        draws: bootstrap samples of the threshold's interval; 0: there is no interval.
    """
    # Some of the queries have another share of new animals than all of them; the expected share stays the same.
    checked = replace(checked, weights=expected_weights(checked.new, params.new))
    blend = nearest_alone(listed.components)
    if params.blend == "fit" and checked.both:
        blend, _ = fit_blend(checked, listed.components)
    checked = replace(checked, ranking=blended(checked.ranking, listed.components, blend))
    threshold, fitted = _fit_threshold(checked, animals, params.new, draws)
    by_species = {}
    if params.new.per_species and fitted:
        by_species = species_thresholds(
            checked, listed.species, params.new.target, params.new.value, threshold.value, params.new.shrinkage
        )
    grouping = Grouping(threshold.value, None)
    rules = Rules(params, listed.shares, blend, threshold, fitted, by_species, None, grouping, listed.together)
    return replace(rules, calibration=calibrate(checked, rules.thresholds(listed.species), animals))


def default_rules(listed: Shortlist, params: Search) -> Rules:
    """The rules where validation tells too little: the usual blend, the given threshold of the nearest photo's cosine,
    no probability. If the target is `fixed`, the nearest photo's cosine is the score, because its value is one."""
    fixed = params.new.target == "fixed"
    value = params.new.value if fixed else params.new.default
    threshold = Threshold(value, np.zeros((0, 2)))
    blend = nearest_alone(listed.components) if fixed or params.blend != "fit" else usual(listed.components)
    return Rules(params, listed.shares, blend, threshold, False, {}, None, Grouping(value, None), listed.together)


def _fit_threshold(checked: Checked, animals: np.ndarray, params: NewThreshold, draws: int) -> tuple[Threshold, bool]:
    """The threshold by its target, with the curve of MAP@5; and whether it could be fitted.

    For map5 it is the score at which an animal is as likely new as known.
    """
    best = best_map5(checked)
    if params.target == "fixed":
        return replace(best, value=params.value), False
    if params.target != "map5":
        return replace(best, value=TARGETS[params.target](checked, params.value)), True
    told = told_apart(checked, np.zeros(len(animals)), animals)
    interval = place_interval(told, draws) if draws else None
    return replace(best, value=even(fit_new(told)), interval=interval), True
