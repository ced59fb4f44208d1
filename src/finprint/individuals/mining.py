"""Pseudo-labels: test photos that the first round names so surely that the second round may learn from them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from finprint.base.errors import UserError
from finprint.individuals.params import Mine
from finprint.matching.calibration import animal_folds, calibrate
from finprint.matching.catalogue import Catalogue
from finprint.matching.openset import Checked, best_map5
from finprint.matching.ranking import ANSWERS, Gallery, Ranking, rank
from finprint.store.arrays import Selection
from finprint.store.tables import TEST

SHORTLIST = 20  # individuals among whom probabilities are shared
LEAST = 0.01  # the weight below which a name is left out


@dataclass(frozen=True)
class Mined:
    """Pseudo-labels (table `LABELS`), and how far they can be trusted.

    Attributes:
        bar: the least cosine of the nearest photo with which a name is taken; above 1: no name is.
        precision: share of right names among those taken on validation, each by a bar chosen on other animals; 0 where
            no name is taken.
        recall: share of the validation photos so named.
    """

    labels: pd.DataFrame
    bar: float
    precision: float
    recall: float

    def metrics(self) -> dict[str, float]:
        """The content of metrics/mine.json."""
        return {
            "bar": self.bar,
            "precision_validation": self.precision,
            "recall_validation": self.recall,
            "pseudo_labels": self.labels["image"].nunique(),
            "weight": float(self.labels["weight"].sum()),
            "individuals": self.labels["identity"].nunique(),
        }


def mine(catalogue: Catalogue, params: Mine) -> Mined:
    """Name test photos by their nearest training photo, where validation says that such names are right often enough.

    The training photos alone are searched, because a name of an individual held out for validation would leak
    into the second round. For the same reason a test photo that shares an encounter with a validation photo, or is a
    near-duplicate of one, is not taken.

    Args:
        catalogue: photos with the first round's vectors.
        params: `precision`, the wanted share of right names, where new animals count as wrong; and `targets`,
            what the names of a photo count: hard: the best name fully; weighted: the best name by its probability;
            soft: the best five, each by its probability (soft targets: Hinton et al., Distilling the knowledge in a
            neural network, 2015). The rest, up to 1, is the probability of a new animal and of all others.

    Raises:
        UserError: probabilities are asked for, and validation does not show both known and new animals.
    """
    train, validation, test = catalogue.train, catalogue.validation, catalogue.where(TEST)
    array, codes = catalogue.blend(), catalogue.codes
    gallery = Gallery(Selection([array], train), codes[train], engine=catalogue.engine)
    places = 1 if params.targets == "hard" else SHORTLIST
    ranking = rank(Selection([array], validation), gallery, places)
    truth, new = catalogue.truth(validation, train)
    right = ranking.identities[:, 0] == truth
    bar, recall = confidence_bar(ranking.best, right, params.precision)
    reached = held_out_precision(ranking.best, right, codes[validation], params.precision)

    named = rank(Selection([array], test), gallery, places)
    # Photos of one encounter are nearly the same, so that a name would teach what validation asks.
    judged, asked = catalogue.photos.iloc[validation], catalogue.photos.iloc[test]
    safe = np.ones(len(test), bool)
    for column in {"group", "encounter"} & {*judged}:
        safe &= ~asked[column].isin(judged[column].dropna()).to_numpy(bool)
    taken = np.flatnonzero(safe & (named.best >= bar))
    named = named[taken]
    counted = ANSWERS if params.targets == "soft" else 1  # names of a photo
    weights = np.ones((len(taken), counted))
    if params.targets != "hard" and len(taken):
        checked = Checked(ranking, truth, new, np.ones(len(new)))
        weights = probabilities(checked, codes[validation], named)[:, :counted]
    labels = pd.DataFrame(
        {
            "image": np.repeat(catalogue.photos["image"].iloc[test[taken]].to_numpy(), counted),
            "identity": catalogue.names.of(named.identities[:, :counted].ravel()),
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
        named: Q queries, ranked in the same way.
    """
    value = best_map5(checked).value if checked.both else 0.0
    curves = calibrate(checked, np.full(len(checked.truth), value), animals)
    if curves is None:
        raise UserError(
            "mine.targets: probabilities need known and new individuals among the validation photos: set it to hard"
        )
    return curves.probabilities(named, np.full(len(named), value))[0]


def held_out_precision(scores: np.ndarray, right: np.ndarray, animals: np.ndarray, precision: float) -> float:
    """The share of right names above a `confidence_bar`, cross-fitted.

    The very photos that a bar was chosen on flatter it. So each photo is judged by a bar that was chosen on other
    animals' photos.

    Args:
        scores: (Q,).
        right: (Q,) bool.
        animals: (Q,) codes, equal for photos of one animal.
        precision: as for `confidence_bar`.

    Returns:
        The share; 0 where no name is taken, for example because there are no other animals.
    """
    taken = np.zeros(len(scores), bool)
    folds = animal_folds(animals) if len(animals) else animals
    for fold in np.unique(folds):
        here = folds == fold
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
