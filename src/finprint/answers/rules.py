"""The rules by which scores become answers: what is fitted on validation, saved in a file and loaded from it."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from finprint.answers.grouping import Grouping
from finprint.answers.params import NewThreshold, Search
from finprint.answers.scoring import Blend, blended, fit_blend, nearest_alone
from finprint.answers.shortlist import Shortlist
from finprint.base.errors import UserError
from finprint.base.files import read_json, write_array, write_json
from finprint.matching.calibration import Calibration, calibrate
from finprint.matching.openset import TARGETS, Checked, Threshold, best_map5, called_new, species_thresholds

RULES, CURVE = "rules.json", "threshold_curve.npy"


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
        calibration: of the probabilities; None where validation does not show both kinds of query, known and new.
        grouping: of photos of new animals.
    """

    params: Search
    shares: tuple[float, ...]
    blend: Blend
    threshold: Threshold
    fitted: bool
    by_species: dict[str, float]
    calibration: Calibration | None
    grouping: Grouping

    def thresholds(self, species: np.ndarray) -> np.ndarray:
        """(Q,) each query's threshold, by its species."""
        return np.array([self.by_species.get(name, self.threshold.value) for name in species], float)

    def calling_new(self, share: float, listed: Shortlist) -> "Rules":
        """These rules with a threshold that calls at most `share` of these queries new; P(new) moves with it."""
        best = blended(listed.ranking, listed.components, self.blend).best.astype(float)
        value = called_new(best, share, np.ones(len(best)))
        return replace(self, threshold=replace(self.threshold, value=value), fitted=True)

    def save(self, folder: Path) -> None:
        """Write `rules.json` and `threshold_curve.npy` into a folder; `load` makes the same rules of them."""
        state = {
            "params": self.params.model_dump(),
            "shares": list(self.shares),
            "blend": self.blend.state(),
            "threshold": self.threshold.value,
            "fitted": self.fitted,
            "threshold_by_species": self.by_species,
            "calibration": self.calibration and self.calibration.state(),
            "grouping": {"similarity": self.grouping.similarity, "agreement": self.grouping.agreement},
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
                Search.model_validate(state["params"]),
                tuple(state["shares"]),
                Blend.from_state(state["blend"]),
                Threshold(state["threshold"], curve),
                state["fitted"],
                state["threshold_by_species"],
                state["calibration"] and Calibration.from_state(state["calibration"]),
                Grouping(**state["grouping"]),
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


def fit_rules(checked: Checked, listed: Shortlist, animals: np.ndarray, params: Search) -> Rules:
    """Fit blend, thresholds and probabilities on validation queries; photos are grouped by the common threshold.

    Args:
        checked: Q queries, ranked by the nearest photo.
        listed: the same queries with the components of their scores.
        animals: (Q,) codes, equal for photos of one animal.
    """
    blend = nearest_alone(listed.components)
    if params.blend == "fit" and checked.both:
        blend, _ = fit_blend(checked, listed.components)
    checked = replace(checked, ranking=blended(checked.ranking, listed.components, blend))
    threshold, fitted = _fit_threshold(checked, params.new)
    by_species = {}
    if params.new.per_species and fitted:
        by_species = species_thresholds(
            checked, listed.species, params.new.target, params.new.value, threshold.value, params.new.shrinkage
        )
    grouping = Grouping(threshold.value, None)
    rules = Rules(params, listed.shares, blend, threshold, fitted, by_species, None, grouping)
    return replace(rules, calibration=calibrate(checked, rules.thresholds(listed.species), animals))


def _fit_threshold(checked: Checked, params: NewThreshold) -> tuple[Threshold, bool]:
    """The threshold by its target, with the curve of MAP@5; and whether it could be fitted."""
    if not checked.both:
        return Threshold(params.value if params.target == "fixed" else params.default, np.zeros((0, 2))), False
    best = best_map5(checked)
    if params.target == "fixed":
        return replace(best, value=params.value), False
    return replace(best, value=TARGETS[params.target](checked, params.value)), True
