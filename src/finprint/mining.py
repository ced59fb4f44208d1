"""Pseudo-labels: test photos that the first round names so surely that the second may learn from them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from finprint.ranking import Gallery, rank
from finprint.tables import TEST
from finprint.vectors import Catalogue


@dataclass(frozen=True)
class Mined:
    """Pseudo-labels (table `LABELS`), and how far they can be trusted.

    Attributes:
        bar: cosine of the nearest photo from which on a name is taken; above 1: none is.
        precision: of the names taken by the same bar on validation; 0 where none is.
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
            "pseudo_labels": len(self.labels),
            "individuals": self.labels["identity"].nunique(),
        }


def mine(known: Catalogue, precision: float) -> Mined:
    """Name test photos by their nearest training photo, where validation says that this is right often enough.

    Searched in the training photos alone: a name of an individual held out for validation would leak
    into the second round. For the same reason a test photo that shares an encounter or is a
    near-duplicate of a validation photo is not taken.

    Args:
        known: photos with the first round's vectors.
        precision: wanted share of right names, counting animals that are new as wrong.
    """
    train, validation, test = known.train, known.validation, known.where(TEST)
    codes = known.photos["code"].to_numpy()
    array = known.blend()
    gallery = Gallery(array[train], codes[train])
    checked = rank(array[validation], gallery, places=1)
    truth, _ = known.truth(validation, train)
    bar, reached, recall = confidence_bar(checked.best, checked.identities[:, 0] == truth, precision)

    named = rank(array[test], gallery, places=1)
    groups = known.photos["group"]
    safe = ~groups.iloc[test].isin(groups.iloc[validation]).to_numpy()
    taken = safe & (named.best >= bar)
    labels = pd.DataFrame(
        {
            "image": known.photos["image"].iloc[test[taken]].to_numpy(),
            "identity": known.names[named.identities[taken, 0]],
            "score": named.best[taken],
        }
    )
    return Mined(labels, bar, reached, recall)


def confidence_bar(scores: np.ndarray, right: np.ndarray, precision: float) -> tuple[float, float, float]:
    """The lowest bar above which at least `precision` of the answers are right.

    Args:
        scores: (Q,).
        right: (Q,) bool.

    Returns:
        The bar, a score of one of the queries (2.0 where no bar serves); the precision and the share of
        queries above it.
    """
    levels, counts = np.unique(-scores, return_counts=True)  # scores descending; ties stand or fall together
    upto = np.cumsum(counts)
    order = np.argsort(-scores, kind="stable")
    reached = np.cumsum(right[order])[upto - 1] / upto if len(scores) else np.zeros(0)
    serving = np.flatnonzero(reached >= precision)
    if not len(serving):
        return 2.0, 0.0, 0.0
    last = serving[-1]
    return float(-levels[last]), float(reached[last]), float(upto[last] / len(scores))
