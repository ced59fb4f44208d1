"""What the whole run is worth: metrics of both rounds, on validation and, where its truth is known, on test."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from finprint.metrics import cmc, hit_places, judge, names_by_query
from finprint.params import Search
from finprint.search import search
from finprint.tables import NEW, TRAIN, VALIDATION
from finprint.vectors import Catalogue


@dataclass(frozen=True)
class Judged:
    """Answers (table `ANSWERS`) beside the right names by image; an empty truth is an unknown one."""

    answers: pd.DataFrame
    truth: pd.Series

    def metrics(self) -> dict[str, float]:
        """`metrics.scores_of` these answers; empty without truth."""
        return judge(self.answers, self.truth) if len(self.truth) else {}

    def cmc(self) -> np.ndarray:
        """(5,) share of queries answered rightly by rank 1 to 5; empty without truth."""
        if not len(self.truth):
            return np.zeros(0)
        return cmc(hit_places(names_by_query(self.answers, self.truth.index), self.truth.to_numpy(str)))


def validation_truth(known: Catalogue) -> pd.Series:
    """The right answers to the validation photos."""
    return known.true_names(known.validation, known.train)


def test_truth(known: Catalogue, truth: pd.DataFrame, answers: pd.DataFrame) -> pd.Series:
    """The right answers to the test photos that were searched, from the table `TRUTH`."""
    told = truth.set_index("image")["identity"]
    told = told[told.index.isin(answers["query"])]
    in_gallery = set(known.photos["identity"].iloc[known.where(TRAIN, VALIDATION)])
    return told.where(told.isin(in_gallery), NEW).astype(object)


def judge_round(known: Catalogue, truth: pd.DataFrame, params: Search) -> dict[str, dict[str, float]]:
    """The metrics of a round from its vectors, searched as the search stage does."""
    found = search(known, params)
    return both(
        Judged(found.validation, validation_truth(known)), Judged(found.test, test_truth(known, truth, found.test))
    )


def both(validation: Judged, test: Judged) -> dict[str, dict[str, float]]:
    """{"validation": metrics, "test": metrics}, without those that no truth is known for."""
    return {
        name: judged.metrics() for name, judged in (("validation", validation), ("test", test)) if len(judged.truth)
    }
