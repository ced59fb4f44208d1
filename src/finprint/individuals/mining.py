"""Pseudo-labels: test photos that the first round names so surely that the second may learn from them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from finprint.base.errors import UserError
from finprint.individuals.params import Mine
from finprint.matching.calibration import animal_folds, calibrate
from finprint.matching.catalogue import Catalogue
from finprint.matching.openset import Checked, best_map5
from finprint.matching.ranking import ANSWERS, Gallery, Ranking, rank
from finprint.store.tables import TEST

SHORTLIST = 20  # individuals among whom probabilities are shared
LEAST = 0.01  # the weight below which a name is left out


@dataclass(frozen=True)
class Mined:
    """Pseudo-labels (table `LABELS`), and how far they can be trusted.

    Attributes:
        bar: cosine of the nearest photo from which on a name is taken; above 1: none is.
        precision: of the names so taken on validation, each by a bar chosen on other animals; 0 where there are none.
        recall: share of the validation photos so named.
    """

    labels: pd.DataFrame
    bar: float
    precision: float
    recall: float

    def numbers(self) -> dict[str, float]:
        """The numbers of metrics/mine.json."""
        return {
            "bar": self.bar,
            "precision_validation": self.precision,
            "recall_validation": self.recall,
            "pseudo_labels": self.labels["image"].nunique(),
            "weight": float(self.labels["weight"].sum()),
            "individuals": self.labels["identity"].nunique(),
        }


def mine(known: Catalogue, params: Mine) -> Mined:
    """Name test photos by their nearest training photo, where validation says that this is right often enough.

    Searched in the training photos alone: a name of an individual held out for validation would leak
    into the second round. For the same reason a test photo that shares an encounter or is a
    near-duplicate of a validation photo is not taken.

    Args:
        known: photos with the first round's vectors.
        params: `precision`, the wanted share of right names, counting animals that are new as wrong; and `targets`,
            what the names of a photo count: hard: the best one fully; weighted: the best one by its probability;
            soft: the best five, each by its probability (soft targets: Hinton et al., Distilling the knowledge in a
            neural network, 2015). What is left to 1 is the probability of a new animal and of all others.

    Raises:
        UserError: probabilities are asked for, and validation does not show both known and new animals.
    """
    train, validation, test = known.train, known.validation, known.where(TEST)
    codes = known.photos["code"].to_numpy()
    array = known.blend()
    gallery = Gallery(array[train], codes[train])
    places = 1 if params.targets == "hard" else SHORTLIST
    checked = rank(array[validation], gallery, places)
    truth, new = known.truth(validation, train)
    right = checked.identities[:, 0] == truth
    bar, recall = confidence_bar(checked.best, right, params.precision)
    reached = held_out_precision(checked.best, right, codes[validation], params.precision)

    named = rank(array[test], gallery, places)
    groups = known.photos["group"]
    safe = ~groups.iloc[test].isin(groups.iloc[validation]).to_numpy()
    taken = np.flatnonzero(safe & (named.best >= bar))
    named = named[taken]
    counted = ANSWERS if params.targets == "soft" else 1  # names of a photo
    weights = np.ones((len(taken), counted))
    if params.targets != "hard" and len(taken):
        judged = Checked(checked, truth, new, np.ones(len(new)))
        weights = probabilities(judged, codes[validation], named)[:, :counted]
    labels = pd.DataFrame(
        {
            "image": np.repeat(known.photos["image"].iloc[test[taken]].to_numpy(), counted),
            "identity": np.array([*known.names, None], object)[named.identities[:, :counted].ravel()],  # -1: nobody
            "score": np.repeat(named.best, counted),
            "weight": weights.ravel(),
        }
    )
    return Mined(labels[(labels["weight"] > LEAST) & labels["identity"].notna()], bar, reached, recall)


def probabilities(checked: Checked, animals: np.ndarray, named: Ranking) -> np.ndarray:
    """(Q, K) chances that the animal of a query is the one at each place, calibrated on validation.

    Args:
        checked: the validation queries, by the nearest photo.
        animals: their codes, equal for photos of one animal.
        named: Q queries, ranked likewise.
    """
    value = best_map5(checked).value if checked.both else 0.0
    curves = calibrate(checked, np.full(len(checked.truth), value), animals)
    if curves is None:
        raise UserError(
            "mine.targets: probabilities need known and new individuals among the validation photos: set it to hard"
        )
    return curves.probabilities(named, np.full(len(named), value))[0]


def held_out_precision(scores: np.ndarray, right: np.ndarray, animals: np.ndarray, precision: float) -> float:
    """The share of right names above a `confidence_bar`, cross-fitted: the very photos that a bar was chosen on flatter
    it, so each is judged by a bar chosen on other animals' photos.

    Args:
        scores: (Q,).
        right: (Q,) bool.
        animals: (Q,) codes, equal for photos of one animal.
        precision: as for `confidence_bar`.

    Returns:
        The share, 0 where no name is taken, for one because there are no other animals.
    """
    taken = np.zeros(len(scores), bool)
    fold = animal_folds(animals) if len(animals) else animals
    for part in np.unique(fold):
        here = fold == part
        taken[here] = scores[here] >= confidence_bar(scores[~here], right[~here], precision)[0]
    return float(right[taken].mean()) if taken.any() else 0.0


def confidence_bar(scores: np.ndarray, right: np.ndarray, precision: float) -> tuple[float, float]:
    """The lowest bar above which at least `precision` of the answers are right.

    Args:
        scores: (Q,).
        right: (Q,) bool.

    Returns:
        The bar, a score of one of the queries (2.0 where no bar serves), and the share of queries above it.
    """
    levels, counts = np.unique(-scores, return_counts=True)  # scores descending; ties stand or fall together
    upto = np.cumsum(counts)
    order = np.argsort(-scores, kind="stable")
    reached = np.cumsum(right[order])[upto - 1] / upto if len(scores) else np.zeros(0)
    serving = np.flatnonzero(reached >= precision)
    if not len(serving):
        return 2.0, 0.0
    last = serving[-1]
    return float(-levels[last]), float(upto[last] / len(scores))
